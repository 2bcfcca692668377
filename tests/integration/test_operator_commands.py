"""`offshoot shares`, `clones` and `brake` over a real Postgres: what they print, and how they end."""

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import jsonschema
import pytest
import typer
from typer.testing import CliRunner

from deploy.cli.brake import brake
from deploy.cli.clones import clones
from deploy.cli.shares import shares
from tests.integration.store.conftest import migrated, pool, sql, world
from tests.integration.store.world import World
from tests.unit.consumers.sightings import account, card, customer

__all__ = ["migrated", "pool", "sql", "world"]

ROOT: Final = Path(__file__).parents[2]
RECORD: Final = json.loads((ROOT / "schemas/published/v1/payment-method.schema.json").read_text())

Run = Callable[..., Any]


def _invoke(command: typer.Typer, arguments: tuple[str, ...], environment: dict[str, str]) -> Any:
    runner = CliRunner()
    cleared = {name: None for name in os.environ if name.startswith("OFFSHOOT_")}
    return runner.invoke(command, list(arguments), env={**cleared, **environment})


@pytest.fixture
def run(migrated: str) -> Run:
    """Run a command as with this environment; give its result."""

    async def ask(command: typer.Typer, *arguments: str, **settings: str) -> Any:
        values = {"DATABASE_URL": migrated, "LIVEMODE": "false", **settings}
        environment = {f"OFFSHOOT_{name}": value for name, value in values.items() if value}
        return await asyncio.to_thread(_invoke, command, arguments, environment)

    return ask


@pytest.fixture
async def failed(world: World) -> str:
    """A share with a failed clone; nothing is due."""
    await world.see(account(1), customer(1, "acct_1"), card(1))
    await world.sql.execute(
        "INSERT INTO offshoot.clone"
        " (share_id, platform_payment_method_id, generation, state, reason, version)"
        " SELECT id, 'pm_P', 1, 'failed', 'card_declined', 1 FROM offshoot.share"
    )
    await world.settle()
    return "acct_1:pm_P"


async def test_shares_as_json(run: Run, failed: str) -> None:
    said = await run(shares, "list", "--json")

    assert failed
    assert said.exit_code == 0
    assert json.loads(said.stdout) == [
        {
            "customer": "cus_P",
            "account": "acct_1",
            "wanted": True,
            "granted_by": ["metadata"],
            "due_at": None,
            "attempts": 0,
        }
    ]


async def test_clones_as_json_are_records(run: Run, failed: str) -> None:
    said = await run(clones, "list", "--state", "failed", "--account", "acct_1", "--json", LIVEMODE="true")

    (record,) = json.loads(said.stdout)
    assert said.exit_code == 0
    assert list(jsonschema.Draft202012Validator(RECORD).iter_errors(record)) == []
    assert f"{record['account']}:{record['platform_payment_method']}" == failed
    assert (record["state"], record["reason"], record["livemode"]) == ("failed", "card_declined", True)


@pytest.mark.parametrize("command", [(shares, "list"), (clones, "list")], ids=["shares", "clones"])
async def test_nothing_is_an_empty_list(run: Run, world: World, command: tuple[typer.Typer, str]) -> None:
    assert await world.due() == []

    said = await run(*command, "--json")

    assert (said.exit_code, json.loads(said.stdout)) == (0, [])


async def test_tables_for_people_are_whole_lines(run: Run, failed: str) -> None:
    """Not on a terminal a line is as long as it must be, so that grep finds every id."""
    said = [await run(clones, "list"), await run(shares, "list")]

    assert failed
    lines = [each.stdout.splitlines() for each in said]
    assert [each.exit_code for each in said] == [0, 0]
    assert [len(each) for each in lines] == [2, 2]
    assert lines[0][1].split()[:7] == ["acct_1", "cus_P", "pm_P", "failed", "card_declined", "-", "no"]
    assert lines[1][1].split() == ["cus_P", "acct_1", "yes", "metadata", "-", "0"]


async def test_a_retry_says_what_it_took_up(run: Run, world: World, failed: str) -> None:
    assert failed
    first = await run(clones, "retry", "--account", "acct_1")
    second = await run(clones, "retry", "--all", "--json")
    third = await run(clones, "retry", "--payment-method", "pm_other")

    assert [each.exit_code for each in (first, second, third)] == [0, 0, 0]
    assert first.stdout == "taken up: 1\n"
    assert json.loads(second.stdout) == {"taken_up": 1}
    assert third.stdout == "there is nothing to take up: no such clone waits for it\n"
    assert await world.due() == [("cus_P", "acct_1")]


async def test_grants_and_revocations(run: Run, world: World) -> None:
    await world.see(customer(1, "acct_1"))

    granted = await run(shares, "grant", "cus_P", "acct_2", "--json")
    assert (granted.exit_code, json.loads(granted.stdout)["granted_by"]) == (0, ["command"])
    revoked = await run(shares, "revoke", "cus_P", "acct_2", "--json")
    assert (revoked.exit_code, json.loads(revoked.stdout)["wanted"]) == (0, False)
    kept = await run(shares, "revoke", "cus_P", "acct_1")
    assert (kept.exit_code, kept.stderr) == (0, "it is still granted by metadata\n")
    never = await run(shares, "revoke", "cus_P", "acct_9")
    assert (never.exit_code, never.stderr) == (1, "cus_P was never shared with acct_9\n")
    await world.see(customer(2, "acct_1", deleted=True))
    gone = await run(shares, "grant", "cus_P", "acct_1")
    assert (gone.exit_code, gone.stdout) == (1, "")
    assert gone.stderr == "cus_P was deleted on the platform: there is nothing to share\n"


async def test_the_brake(run: Run, world: World) -> None:
    idle = await run(brake, "release")
    await world.sql.execute("UPDATE offshoot.brake SET engaged_at = '2026-01-01T00:00:00Z'")
    released = await run(brake, "release")
    again = await run(brake, "release", "--json")

    assert idle.stdout == "the brake was not engaged\n"
    assert released.stdout == "released; it was engaged since 2026-01-01T00:00:00Z, and held back 0 shares\n"
    assert json.loads(again.stdout) == {"engaged_at": None, "shares": 0}


@pytest.mark.parametrize(
    ("command", "arguments", "said"),
    [
        (clones, ("retry",), "which? Say --account, --payment-method, or --all"),
        (clones, ("list", "--state", "lost"), "'lost' is not one of"),
        (shares, ("grant", "cus_P"), "Missing argument"),
        (shares, ("grant", "acct_1", "cus_P"), "is not of the form cus_…"),
        (shares, ("grant", "cus_P", "acct_1;"), "is not of the form acct_…"),
    ],
)
async def test_what_is_asked_wrongly(
    run: Run, command: typer.Typer, arguments: tuple[str, ...], said: str
) -> None:
    done = await run(command, *arguments)

    assert (done.exit_code, done.stdout) == (2, "")
    assert said in done.stderr


COMMANDS: Final = [
    pytest.param(shares, ("list",), id="shares list"),
    pytest.param(shares, ("grant", "cus_P", "acct_1"), id="shares grant"),
    pytest.param(shares, ("revoke", "cus_P", "acct_1"), id="shares revoke"),
    pytest.param(clones, ("list",), id="clones list"),
    pytest.param(clones, ("retry", "--all"), id="clones retry"),
    pytest.param(brake, ("release",), id="brake release"),
]


@pytest.mark.parametrize(("command", "arguments"), COMMANDS)
async def test_what_is_not_as_it_should_be_is_told(
    run: Run, database: str, command: typer.Typer, arguments: tuple[str, ...]
) -> None:
    """A database that is away, one that nobody migrated, and settings that are missing or wrong."""
    away = await run(command, *arguments, DATABASE_URL="postgresql://offshoot@127.0.0.1:1/offshoot")
    assert (away.exit_code, away.stdout) == (1, "")
    assert "Postgres cannot be used (" in away.stderr
    assert "OFFSHOOT_DATABASE_URL" in away.stderr

    empty = await run(command, *arguments, DATABASE_URL=database)
    assert (empty.exit_code, empty.stdout) == (1, "")
    assert "the schema lacks 0001_projections_shares_clones" in empty.stderr
    assert "run offshoot migrate" in empty.stderr

    unset = await run(command, *arguments, DATABASE_URL="")
    assert (unset.exit_code, unset.stdout) == (2, "")
    assert "OFFSHOOT_DATABASE_URL: is not set" in unset.stderr


def test_as_a_process(migrated: str, tmp_path: Path) -> None:
    """The words that a person types."""
    done = subprocess.run(
        [sys.executable, "-W", "error", "-m", "deploy.cli", "clones", "retry", "--all"],
        env={
            "PATH": os.environ["PATH"],
            "PYTHONPATH": str(ROOT),
            "OFFSHOOT_DATABASE_URL": migrated,
        },
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )

    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith(("taken up", "there is nothing"))
