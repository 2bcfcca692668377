"""The tests for a real sandbox run, and clean up: here the emulator stands in for it."""

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import httpx
import pytest

from tests.conformance.both.stripes import API_BASE, KEY, RESTRICTED_KEY, LiveKeyError, sandbox
from tests.conformance.conftest import API_KEY, ROOT, emulator

BOTH = "tests/conformance/both"


@pytest.fixture(scope="module")
def stand_in() -> Iterator[str]:
    """An emulator that no other test uses."""
    with emulator() as url:
        yield url


@dataclass(frozen=True)
class Run:
    """What a run of the tests printed, its counts, and what it left at the sandbox."""

    said: str
    counted: dict[str, int]
    accounts_made: int
    left: list[list[Any]]


@pytest.fixture(scope="module")
def whole_run(stand_in: str) -> Run:
    """Every test for a sandbox, run once."""
    said, counted = run("-k", "sandbox", **{KEY: API_KEY, RESTRICTED_KEY: API_KEY, API_BASE: stand_in})
    with httpx.Client(base_url=stand_in, auth=(API_KEY, ""), trust_env=False) as web:
        made = web.get("/_emulator/log", params={"method": "POST", "path": "/v1/accounts"}).json()["calls"]
        lists = ("customers", "accounts", "webhook_endpoints")
        left = [web.get(f"/v1/{each}").json()["data"] for each in lists]
    return Run(said, counted, len(made), left)


def run(*chosen: str, **environment: str) -> tuple[str, dict[str, int]]:
    """Run the tests of both Stripes with a key; give what was printed, and the counts."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("STRIPE_")}
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", BOTH, *chosen],
        cwd=ROOT,
        env={**inherited, **environment},
        capture_output=True,
        text=True,
        check=False,
    )
    last = done.stdout.splitlines()[-1]
    counted = re.findall(r"(\d+) (passed|failed|skipped|deselected|errors?)", last)
    return done.stdout, {what: int(number) for number, what in counted}


def test_every_test_runs_at_the_sandbox_and_leaves_nothing(whole_run: Run) -> None:
    """None is skipped, none fails; afterwards no customer, no account and no endpoint is there."""
    counted = whole_run.counted
    assert counted.keys() == {"passed", "deselected"}, whole_run.said
    assert counted["passed"] == counted["deselected"]  # each test is there for either Stripe
    assert whole_run.accounts_made > 0
    assert whole_run.left == [[], [], []]


def test_open_questions_are_answered_in_print(whole_run: Run) -> None:
    """Each has lines of its own, whatever the answer is."""
    said = whole_run.said
    assert "\nsandbox   9.1 the clone call with metadata: 400 parameter_unknown " in said
    assert "\nsandbox   updating card of a clone in place: 200 {" in said
    asked = {line.split()[1] for line in said.splitlines() if line.startswith("sandbox   9.")}
    assert asked == {"9.1", "9.2", "9.3", "9.4", "9.6", "9.7", "9.9"}


def test_a_sandbox_that_answers_otherwise_fails_a_test(stand_in: str) -> None:
    """Here it is one that makes no clone."""
    rule = {"method": "POST", "route": "/v1/payment_methods", "action": {"kind": "status", "status": 402}}
    made = httpx.post(f"{stand_in}/_emulator/faults", json=rule, trust_env=False).json()["id"]
    _, counted = run("-k", "sandbox and saved_card", **{KEY: API_KEY, API_BASE: stand_in})
    httpx.delete(f"{stand_in}/_emulator/faults/{made}", trust_env=False)
    assert counted["failed"] == 1


@pytest.mark.parametrize(
    "key", ["sk_live_1234567890", "rk_live_1234567890", "pk_test_1234567890", "1234567890"]
)
def test_live_key_is_refused(key: str) -> None:
    """Nothing is asked of a Stripe with real customers; the key is not repeated."""
    with pytest.raises(LiveKeyError) as raised:
        sandbox({KEY: key})
    assert key not in str(raised.value)


def test_sandbox_of_the_environment() -> None:
    """A key of test mode goes to Stripe's own address unless another is given; no key, no sandbox."""
    found = sandbox({KEY: "rk_test_1234567890"})
    assert found is not None
    assert (found.key, found.api_base) == ("rk_test_1234567890", "https://api.stripe.com")
    assert [sandbox({}), sandbox({KEY: ""})] == [None, None]
