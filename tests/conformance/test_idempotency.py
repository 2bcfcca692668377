"""Idempotency keys of API v1, rule by rule ([doc] api/idempotent_requests, error-low-level; STRIPE.md 6)."""

import httpx
import pytest

from tests.conformance.conftest import API_KEY

DECLINED = {"payment_method": "pm_card_visa_chargeDeclined"}


def ask(web: httpx.Client, account: str, path: str = "/v1/customers", **form: str) -> httpx.Response:
    """Call with a key that is this account's own."""
    headers = {"Stripe-Account": account, "Idempotency-Key": f"k-{account}"}
    return web.post(path, data=form, headers=headers)


def effects(web: httpx.Client, account: str) -> list[list[str]]:
    """Give the effects of each call with that key."""
    calls = web.get("/_emulator/log", params={"idempotency_key": f"k-{account}"}).json()["calls"]
    return [call["effect"] for call in calls]


def replayed(answer: httpx.Response) -> bool:
    """Say whether an answer is marked as given before."""
    return bool(answer.headers.get("idempotent-replayed") == "true")


def test_answer_is_given_again(web: httpx.Client, account: str) -> None:
    """Same body and status, marked, with the first request's id beside its own; nothing happens again."""
    first, again = (ask(web, account, name="Ada") for _ in "12")
    assert (first.status_code, first.content) == (again.status_code, again.content)
    assert (replayed(first), replayed(again)) == (False, True)
    assert first.headers["original-request"] == first.headers["request-id"]
    assert again.headers["original-request"] == first.headers["request-id"]
    assert again.headers["request-id"] != first.headers["request-id"]
    assert effects(web, account) == [["customer.created"], []]


def test_what_an_endpoint_refused_is_given_again(web: httpx.Client, account: str) -> None:
    """The execution began: a decline is remembered, and so is an object that was not there."""
    first, again = (ask(web, account, **DECLINED) for _ in "12")
    assert (first.status_code, again.status_code, replayed(again)) == (402, 402, True)
    assert first.json() == again.json()


def test_missing_object_is_given_again(web: httpx.Client, account: str) -> None:
    first, again = (ask(web, account, "/v1/payment_methods/pm_1/attach", customer="cus_1") for _ in "12")
    assert (first.status_code, again.status_code, replayed(again)) == (404, 404, True)


def test_what_was_refused_before_is_not_remembered(web: httpx.Client, account: str) -> None:
    """Wrong parameters, a wrong key or account, a limit: the same key then does the work."""
    assert ask(web, account, nmae="Ada").status_code == 400
    headers = {"Stripe-Account": account, "Idempotency-Key": f"k-{account}"}
    assert web.post("/v1/customers", headers=headers, auth=("sk_test_wrong000000", "")).status_code == 401
    web.post(f"/_emulator/accounts/{account}/deauthorize")
    assert ask(web, account, name="Ada").status_code == 403
    web.post(f"/_emulator/accounts/{account}/authorize")
    done = ask(web, account, name="Ada")
    assert (done.status_code, replayed(done)) == (200, False)


@pytest.mark.parametrize(
    ("path", "form"),
    [("/v1/customers", {"name": "Grace"}), ("/v1/customers", {}), ("/v1/payment_methods", {"name": "Ada"})],
)
def test_another_request_is_refused(web: httpx.Client, account: str, path: str, form: dict[str, str]) -> None:
    """Other parameters or another endpoint; the first answer is still there afterwards."""
    first = ask(web, account, name="Ada")
    other = ask(web, account, path, **form)
    assert (other.status_code, other.json()["error"]["type"]) == (400, "idempotency_error")
    assert ask(web, account, name="Ada").json() == first.json()


def test_order_of_parameters_does_not_matter(web: httpx.Client, account: str) -> None:
    ask(web, account, name="Ada", email="ada@example.com")
    assert replayed(ask(web, account, email="ada@example.com", name="Ada"))


def test_key_is_one_account_s(web: httpx.Client, account: str) -> None:
    """The same key on the platform, and of another API key, is another key (STRIPE.md 9.4: not published)."""
    made = {ask(web, account, name="Ada").json()["id"]}
    key = {"Idempotency-Key": f"k-{account}"}
    made.add(web.post("/v1/customers", data={"name": "Ada"}, headers=key).json()["id"])
    web.post("/_emulator/keys", json={"key": f"{API_KEY}2"})
    there = {**key, "Stripe-Account": account}
    other = web.post("/v1/customers", data={"name": "Ada"}, headers=there, auth=(f"{API_KEY}2", ""))
    made.add(other.json()["id"])
    assert len(made) == 3


def test_key_means_nothing_to_a_read(web: httpx.Client, account: str) -> None:
    headers = {"Stripe-Account": account, "Idempotency-Key": f"k-{account}"}
    for path in ("/v1/customers", "/v1/events"):
        answer = web.get(path, headers=headers)
        assert (answer.status_code, replayed(answer)) == (200, False)


def test_key_has_at_most_255_characters(web: httpx.Client) -> None:
    answer = web.post("/v1/customers", headers={"Idempotency-Key": "k" * 256})
    assert (answer.status_code, answer.json()["error"]["type"]) == (400, "idempotency_error")
