"""The main job, end to end: driven by signed webhooks over HTTP, judged at Stripe and on Kafka."""

from typing import Any

from tests.e2e.conftest import Intents
from tests.support.platform import Platform
from tests.support.records import Records

WITHIN_S = 20
CLONE, CUSTOMERS = "/v1/payment_methods", "/v1/customers"


def _states(latest: dict[str, dict[str, Any]], *keys: str) -> list[tuple[str, str | None]]:
    return [(latest[key]["state"], latest[key]["reason"]) if key in latest else ("", None) for key in keys]


async def test_cards_become_usable_clones_on_every_account_they_are_shared_with(
    platform: Platform, records: Records
) -> None:
    """Two accounts at once; the third when its capability is active; a second card on all three."""
    first, second = await platform.connect_account(), await platform.connect_account()
    third = await platform.connect_account(capable=False)
    customer = await platform.new_customer(first, second, third)
    card = await platform.save_card(customer)
    keys = [f"{account}:{card}" for account in (first, second, third)]
    ready, blocked = ("ready", None), ("blocked", "capability_inactive")

    await records.until(lambda latest: _states(latest, *keys) == [ready, ready, blocked], within_s=WITHIN_S)
    assert [len(await platform.attached(account)) for account in (first, second, third)] == [1, 1, 0]

    await platform.set_capability(third, "active")
    await records.until(lambda latest: _states(latest, *keys) == [ready] * 3, within_s=WITHIN_S)

    other = await platform.save_card(customer, "tok_mastercard")
    others = [f"{account}:{other}" for account in (first, second, third)]
    await records.until(lambda latest: _states(latest, *others) == [ready] * 3, within_s=WITHIN_S)

    for account in (first, second, third):
        await _is_right_at_stripe_and_on_kafka(platform, records, account, customer, [card, other])
    assert [record["state"] for record in records.history[keys[2]]] == ["blocked", "ready"]


async def _is_right_at_stripe_and_on_kafka(
    platform: Platform, records: Records, account: str, customer: str, cards: list[str]
) -> None:
    """Exactly one attached clone a card, one customer, the first card its default; each record says so."""
    state = await platform.state(account)
    (connected,) = state["customers"]
    announced = [records.latest[f"{account}:{card}"] for card in cards]
    assert sorted(await platform.attached(account)) == sorted(
        record["connected_payment_method"] for record in announced
    )
    assert {method["customer"] for method in state["payment_methods"]} == {connected["id"]}
    default = connected["invoice_settings"]["default_payment_method"]
    assert default == announced[0]["connected_payment_method"]
    assert (connected["name"], connected["email"]) == ("Jenny Rosen", "jenny@example.com")
    for card, record in zip(cards, announced, strict=True):
        key = f"{account}:{card}"
        headers = records.headers[key]
        assert record == {
            "account": account,
            "origin": "clone",
            "state": "ready",
            "reason": None,
            "platform_customer": customer,
            "platform_payment_method": card,
            "connected_customer": connected["id"],
            "connected_payment_method": record["connected_payment_method"],
            "type": "card",
            "default": record["connected_payment_method"] == default,
            "generation": 1,
            "version": len(records.history[key]),
            "livemode": False,
            "occurred_at": headers["ce_time"],
        }
        assert headers == {
            "ce_specversion": "1.0",
            "ce_id": f"{key}:{record['version']}",
            "ce_type": "offshoot.payment_method.ready",
            "ce_source": "/offshoot",
            "ce_subject": key,
            "ce_time": record["occurred_at"],
            "ce_partitionkey": key,
            "content-type": "application/json",
        }


async def test_a_new_connected_customer_costs_two_writes_and_an_unknown_account_one_reading(
    platform: Platform, records: Records, intents: Intents
) -> None:
    """The account known by its events costs no call; each write bears the key of its recorded intent."""
    known = await platform.connect_account()
    unknown = await platform.connect_account(capable=False)
    customer = await platform.new_customer(known, unknown)
    card = await platform.save_card(customer)
    keys = [f"{known}:{card}", f"{unknown}:{card}"]
    await records.until(
        lambda latest: _states(latest, *keys) == [("ready", None), ("blocked", "capability_inactive")],
        within_s=WITHIN_S,
    )

    writes = await platform.calls(known)
    assert [(call["method"], call["route"]) for call in writes] == [("POST", CLONE), ("POST", CUSTOMERS)]
    assert [call["idempotency_key"] for call in writes] == await intents(known)
    assert await platform.calls(unknown) == []
    readings = [call["path"] for call in await platform.calls() if call["method"] == "GET"]
    assert [path for path in readings if known in path] == []
    assert [path for path in readings if unknown in path] == [f"/v1/accounts/{unknown}"]
    assert [path for path in readings if card in path or customer in path] == []
