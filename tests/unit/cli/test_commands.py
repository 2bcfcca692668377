"""`offshoot commands send` tells what is not a command before anything is sent."""

import subprocess
import sys

import pytest
from typer.testing import CliRunner

from deploy.cli.commands import commands
from deploy.cli.faults import FAILED, FAILED_USAGE

SHARE = ["--account", "acct_1", "--customer", "cus_P"]


@pytest.fixture(autouse=True)
def _no_kafka(monkeypatch: pytest.MonkeyPatch) -> None:
    """One that nobody runs: nothing can be sent."""
    monkeypatch.setenv("OFFSHOOT_KAFKA_BOOTSTRAP_SERVERS", "127.0.0.1:1")


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["share.steal", *SHARE], "share.steal"),
        (["share.grant", "--account", "acct_1"], "customer"),
        (["share.grant", "--account", "acme", "--customer", "cus_P"], "$.account"),
        (["share.grant", *SHARE, "--consume"], "consume"),
        (["share.grant", *SHARE, "--expires-in", "0"], "expirytime"),
        (["clone.once", "--account", "acct_1"], "payment_method"),
        (
            ["clone.once", "--account", "acct_1", "--payment-method", "pm_1", "--payment-method", "pm_2"],
            "takes one",
        ),
        (["direct.save", *SHARE], "either payment_method or token"),
        (["direct.save", *SHARE, "--token", "tok_1", "--mandate-data", "{"], "not a command"),
        (["direct.save", *SHARE, "--token", "tok_1", "--mandate-data", "7"], "mandate_data"),
        (["direct.save", *SHARE, "--token", "tok_1", "--id", "x" * 2000], "ce_id"),
    ],
)
def test_what_is_not_a_command(words: list[str], told: str) -> None:
    ended = CliRunner().invoke(commands, ["send", *words])

    assert ended.exit_code == FAILED_USAGE, ended.output
    assert told in ended.output


def test_a_kafka_that_is_not_there() -> None:
    """In a process of its own: it sets up the logs of the process."""
    ended = subprocess.run(
        [sys.executable, "-m", "deploy.cli", "commands", "send", "share.grant", *SHARE],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )

    assert ended.returncode == FAILED
    assert "Kafka cannot be used" in ended.stderr


def test_settings_that_are_missing_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OFFSHOOT_KAFKA_BOOTSTRAP_SERVERS")

    ended = CliRunner().invoke(commands, ["send", "share.grant", *SHARE])

    assert ended.exit_code == FAILED_USAGE
    assert "OFFSHOOT_KAFKA_BOOTSTRAP_SERVERS: is not set" in ended.output
