"""Every setting, from the environment or a `.env` file, behind the prefix `OFFSHOOT_`. The only list of them.

`load` reports all faults at once, by name, and never with the value. Rules between settings stand in the
validator of the one that is read last, so that they are reported beside all others.
"""

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

from pydantic import Field, SecretStr, ValidationError, ValidationInfo, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict
from pydantic_settings import SettingsError as SourceError

from service.runtime.setting_types import (
    Brokers,
    DatabaseUrl,
    Livemode,
    PerSecond,
    PlatformAccount,
    Port,
    ReadableFile,
    Seconds,
    StripeApiKey,
    TopicPrefix,
    UrlPath,
    WebhookSecrets,
    Words,
)

PREFIX = "OFFSHOOT_"
_LEASE_BEYOND_CALL_S = 15
_CUSTOMER_FIELDS = frozenset(
    {"name", "email", "phone", "description", "address", "shipping", "preferred_locales"}
)


class SettingsError(ValueError):
    """Settings are missing or wrong; `faults` names each as `OFFSHOOT_NAME: what is wrong and what to do`."""

    def __init__(self, faults: list[str]) -> None:
        super().__init__("; ".join(faults))
        self.faults = faults


def _log_format() -> Literal["console", "json"]:
    return "console" if sys.stderr.isatty() else "json"


class CommonSettings(BaseSettings):
    """What every command needs."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX,
        env_file=".env",
        env_ignore_empty=True,
        extra="ignore",
        frozen=True,
        hide_input_in_errors=True,
        validate_default=True,
    )

    log_format: Literal["console", "json"] = Field(default_factory=_log_format)
    log_level: Literal["debug", "info", "warning", "error"] = "info"


class KafkaSettings(CommonSettings):
    """Where Kafka is and how to speak to it."""

    kafka_bootstrap_servers: Brokers
    kafka_security_protocol: Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"] = "PLAINTEXT"
    kafka_sasl_mechanism: Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"] | None = None
    kafka_sasl_username: str | None = None
    kafka_sasl_password: SecretStr | None = None
    kafka_ca_file: ReadableFile | None = None
    kafka_key_file: ReadableFile | None = None
    kafka_cert_file: ReadableFile | None = None
    kafka_topic_prefix: TopicPrefix = ""

    @field_validator("kafka_sasl_mechanism", "kafka_sasl_username", "kafka_sasl_password")
    @classmethod
    def _goes_with_sasl(cls, value: object, info: ValidationInfo) -> object:
        protocol = info.data.get("kafka_security_protocol")
        if protocol is not None and protocol.startswith("SASL") and value is None:
            raise ValueError(f"is needed, since {PREFIX}KAFKA_SECURITY_PROTOCOL is {protocol}; set it")
        return value

    @field_validator("kafka_cert_file")
    @classmethod
    def _goes_with_its_key(cls, value: Path | None, info: ValidationInfo) -> Path | None:
        if "kafka_key_file" in info.data and (value is None) != (info.data["kafka_key_file"] is None):
            raise ValueError(f"must be set together with {PREFIX}KAFKA_KEY_FILE, or neither")
        return value

    def topic(self, name: str) -> str:
        """Give the name that a topic has in this deployment."""
        return self.kafka_topic_prefix + name


class ProcessSettings(KafkaSettings):
    """What both processes, `serve` and `work`, need."""

    livemode: Livemode
    platform_account: PlatformAccount | None = None
    ops_host: str = "127.0.0.1"
    ops_port: Port = 9464
    shutdown_grace_s: Seconds = 25


class ServeSettings(ProcessSettings):
    """What `offshoot serve` needs: neither a Stripe key nor a database."""

    webhook_secrets: WebhookSecrets
    webhook_path: UrlPath = "/webhooks/stripe"
    webhook_tolerance_s: Seconds = 300
    webhook_max_body_bytes: Annotated[int, Field(ge=1)] = 1_048_576
    webhook_max_in_flight: Annotated[int, Field(ge=1)] = 1000
    publish_timeout_s: Seconds = 8
    http_host: str = "127.0.0.1"
    http_port: Port = 8000


class WorkSettings(ProcessSettings):
    """What `offshoot work` needs."""

    kafka_group: Annotated[str, Field(pattern=r"^[\x21-\x7e]{1,200}$")] = "offshoot"
    database_url: DatabaseUrl
    stripe_api_key: StripeApiKey
    stripe_api_base: Annotated[str, Field(pattern=r"^https?://[^\s/?#]+/?$")] = "https://api.stripe.com"
    stripe_requests_per_second: PerSecond = 10
    stripe_bulk_requests_per_second: PerSecond | None = None
    stripe_timeout_s: Seconds = 30
    stripe_writes: Literal["on", "observe"] = "on"
    lease_s: Seconds = 60
    retry_for_s: Seconds = 259_200
    share_with: Literal["metadata", "all"] = "metadata"
    share_metadata_key: Annotated[str, Field(pattern=r"^[^\[\]\s]{1,38}$")] = "connected_accounts"
    on_update: Literal["update", "replace"] = "update"
    on_superseded: Literal["keep", "detach"] = "keep"
    superseded_grace_s: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 86_400
    on_detach: Literal["detach", "keep"] = "detach"
    detach_brake: Annotated[int, Field(ge=0)] = 500
    clones_per_card_per_hour: Annotated[int, Field(ge=1)] = 60
    default_follows: Literal["replaced", "platform"] = "replaced"
    reuse_existing: bool = True
    record_direct: Literal["all", "mapped", "none"] = "all"
    customer_fields: Words = ("name", "email")

    @field_validator("stripe_api_key")
    @classmethod
    def _is_of_the_mode(cls, value: SecretStr, info: ValidationInfo) -> SecretStr:
        live = value.get_secret_value()[3:].startswith("live_")
        if info.data.get("livemode", live) != live:
            mode, other = ("live", "false") if live else ("test", "true")
            raise ValueError(f"is a {mode} key, but {PREFIX}LIVEMODE is {other}; use the key of that mode")
        return value

    @field_validator("stripe_bulk_requests_per_second")
    @classmethod
    def _is_a_part_of_the_rate(cls, value: float | None, info: ValidationInfo) -> float | None:
        rate = info.data.get("stripe_requests_per_second")
        if rate is None:
            return value
        if value is not None and value > rate:
            raise ValueError(f"must not be more than {PREFIX}STRIPE_REQUESTS_PER_SECOND")
        return rate / 2 if value is None else value

    @field_validator("lease_s")
    @classmethod
    def _outlasts_a_call(cls, value: float, info: ValidationInfo) -> float:
        timeout_s = info.data.get("stripe_timeout_s", 0)
        if value < timeout_s + _LEASE_BEYOND_CALL_S:
            raise ValueError(f"must be at least {PREFIX}STRIPE_TIMEOUT_S + {_LEASE_BEYOND_CALL_S}")
        return value

    @field_validator("customer_fields")
    @classmethod
    def _can_be_given(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        if not _CUSTOMER_FIELDS.issuperset(value):
            raise ValueError(f"may name only {', '.join(sorted(_CUSTOMER_FIELDS))}, separated by commas")
        return value


class TopicsSettings(KafkaSettings):
    """What `offshoot topics` needs."""

    kafka_replication_factor: Annotated[int, Field(ge=-1, le=32767)] = -1

    @field_validator("kafka_replication_factor")
    @classmethod
    def _is_not_zero(cls, value: int) -> int:
        if value == 0:
            raise ValueError("must be 1 or more, or -1 for the broker's default")
        return value


class CommandsSettings(KafkaSettings):
    """What `offshoot commands` needs."""


class StoreSettings(CommonSettings):
    """What a command needs that works on the database alone: `migrate`, `shares`, `clones retry`, `brake`."""

    database_url: DatabaseUrl


class ListClonesSettings(StoreSettings):
    """What `offshoot clones list` needs: its records say the mode."""

    livemode: Livemode


_ALL: tuple[type[CommonSettings], ...] = (
    *(ServeSettings, WorkSettings, TopicsSettings, CommandsSettings),
    *(StoreSettings, ListClonesSettings),
)
_S = TypeVar("_S", bound=CommonSettings)


def load(cls: type[_S]) -> _S:
    """Read the settings of one command.

    Raises:
        SettingsError: naming every fault at once, without any value.

    """
    unset: dict[str, Any] = {}
    try:
        return cls(**unset)
    except ValidationError as error:
        faults = [_fault(detail["loc"], detail["type"], detail["msg"]) for detail in error.errors()]
    except (SourceError, UnicodeDecodeError):
        faults = [".env: cannot be read; write NAME=value lines in UTF-8"]
    # Outside the handlers: the causes of this error may quote values.
    raise SettingsError(faults)


def _fault(location: tuple[int | str, ...], kind: str, message: str) -> str:
    name = PREFIX + str(location[0]).upper() if location else "settings"
    if kind == "missing":
        return f"{name}: is not set or empty; it has no default, so set it"
    if kind == "string_pattern_mismatch":
        return f"{name}: is not of the right form; see the settings in the README"
    words = message.removeprefix("Value error, ").removeprefix("Input ")
    return f"{name}: {words}"


def unknown_settings(environ: Mapping[str, str]) -> list[str]:
    """Name the `OFFSHOOT_` variables that no command reads: misspelt, or not built yet."""
    known = {PREFIX + field.upper() for settings in _ALL for field in settings.model_fields}
    return sorted(name for name in environ if name.upper().startswith(PREFIX) and name.upper() not in known)
