"""One set of tests, two Stripes: the emulator always, and a sandbox where STRIPE_TEST_KEY is set."""

from collections.abc import Iterator

import pytest
import stripe

from tests.conformance.both.platform import Platform
from tests.conformance.both.questions import ANSWERS, Answers
from tests.conformance.both.stripes import EMULATOR, KEY, SANDBOX, Leg, sandbox
from tests.conformance.conftest import API_KEY


@pytest.fixture(scope="session", params=[EMULATOR, SANDBOX])
def leg(request: pytest.FixtureRequest) -> Leg:
    """Each Stripe in turn; a sandbox only with its key, and never with a live one."""
    if request.param == EMULATOR:
        return Leg(EMULATOR, API_KEY, request.getfixturevalue("emulator_url"))
    found = sandbox()
    if found is None:
        pytest.skip(f"{KEY} is not set: there is no sandbox to ask")
    return found


@pytest.fixture(scope="session")
def platform(leg: Leg) -> Iterator[Platform]:
    """A platform with a new account, for all tests of one Stripe; each test makes its own customers."""
    http = stripe.RequestsClient()
    client = stripe.StripeClient(
        leg.key, base_addresses={"api": leg.api_base}, max_network_retries=leg.retries, http_client=http
    )
    with Platform(leg, client) as platform:
        yield platform
    http.close()  # type: ignore[no-untyped-call]


@pytest.fixture
def answers(request: pytest.FixtureRequest, leg: Leg) -> Answers:
    """Takes down what a Stripe answers to an open question."""
    return Answers(leg.name, request.config.stash.setdefault(ANSWERS, []))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Print the answers to the open questions: they are the result of those tests."""
    told = config.stash.get(ANSWERS, [])
    if told and (sandbox() is not None or "unknown" in config.option.markexpr):
        terminalreporter.section("what is not documented, and what was answered")
        for line in told:
            terminalreporter.write_line(line)
