"""Settings: every fault at once, by name, and no value in the text."""

import os
from pathlib import Path
from typing import Any

import pytest

from service.runtime.kafka.connection import client_options
from service.runtime.settings import (
    CommonSettings,
    ServeSettings,
    SettingsError,
    StoreSettings,
    TopicsSettings,
    WorkSettings,
    load,
    unknown_settings,
)

SERVE = {
    "LIVEMODE": "false",
    "KAFKA_BOOTSTRAP_SERVERS": "a.example:9092, 10.0.0.1:9093,[::1]:1",
    "WEBHOOK_SECRETS": "main=whsec_0123456789,main=whsec_9876543210, connect=whsec_abcdefghij=",
}
WORK = {
    "LIVEMODE": "false",
    "KAFKA_BOOTSTRAP_SERVERS": "a:9092",
    "DATABASE_URL": "postgresql://u:hidden@h/d",
    "STRIPE_API_KEY": "rk_test_0123456789",
}


@pytest.fixture(autouse=True)
def _empty_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in [name for name in os.environ if name.upper().startswith("OFFSHOOT_")]:
        monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def faults(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Load a command's settings from these values, and give the faults by name."""

    def ask(cls: type[CommonSettings], values: dict[str, str], **changes: str) -> dict[str, str]:
        for name, value in {**values, **changes}.items():
            monkeypatch.setenv(f"OFFSHOOT_{name}", value)
        try:
            load(cls)
        except SettingsError as error:
            return dict(fault.removeprefix("OFFSHOOT_").split(": ", 1) for fault in error.faults)
        return {}

    return ask


def test_serve_with_the_least(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in SERVE.items():
        monkeypatch.setenv(f"OFFSHOOT_{name}", value)
    settings = load(ServeSettings)
    assert [(secret.name, secret.secret.get_secret_value()) for secret in settings.webhook_secrets] == [
        ("main", "whsec_0123456789"),
        ("main", "whsec_9876543210"),
        ("connect", "whsec_abcdefghij="),
    ]
    assert settings.kafka_bootstrap_servers == ("a.example:9092", "10.0.0.1:9093", "[::1]:1")
    assert (settings.livemode, settings.webhook_path, settings.publish_timeout_s) == (
        False,
        "/webhooks/stripe",
        8,
    )
    assert settings.topic("stripe.events") == "stripe.events"
    assert "whsec_0" not in repr(settings) + str(settings)


def test_work_with_the_least(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in WORK.items():
        monkeypatch.setenv(f"OFFSHOOT_{name}", value)
    settings = load(WorkSettings)
    assert settings.customer_fields == ("name", "email")
    assert settings.stripe_api_key.get_secret_value() == "rk_test_0123456789"
    assert "hidden" not in repr(settings) + str(settings)


def test_a_dotenv_file_is_read(tmp_path: Path) -> None:
    lines = [f"OFFSHOOT_{name}={value}" for name, value in SERVE.items()]
    (tmp_path / ".env").write_text("\n".join([*lines, "OFFSHOOT_KAFKA_TOPIC_PREFIX=eu.", "OTHER=1"]))
    assert load(ServeSettings).topic("stripe.events") == "eu.stripe.events"


@pytest.mark.parametrize(
    ("cls", "needed"),
    [
        (ServeSettings, {"LIVEMODE", "KAFKA_BOOTSTRAP_SERVERS", "WEBHOOK_SECRETS"}),
        (WorkSettings, {"LIVEMODE", "KAFKA_BOOTSTRAP_SERVERS", "DATABASE_URL", "STRIPE_API_KEY"}),
        (TopicsSettings, {"KAFKA_BOOTSTRAP_SERVERS"}),
        (StoreSettings, {"DATABASE_URL"}),
    ],
)
@pytest.mark.parametrize("value", [None, ""], ids=["missing", "empty"])
def test_what_has_no_default_is_named_all_at_once(
    faults: Any, cls: type[CommonSettings], needed: set[str], value: str | None
) -> None:
    assert faults(cls, {} if value is None else dict.fromkeys(needed, "")).keys() == needed


def test_every_fault_is_named_at_once_and_no_value_is_shown(faults: Any) -> None:
    found = faults(
        WorkSettings,
        {},
        LIVEMODE="True",
        KAFKA_BOOTSTRAP_SERVERS="zzz",
        KAFKA_SECURITY_PROTOCOL="SASL_SSL",
        KAFKA_SASL_MECHANISM="zzz",
        KAFKA_SASL_PASSWORD="zzz",
        KAFKA_KEY_FILE="/zzz",
        DATABASE_URL="zzz",
        STRIPE_API_KEY="zzz",
        LEASE_S="20",
        STRIPE_WRITES="zzz",
        OPS_PORT="99999",
        STRIPE_REQUESTS_PER_SECOND="nan",
        CUSTOMER_FIELDS="name,zzz",
        LOG_LEVEL="zzz",
        PLATFORM_ACCOUNT="zzz",
    )
    assert sorted(found) == [
        "CUSTOMER_FIELDS",
        "DATABASE_URL",
        "KAFKA_BOOTSTRAP_SERVERS",
        "KAFKA_KEY_FILE",
        "KAFKA_SASL_MECHANISM",
        "KAFKA_SASL_USERNAME",
        "LEASE_S",
        "LIVEMODE",
        "LOG_LEVEL",
        "OPS_PORT",
        "PLATFORM_ACCOUNT",
        "STRIPE_API_KEY",
        "STRIPE_REQUESTS_PER_SECOND",
        "STRIPE_WRITES",
    ]
    assert "zzz" not in str(found)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("WEBHOOK_SECRETS", "whsec_0123456789"),
        ("WEBHOOK_SECRETS", "whsec_0123456789=whsec_0123456789"),
        ("WEBHOOK_SECRETS", "main=whsec_"),
        ("WEBHOOK_SECRETS", "main=whsec_012345678"),
        ("WEBHOOK_SECRETS", "main=0123456789012345"),
        ("WEBHOOK_SECRETS", "main=whsec_0123456789,"),
        ("WEBHOOK_SECRETS", "ma in=whsec_0123456789"),
        ("WEBHOOK_SECRETS", f"{'m' * 65}=whsec_0123456789"),
        ("WEBHOOK_SECRETS", "main=whsec_01234 56789"),
        ("LIVEMODE", "TRUE"),
        ("LIVEMODE", "1"),
        ("LIVEMODE", " true"),
        ("WEBHOOK_PATH", "webhooks"),
        ("WEBHOOK_PATH", "/a?b"),
        ("WEBHOOK_PATH", "/livez"),
        ("WEBHOOK_TOLERANCE_S", "0"),
        ("WEBHOOK_MAX_BODY_BYTES", "x"),
        ("WEBHOOK_MAX_IN_FLIGHT", "0"),
        ("PUBLISH_TIMEOUT_S", "inf"),
        ("HTTP_PORT", "-1"),
        ("KAFKA_BOOTSTRAP_SERVERS", "a:0"),
        ("KAFKA_BOOTSTRAP_SERVERS", "a:9092,,b:1"),
        ("KAFKA_TOPIC_PREFIX", "a b"),
        ("KAFKA_CA_FILE", "/no/such/file"),
        ("LOG_FORMAT", "xml"),
    ],
)
def test_what_serve_refuses(faults: Any, name: str, value: str) -> None:
    assert faults(ServeSettings, SERVE, **{name: value}).keys() == {name}


@pytest.mark.parametrize(
    ("key", "livemode", "accepted"),
    [
        ("sk_test_0123456789", "false", True),
        ("rk_live_0123456789", "true", True),
        ("rk_live_0123456789", "false", False),
        ("sk_test_0123456789", "true", False),
        ("sk_test_0123456", "false", False),
        ("pk_test_0123456789", "false", False),
        ("sk_test_01234 6789", "false", False),
    ],
)
def test_the_key_is_of_the_mode(faults: Any, key: str, livemode: str, accepted: bool) -> None:  # noqa: FBT001
    found = faults(WorkSettings, WORK, STRIPE_API_KEY=key, LIVEMODE=livemode)
    assert found.keys() == (set() if accepted else {"STRIPE_API_KEY"})
    assert "0123456" not in str(found)


def test_a_lease_outlasts_a_call(faults: Any) -> None:
    assert faults(WorkSettings, WORK, LEASE_S="44.9").keys() == {"LEASE_S"}
    assert faults(WorkSettings, WORK, LEASE_S="45") == {}
    assert faults(WorkSettings, WORK, STRIPE_TIMEOUT_S="50").keys() == {"LEASE_S"}


def test_sasl_needs_all_three(faults: Any) -> None:
    names = {"KAFKA_SASL_MECHANISM", "KAFKA_SASL_USERNAME", "KAFKA_SASL_PASSWORD"}
    assert faults(ServeSettings, SERVE, KAFKA_SECURITY_PROTOCOL="SASL_PLAINTEXT").keys() == names


def test_a_certificate_needs_its_key(faults: Any, tmp_path: Path) -> None:
    (tmp_path / "file.pem").write_text("x")
    path = str(tmp_path / "file.pem")
    assert faults(ServeSettings, SERVE, KAFKA_CERT_FILE=path).keys() == {"KAFKA_CERT_FILE"}
    assert faults(ServeSettings, SERVE, KAFKA_KEY_FILE=path) == {}


def test_replication_is_not_zero(faults: Any) -> None:
    kafka = {"KAFKA_BOOTSTRAP_SERVERS": "a:1"}
    assert faults(TopicsSettings, kafka, KAFKA_REPLICATION_FACTOR="0").keys() == {"KAFKA_REPLICATION_FACTOR"}
    assert faults(TopicsSettings, kafka, KAFKA_REPLICATION_FACTOR="3") == {}


def test_sasl_options(monkeypatch: pytest.MonkeyPatch) -> None:
    values = {
        "KAFKA_BOOTSTRAP_SERVERS": "a:1,b:2",
        "KAFKA_SECURITY_PROTOCOL": "SASL_PLAINTEXT",
        "KAFKA_SASL_MECHANISM": "SCRAM-SHA-512",
        "KAFKA_SASL_USERNAME": "u",
        "KAFKA_SASL_PASSWORD": "p",
    }
    for name, value in values.items():
        monkeypatch.setenv(f"OFFSHOOT_{name}", value)
    assert client_options(load(TopicsSettings)) == {
        "bootstrap_servers": ["a:1", "b:2"],
        "security_protocol": "SASL_PLAINTEXT",
        "sasl_mechanism": "SCRAM-SHA-512",
        "sasl_plain_username": "u",
        "sasl_plain_password": "p",
    }


def test_a_ca_file_without_a_certificate_is_a_fault(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "ca.pem").write_text("nothing")
    monkeypatch.setenv("OFFSHOOT_KAFKA_BOOTSTRAP_SERVERS", "a:1")
    monkeypatch.setenv("OFFSHOOT_KAFKA_SECURITY_PROTOCOL", "SSL")
    monkeypatch.setenv("OFFSHOOT_KAFKA_CA_FILE", str(tmp_path / "ca.pem"))
    with pytest.raises(SettingsError, match="OFFSHOOT_KAFKA_CA_FILE: "):
        client_options(load(TopicsSettings))


def test_unknown_settings_are_told() -> None:
    environ = {"OFFSHOOT_LIVEMOD": "1", "OFFSHOOT_LIVEMODE": "1", "OFFSHOOT_DATABASE_URL": "x", "HOME": "/"}
    assert unknown_settings(environ) == ["OFFSHOOT_LIVEMOD"]
