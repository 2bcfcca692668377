"""The call log: what was asked, by whom, with which effect."""

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx

ATTACH = "/v1/payment_methods/{payment_method}/attach"


def calls(web: httpx.Client, **asked: Any) -> list[dict[str, Any]]:
    """Ask the log."""
    answer = web.get("/_emulator/log", params=asked)
    found: list[dict[str, Any]] = answer.json()["calls"]
    return found


def test_log_is_asked_by_account_method_path_and_key(web: httpx.Client, account: str) -> None:
    """A path may be a route; a read, a refusal and a replay have no effect."""
    there = {"Stripe-Account": account}
    keyed = {**there, "Idempotency-Key": f"k-{account}"}
    customer = web.post("/v1/customers", headers=there).json()["id"]
    for _ in "12":
        web.post("/v1/payment_methods/pm_card_visa/attach", data={"customer": customer}, headers=keyed)
    web.get(f"/v1/customers/{customer}", headers=there)
    web.post("/v1/customers", data={"nmae": "x"}, headers=there)
    facts = ("method", "status", "replayed", "effect")
    told = [tuple(call[fact] for fact in facts) for call in calls(web, account=account)]
    assert told == [
        ("POST", 200, False, ["customer.created"]),
        ("POST", 200, False, ["payment_method.created", "payment_method.attached"]),
        ("POST", 200, True, []),
        ("GET", 200, False, []),
        ("POST", 400, False, []),
    ]
    first, again = calls(web, idempotency_key=f"k-{account}")
    assert (first["route"], first["path"]) == (ATTACH, "/v1/payment_methods/pm_card_visa/attach")
    assert (first["parameters"], first["livemode"]) == ({"customer": customer}, False)
    assert first["n"] + 1 == again["n"]
    assert [first, again] == calls(web, account=account, path=ATTACH)
    assert [again] == calls(web, account=account, path=first["path"], after=first["n"])
    assert len(calls(web, account=account, method="GET")) == 1
    assert first["n"] not in [call["n"] for call in calls(web, account="platform")]


def test_log_waits_for_a_call(web: httpx.Client, account: str) -> None:
    """It answers as soon as there is one, and after the time with none."""
    assert calls(web, account=account, wait_s=0.05) == []
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(calls, web, account=account, wait_s=4)
        web.get("/v1/customers", headers={"Stripe-Account": account})
        (call,) = waiting.result(timeout=4)
    assert (call["method"], call["path"]) == ("GET", "/v1/customers")


def test_numbers_go_on_when_the_log_is_emptied(web: httpx.Client, account: str) -> None:
    before = calls(web)[-1]["n"]
    web.delete("/_emulator/log")
    assert calls(web) == []
    web.get("/v1/customers", headers={"Stripe-Account": account})
    assert [before + 1] == [call["n"] for call in calls(web)]
