"""Faults on demand, and what they leave behind."""

import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest

from tests.conformance.conftest import DEADLINE_S

CUSTOMERS = {"method": "POST", "route": "/v1/customers"}


def rule(web: httpx.Client, account: str, action: dict[str, Any], **more: Any) -> str:
    """Set a fault on the account's customer calls."""
    answer = web.post("/_emulator/faults", json={**CUSTOMERS, "account": account, "action": action, **more})
    assert answer.status_code == 200, answer.text
    return str(answer.json()["id"])


def create(web: httpx.Client, account: str, key: str = "") -> httpx.Response:
    """Create a customer on the account."""
    headers = {"Stripe-Account": account} | ({"Idempotency-Key": key} if key else {})
    return web.post("/v1/customers", headers=headers, data={"name": "Ada"})


def customers(web: httpx.Client, account: str) -> int:
    """Count the account's customers."""
    return len(web.get(f"/_emulator/accounts/{account}/state").json()["customers"])


@pytest.mark.parametrize(
    ("action", "left", "then"),
    [
        ({"kind": "status", "status": 500, "when": "before"}, 0, 500),
        ({"kind": "status", "status": 500, "when": "after"}, 1, 500),
        ({"kind": "status", "status": 503, "when": "before"}, 0, 200),
        ({"kind": "status", "status": 503, "when": "after"}, 1, 200),
        ({"kind": "status", "status": 429, "when": "before"}, 0, 200),
        ({"kind": "status", "status": 409, "when": "before"}, 0, 200),
    ],
)
def test_status(web: httpx.Client, account: str, action: dict[str, Any], left: int, then: int) -> None:
    """An endpoint's own 500 is replayed for its key; what comes from in front of it is not remembered."""
    rule(web, account, action, count=1)
    assert action["status"] == create(web, account, f"k-{account}").status_code
    assert left == customers(web, account)
    again = create(web, account, f"k-{account}")
    assert then == again.status_code
    assert (left == 1 or then == 500) == ("idempotent-replayed" in again.headers)
    assert (1 if then == 200 else left) == customers(web, account)


def test_latency(web: httpx.Client, account: str) -> None:
    """The answer takes its time."""
    rule(web, account, {"kind": "latency", "seconds": 0.1}, count=1)
    began_s = time.monotonic()
    assert create(web, account).status_code == 200
    assert time.monotonic() - began_s >= 0.1
    assert customers(web, account) == 1


def test_rate_limit_has_its_reason(web: httpx.Client, account: str) -> None:
    """With a reason a 429 is the limiter's, without one it is a lock, which names no request."""
    reason = {"Stripe-Rate-Limited-Reason": "endpoint-rate"}
    rule(web, account, {"kind": "status", "status": 429, "headers": reason}, count=1)
    rule(web, account, {"kind": "status", "status": 429}, count=1)
    limited, locked = create(web, account), create(web, account)
    assert limited.headers["stripe-rate-limited-reason"] == "endpoint-rate"
    assert [each.json()["error"]["code"] for each in (limited, locked)] == ["rate_limit", "lock_timeout"]
    assert ["request-id" in each.headers for each in (limited, locked)] == [True, False]
    assert "request_log_url" not in locked.json()["error"]


@pytest.mark.parametrize(("when", "left"), [("before", 0), ("after", 1)])
def test_cut(web: httpx.Client, account: str, when: str, left: int) -> None:
    """The connection ends without an answer; a retry with the key makes one customer in all."""
    rule(web, account, {"kind": "cut", "when": when}, count=1)
    with pytest.raises(httpx.TransportError):
        create(web, account, f"k-{account}")
    assert left == customers(web, account)
    assert create(web, account, f"k-{account}").status_code == 200
    assert customers(web, account) == 1
    calls = web.get("/_emulator/log", params={"account": account}).json()["calls"]
    assert [(None, False), (200, left == 1)] == [(call["status"], call["replayed"]) for call in calls]
    assert [
        ["customer.created"] if when == "after" else [],
        [] if when == "after" else ["customer.created"],
    ] == [call["effect"] for call in calls]


def test_held_answer(web: httpx.Client, account: str) -> None:
    """The effect is there and logged while the answer waits; the key is in use until the rule goes."""
    held = rule(web, account, {"kind": "hold"}, count=1)
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(create, web, account, f"k-{account}")
        calls = web.get("/_emulator/log", params={"account": account, "wait_s": 4}).json()["calls"]
        assert [call["effect"] for call in calls] == [["customer.created"]]
        assert customers(web, account) == 1
        assert not waiting.done()
        second = create(web, account, f"k-{account}")
        assert (second.status_code, second.json()["error"]["code"]) == (409, "idempotency_key_in_use")
        web.delete(f"/_emulator/faults/{held}")
        first = waiting.result(timeout=5)
    replay = create(web, account, f"k-{account}")
    assert (200, first.json()) == (replay.status_code, replay.json())
    assert customers(web, account) == 1


def test_held_answer_ends_when_its_caller_leaves(web: httpx.Client, account: str) -> None:
    """Whoever waited in vain gets the same answer with the same key."""
    rule(web, account, {"kind": "hold"}, count=1)
    with (
        httpx.Client(base_url=web.base_url, auth=web.auth, timeout=0.2, trust_env=False) as hasty,
        pytest.raises(httpx.ReadTimeout),
    ):
        create(hasty, account, f"k-{account}")
    deadline_s = time.monotonic() + DEADLINE_S
    while (again := create(web, account, f"k-{account}")).status_code == 409:
        assert time.monotonic() < deadline_s
    assert (again.status_code, again.headers["idempotent-replayed"]) == (200, "true")
    assert customers(web, account) == 1


def test_seeded_rule_repeats(web: httpx.Client, account: str) -> None:
    """The same seed meets the same calls with the same faults."""
    runs = []
    for _ in range(2):
        made = rule(web, account, {"kind": "status", "status": 503}, probability=0.5, seed=7)
        runs.append([create(web, account).status_code for _ in range(12)])
        shown = web.get("/_emulator/faults").json()["faults"]
        assert [runs[-1].count(503)] == [each["fired"] for each in shown if each["id"] == made]
        web.delete("/_emulator/faults")
    assert runs[0] == runs[1]
    assert {200, 503} == set(runs[0])


def test_key_is_forgotten_after_a_day(web: httpx.Client, account: str) -> None:
    """24 hours of the emulator's clock later, the same key makes a second customer."""
    first = create(web, account, f"k-{account}").json()["id"]
    assert first == create(web, account, f"k-{account}").json()["id"]
    web.post("/_emulator/clock", json={"advance_s": 24 * 3600})
    assert first != create(web, account, f"k-{account}").json()["id"]


@pytest.mark.parametrize(
    "said",
    [
        {},
        [],
        {"acton": 1},
        {"action": {"kind": "no"}},
        {"action": {"kind": "hold"}, "route": "/v1/no"},
        {"action": {"kind": "hold"}, "method": "PUT"},
        {"action": {"kind": "hold"}, "count": 0},
        {"action": {"kind": "hold"}, "probability": 0},
        {"action": {"kind": "hold"}, "probability": 2},
        {"action": {"kind": "latency", "seconds": -1}},
        {"action": {"kind": "status", "status": 99}},
        {"action": {"kind": "status", "status": 500, "body": "x"}},
        {"action": {"kind": "status", "status": 500, "headers": ["x"]}},
        {"action": {"kind": "status", "status": 500, "headers": {"x": 1}}},
    ],
    ids=str,
)
def test_bad_rule_is_refused(web: httpx.Client, said: Any) -> None:
    """A rule that could never fire, or that nothing could answer by, is said to be wrong."""
    assert web.post("/_emulator/faults", json=said).status_code == 400
    assert web.delete("/_emulator/faults/nothing").status_code == 404
