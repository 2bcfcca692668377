"""The rate limits that Stripe publishes, when they are switched on."""

from collections.abc import Iterator

import httpx
import pytest


@pytest.fixture
def limits(web: httpx.Client) -> Iterator[httpx.Client]:
    """An emulator with its limits on, for calls of the platform and all its accounts together."""
    assert web.post("/_emulator/limits", json={"on": True}).status_code == 200
    yield web
    web.post("/_emulator/limits", json={"on": False})


def until_refused(web: httpx.Client, method: str, path: str, account: str = "") -> tuple[int, httpx.Response]:
    """Call until there is a 429, and say how many calls went through before."""
    headers = {"Stripe-Account": account} if account else {}
    for passed in range(200):
        answer = web.request(method, path, headers=headers)
        if answer.status_code == 429:
            return passed, answer
    raise AssertionError("nothing is limited")


def test_sandbox_takes_25_calls_a_second(account: str, limits: httpx.Client) -> None:
    """Of all accounts together; a second later as many again; what is refused is no use of its key."""
    passed, refused = until_refused(limits, "GET", "/v1/customers", account)
    assert passed >= 25
    assert refused.headers["stripe-rate-limited-reason"] == "global-rate"
    assert refused.json()["error"]["code"] == "rate_limit"
    assert "stripe-should-retry" not in refused.headers
    key = {"Idempotency-Key": f"k-{account}"}
    while limits.post("/v1/customers", headers=key, data={"name": "Ada"}).status_code == 200:
        key = {"Idempotency-Key": key["Idempotency-Key"] + "+"}
    limits.post("/_emulator/clock", json={"advance_s": 1})
    answer = limits.post("/v1/customers", headers=key, data={"name": "Grace"})
    assert (answer.status_code, answer.json()["name"]) == (200, "Grace")
    assert limits.get("/_emulator/limits").json()["refused"] >= 2


def test_accounts_are_made_at_5_a_second(limits: httpx.Client) -> None:
    """An endpoint has a limit of its own; the others go on."""
    passed, refused = until_refused(limits, "POST", "/v1/accounts")
    assert 5 <= passed < 25
    assert refused.headers["stripe-rate-limited-reason"] == "endpoint-rate"
    assert limits.get("/v1/accounts").status_code == 200


def test_calls_may_count_on_their_account(account: str, limits: httpx.Client) -> None:
    limits.post("/_emulator/limits", json={"on": True, "counts_on": "account"})
    until_refused(limits, "GET", "/v1/customers", account)
    assert limits.get("/v1/customers").status_code == 200


@pytest.mark.parametrize(
    "said", [{}, {"on": 1}, {"on": True, "counts_on": "key"}, {"on": True, "x": 1}], ids=str
)
def test_impossible_limits_are_refused(web: httpx.Client, said: dict[str, object]) -> None:
    assert web.post("/_emulator/limits", json=said).status_code == 400
