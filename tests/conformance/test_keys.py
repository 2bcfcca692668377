"""Keys: two modes apart, restricted ones within their rights, expired ones out (STRIPE.md 1.6 and 7)."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import httpx
import pytest
import stripe

from tests.conformance.conftest import API_KEY, DEADLINE_S, Receiver

LIVE_KEY = "sk_live_" + "emulator00"
RESTRICTED = "rk_test_" + "emulator00"
Use = Callable[..., httpx.Client]


@pytest.fixture
def use(web: httpx.Client) -> Iterator[Use]:
    """Makes a key at the emulator, and gives a client that has it."""
    with ExitStack() as undo:

        def client(key: str, **rights: Any) -> httpx.Client:
            made = web.post("/_emulator/keys", json={"key": key, **rights})
            assert made.status_code == 200, made.text
            opened = httpx.Client(base_url=web.base_url, auth=(key, ""), trust_env=False, timeout=DEADLINE_S)
            return undo.enter_context(opened)

        yield client


@pytest.fixture
def live(use: Use) -> httpx.Client:
    """A client with a key of live mode."""
    return use(LIVE_KEY)


def error(answer: httpx.Response) -> tuple[int, str | None, str]:
    """Give a refusal's status, code and text."""
    said = answer.json()["error"]
    return answer.status_code, said.get("code"), said["message"]


def test_modes_are_two_worlds(web: httpx.Client, live: httpx.Client) -> None:
    """What a key makes is of its mode, and the other mode's key is told so (STRIPE.md 1.6)."""
    in_test = web.post("/v1/customers", data={"payment_method": "pm_card_visa"}).json()
    in_live = live.post("/v1/customers", data={"name": "Ada"}).json()
    assert (in_test["livemode"], in_live["livemode"]) == (False, True)
    assert live.get(f"/v1/customers/{in_live['id']}").json()["livemode"] is True
    assert in_test["id"] not in [each["id"] for each in live.get("/v1/customers").json()["data"]]
    for client, made, there, used in ((live, in_test, "test", "live"), (web, in_live, "live", "test")):
        status, code, text = error(client.get(f"/v1/customers/{made['id']}"))
        assert (status, code) == (404, "resource_missing")
        assert text == (
            f"No such customer: '{made['id']}'; a similar object exists in {there} mode, but a {used} mode "
            "key was used to make this request."
        )
    status, _, text = error(live.post("/v1/payment_methods/pm_1/attach", data={"customer": in_test["id"]}))
    assert (status, text) == (404, "No such PaymentMethod: 'pm_1'")


def test_what_may_not_be_read_cannot_be_expanded(web: httpx.Client, use: Use) -> None:
    """Neither of one object nor in a list; nothing has happened by then."""
    restricted = use(RESTRICTED, rights={"payment_method": "write"})
    customer = web.post("/v1/customers", data={"payment_method": "pm_card_visa"}).json()["id"]
    (card,) = web.get(f"/v1/customers/{customer}/payment_methods").json()["data"]
    url = f"/v1/payment_methods/{card['id']}"
    for answer in (
        restricted.get(f"{url}?expand[]=customer"),
        restricted.get(f"/v1/customers/{customer}/payment_methods?expand[]=data.customer"),
        restricted.post(f"{url}/detach", data={"expand[]": "customer.invoice_settings"}),
    ):
        status, _, text = error(answer)
        assert status == 403
        assert "rak_customer_read" in text
    assert restricted.get(url).json()["customer"] == customer


def test_account_of_test_mode_is_none_of_live_mode(live: httpx.Client, account: str) -> None:
    """The other way round it is an account that the key has no access to."""
    status, _, text = error(live.get("/v1/customers", headers={"Stripe-Account": account}))
    assert status == 400
    assert text == (
        f"The account {account} was a test account created with a testmode key, and therefore can only be "
        "used with testmode keys."
    )


def test_account_of_live_mode_is_unknown_to_test_mode(web: httpx.Client, live: httpx.Client) -> None:
    made = live.post("/v1/accounts", data={"type": "standard", "country": "US"}).json()["id"]
    assert error(web.get(f"/v1/accounts/{made}"))[:2] == (403, "account_invalid")
    assert live.get(f"/v1/accounts/{made}").status_code == 200
    state = web.get(f"/_emulator/accounts/{made}/state", params={"livemode": "true"}).json()
    assert (state["id"], state["authorized"]) == (made, True)


def test_events_are_of_their_mode(
    web: httpx.Client, live: httpx.Client, account: str, receiver: Receiver, client: stripe.StripeClient
) -> None:
    """Live endpoints get live events; a live Connect endpoint gets those of test mode too."""
    asked = {"url": receiver.url, "enabled_events[]": "customer.created"}
    own = live.post("/v1/webhook_endpoints", data=asked).json()
    assert own["livemode"] is True
    assert own["id"] not in [each.id for each in client.v1.webhook_endpoints.list({"limit": 100}).data]
    web.post("/v1/customers", data={"name": "test"})
    live.post("/v1/customers", data={"name": "live"})
    event = receiver.next().event
    assert (event["livemode"], event["data"]["object"]["livemode"]) == (True, True)
    assert event["data"]["object"]["name"] == "live"
    thin = live.get("/v2/core/events?limit=1").json()["data"][0]
    assert (thin["snapshot_event"], thin["livemode"]) == (event["id"], True)
    assert thin["id"].startswith("evt_65")
    connect = live.post("/v1/webhook_endpoints", data={**asked, "connect": "true"}).json()
    web.post("/v1/customers", headers={"Stripe-Account": account}, data={"name": "test"})
    event = receiver.next().event
    assert (event["account"], event["livemode"]) == (account, False)
    for each in (own, connect):
        live.delete(f"/v1/webhook_endpoints/{each['id']}")


def test_restricted_key_keeps_to_its_rights(use: Use, account: str) -> None:
    """Writing includes reading, `*` is for all that is not named, and the refusal names the permission."""
    key = use(RESTRICTED, rights={"customer": "write", "payment_method": "none", "*": "read"})
    made = key.post("/v1/customers", data={"name": "Ada"})
    assert (made.status_code, key.get("/v1/customers").status_code) == (200, 200)
    assert key.get("/v1/accounts").status_code == 200
    for answer, permission in (
        (key.get(f"/v1/customers/{made.json()['id']}/payment_methods"), "rak_payment_method_read"),
        (key.post("/v1/payment_methods/pm_1/detach"), "rak_payment_method_write"),
        (key.post("/v1/accounts", data={"type": "standard"}), "rak_accounts_kyc_basic_write"),
        (key.post(f"/v1/accounts/{account}/capabilities/transfers"), "rak_accounts_kyc_basic_write"),
        (key.post("/v1/webhook_endpoints", data={"url": "http://x"}), "rak_webhook_write"),
        (key.post("/v2/core/event_destinations", json={}), "rak_webhook_write"),
    ):
        status, code, text = error(answer)
        assert (status, code) == (403, None)
        assert text == (
            "The provided key 'rk_test_******or00' does not have the required permissions for this endpoint "
            f"on account 'acct_1EmulatPlatform00'. Having the '{permission}' permission would allow this "
            "request to continue."
        )
        assert "request-id" in answer.headers


def test_connected_accounts_have_rights_of_their_own(use: Use, account: str) -> None:
    """Rights on the platform are none on an account; to clone takes both (STRIPE.md 9.6)."""
    there = {"Stripe-Account": account}
    key = use(RESTRICTED, rights={"*": "write"})
    card = key.post("/v1/payment_methods", data={"type": "card", "card[token]": "tok_visa"}).json()["id"]
    status, _, text = error(key.get("/v1/customers", headers=there))
    assert status == 403
    assert text.startswith("You passed a restricted API key with the Stripe-Account header")
    use(RESTRICTED, rights={"customer": "read"}, connect_rights={"payment_method": "write"})
    clone = {"payment_method": card}
    status, _, text = error(key.post("/v1/payment_methods", data=clone, headers=there))
    assert (status, "'rak_payment_method_read'" in text) == (403, True)
    use(RESTRICTED, rights={"payment_method": "read"}, connect_rights={"payment_method": "read"})
    status, _, text = error(key.post("/v1/payment_methods", data=clone, headers=there))
    assert (status, "'rak_payment_method_write'" in text, account in text) == (403, True, True)
    use(RESTRICTED, rights={"payment_method": "read"}, connect_rights={"payment_method": "write"})
    assert key.post("/v1/payment_methods", data=clone, headers=there).status_code == 200


def test_event_is_shown_to_who_may_read_its_object(web: httpx.Client, use: Use, account: str) -> None:
    there = {"Stripe-Account": account}
    web.post("/v1/customers", headers=there)
    (event,) = web.get("/v1/events", headers=there).json()["data"]
    key = use(RESTRICTED, connect_rights={"event": "read"})
    status, _, text = error(key.get(f"/v1/events/{event['id']}", headers=there))
    assert (status, "'rak_customer_read'" in text) == (403, True)
    use(RESTRICTED, connect_rights={"event": "read", "customer": "read"})
    assert key.get(f"/v1/events/{event['id']}", headers=there).json() == event


def test_expired_key_is_refused(use: Use, web: httpx.Client) -> None:
    """As one that was rolled or revoked; the client of Stripe's takes it for what it is."""
    key = use(RESTRICTED + "0", rights={"*": "read"})
    assert key.get("/v1/customers").status_code == 200
    web.post(f"/_emulator/keys/{RESTRICTED}0/expire")
    answer = key.get("/v1/customers")
    assert error(answer) == (401, "api_key_expired", "Expired API Key provided: rk_test_*******r000")
    listed = {each["text"]: each for each in web.get("/_emulator/keys").json()["keys"]}
    assert (listed[RESTRICTED + "0"]["expired"], listed[API_KEY]["rights"]) == (True, None)
    assert web.post("/_emulator/keys/nothing/expire").status_code == 404


def test_publishable_key_is_refused(web: httpx.Client) -> None:
    answer = web.get("/v1/customers", auth=("pk_test_emulator00", ""))
    assert error(answer)[:2] == (403, "secret_key_required")


@pytest.mark.parametrize(
    "said",
    [
        {},
        {"key": "sk_test_1"},
        {"key": "pk_test_1234567"},
        {"key": "sk_test_1234567", "rights": {"customer": "read"}},
        {"key": "rk_test_1234567", "rights": {"customer": "all"}},
        {"key": "rk_test_1234567", "right": {}},
    ],
    ids=str,
)
def test_impossible_key_is_refused(web: httpx.Client, said: dict[str, Any]) -> None:
    assert web.post("/_emulator/keys", json=said).status_code in (400, 404)


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Stripe-Context": "{account}"}, 200),
        ({"Stripe-Context": "acct_1EmulatPlatform00/{account}"}, 200),
        ({"Stripe-Context": "{account}", "Stripe-Account": "{account}"}, 200),
        ({"Stripe-Context": "acct_1EmulatPlatform00"}, 200),
        ({"Stripe-Context": "acct_1Unknown00000000/{account}"}, 403),
        ({"Stripe-Context": "acct_1Unknown00000000"}, 403),
        ({"Stripe-Account": "acct_1Unknown00000000"}, 403),
        ({"Stripe-Context": "{account}", "Stripe-Account": "acct_1EmulatPlatform00"}, 400),
    ],
    ids=str,
)
def test_account_is_named_by_either_header(
    web: httpx.Client, account: str, headers: dict[str, str], status: int
) -> None:
    """A context may be a path from the platform; two headers that differ are refused."""
    named = {name: value.format(account=account) for name, value in headers.items()}
    answer = web.post("/v1/customers", headers=named)
    assert answer.status_code == status
    if status == 403:
        assert error(answer)[1] == "account_invalid"
    if status == 200:
        whose = None if named["Stripe-Context"] == "acct_1EmulatPlatform00" else account
        (call,) = web.get("/_emulator/log").json()["calls"][-1:]
        assert call["account"] == whose
