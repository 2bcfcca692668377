"""Ways A and B at the emulator: what is saved on an account without us, told by snapshot or thin events."""

from datetime import UTC, datetime
from typing import Any

import pytest

from consumers.clone.policy import OnUpdate
from consumers.store.database import Database
from schemas.commands import GrantShare
from schemas.records import Origin, Reason, State
from tests.integration.engine.commanded import Commanded, commanded
from tests.integration.store.world import World

INTENTS, SETUPS, METHODS = "/v1/payment_intents", "/v1/setup_intents", "/v1/payment_methods"
ACH = {"us_bank_account_ach_payments": "active", "card_payments": "active"}
AGREED = {"mandate_data[customer_acceptance][type]": "offline"}


async def _account(play: Commanded) -> tuple[str, str]:
    """An account that takes cards and bank debits, and a customer of its own."""
    account = await play.stripe.connect_account()
    await play.stripe.control("POST", f"accounts/{account}/capabilities", ACH)
    customer = await play.stripe.post("/v1/customers", account, name="Jenny Rosen")
    return account, str(customer["id"])


async def _pay(play: Commanded, account: str, customer: str, method: str, **more: str) -> dict[str, Any]:
    said = {"amount": "1000", "currency": "usd", "customer": customer, "payment_method": method, **more}
    return await play.stripe.post(INTENTS, account, confirm="true", **said)


async def _set_up(play: Commanded, account: str, customer: str, method: str, **more: str) -> dict[str, Any]:
    return await play.stripe.post(
        SETUPS, account, customer=customer, payment_method=method, confirm="true", **more
    )


def _thin(event: dict[str, Any]) -> dict[str, Any]:
    """The thin twin of an event: which object it is about, not how it is."""
    return {
        "id": f"{event['id']}_thin",
        "object": "v2.core.event",
        "type": f"v1.{event['type']}",
        "livemode": False,
        "created": datetime.fromtimestamp(event["created"], UTC).isoformat(),
        "context": event.get("account"),
        "reason": {"type": "request", "request": event["request"]} if event.get("request") else None,
        "related_object": {"id": event["data"]["object"]["id"], "type": "x", "url": "/x"},
    }


class Thinly(Commanded):
    """Stripe tells everything that happens on accounts by thin events alone."""

    async def take_in(self, events: Any) -> None:
        await super().take_in(
            [
                _thin(event) if event.get("account") and not event["type"].startswith("account.") else event
                for event in events
            ]
        )


@pytest.mark.parametrize("kind", [Commanded, Thinly])
async def test_way_a_by_a_payment_and_by_a_setup(world: World, pool: Database, kind: type[Commanded]) -> None:
    async with commanded(world, pool, kind=kind) as play:
        account, customer = await _account(play)
        paid = await _pay(play, account, customer, "pm_card_visa", setup_future_usage="off_session")
        saved = await _set_up(play, account, customer, "pm_card_mastercard")
        await _pay(play, account, customer, "pm_card_amex")
        await play.settle()

        records = await play.records()
        assert {key.rpartition(":")[2] for key in records} == {
            paid["payment_method"],
            saved["payment_method"],
        }
        for record in records.values():
            assert (record.origin, record.state, record.reason) == (Origin.DIRECT, State.READY, None)
            assert (record.connected_customer, record.type) == (customer, "card")
        assert len(await play.history()) == 2


@pytest.mark.parametrize("kind", [Commanded, Thinly])
async def test_way_b_and_what_becomes_of_it(world: World, pool: Database, kind: type[Commanded]) -> None:
    """Attached, made the default, detached."""
    async with commanded(world, pool, kind=kind) as play:
        account, customer = await _account(play)
        method = (await play.stripe.post(METHODS, account, type="card", **{"card[token]": "tok_visa"}))["id"]
        await play.settle()
        assert await play.records() == {}
        steps = [
            (f"{METHODS}/{method}/attach", {"customer": customer}),
            (f"/v1/customers/{customer}", {"invoice_settings[default_payment_method]": method}),
            (f"{METHODS}/{method}/detach", {}),
        ]
        for path, parameters in steps:
            await play.stripe.post(path, account, **parameters)
            await play.settle()

        told = [(each.state, each.reason, each.default) for each in await play.history()]
        assert told == [
            (State.READY, None, False),
            (State.READY, None, True),
            (State.ABSENT, Reason.DETACHED_ON_ACCOUNT, False),
        ]


@pytest.mark.parametrize("kind", [Commanded, Thinly])
async def test_no_clone_of_ours_is_ever_direct(world: World, pool: Database, kind: type[Commanded]) -> None:
    """Made, replaced, changed by others there, ended by others, made anew."""
    async with commanded(world, pool, kind=kind, on_update=OnUpdate.REPLACE) as play:
        account, _ = await _account(play)
        customer = await play.stripe.new_customer(account)
        card = await play.stripe.save_card(customer)
        await play.settle()
        await play.stripe.post(f"{METHODS}/{card}", **{"card[exp_year]": "2039"})
        await play.settle()
        for clone in await play.stripe.attached(account):
            await play.stripe.post(f"{METHODS}/{clone}", account, **{"metadata[by]": "them"})
        await play.settle()
        for clone in await play.stripe.attached(account):
            await play.stripe.post(f"{METHODS}/{clone}/detach", account)
        await play.settle()
        await play.done(GrantShare(customer=customer, account=account))

        records = await play.records()
        assert set(records) == {f"{account}:{card}"}
        assert {each.origin for each in await play.history()} == {Origin.CLONE}
        assert records[f"{account}:{card}"].state is State.READY


@pytest.mark.parametrize("kind", [Commanded, Thinly])
async def test_a_cloned_bank_account_is_unverified_until_its_mandate_was_seen_there(
    world: World, pool: Database, kind: type[Commanded]
) -> None:
    async with commanded(world, pool, kind=kind) as play:
        account, _ = await _account(play)
        customer = await play.stripe.new_customer(account)
        # On the platform, its holder agrees to debits by the platform.
        original = await play.stripe.post(
            SETUPS,
            customer=customer,
            payment_method="pm_usBankAccount_success",
            confirm="true",
            **{"allowed_payment_method_types[]": "us_bank_account", **AGREED},
        )
        await play.settle()
        record = await play.record(account, original["payment_method"])
        assert (record.state, record.reason) == (State.READY, Reason.MANDATE_UNVERIFIED)

        assert record.connected_customer is not None
        assert record.connected_payment_method is not None
        paid = await _pay(
            play,
            account,
            record.connected_customer,
            record.connected_payment_method,
            **{"allowed_payment_method_types[]": "us_bank_account", **AGREED},
        )
        assert paid["status"] in ("processing", "succeeded")
        await play.settle()

        record = await play.record(account, original["payment_method"])
        assert (record.state, record.reason) == (State.READY, None)
        assert set(await play.records()) == {f"{account}:{original['payment_method']}"}


@pytest.mark.parametrize("kind", [Commanded, Thinly])
async def test_a_bank_account_that_was_set_up_there_has_its_mandate(
    world: World, pool: Database, kind: type[Commanded]
) -> None:
    async with commanded(world, pool, kind=kind) as play:
        account, customer = await _account(play)
        bank = {"allowed_payment_method_types[]": "us_bank_account", **AGREED}
        saved = await _set_up(play, account, customer, "pm_usBankAccount_success", **bank)
        assert saved["status"] == "succeeded"
        await play.settle()

        record = await play.record(account, saved["payment_method"])
        assert (record.type, record.state, record.reason) == ("us_bank_account", State.READY, None)


async def test_an_account_that_goes_away_and_comes_back(world: World, pool: Database) -> None:
    """Meanwhile no call is made, and one of its methods is detached there."""
    async with commanded(world, pool) as play:
        account, customer = await _account(play)
        first = (await _set_up(play, account, customer, "pm_card_visa"))["payment_method"]
        second = (await _set_up(play, account, customer, "pm_card_mastercard"))["payment_method"]
        await play.settle()

        await play.stripe.control("POST", f"accounts/{account}/deauthorize")
        await play.settle()
        told = {(each.state, each.reason) for each in (await play.records()).values()}
        assert told == {(State.BLOCKED, Reason.ACCOUNT_DISCONNECTED)}
        calls = len(await play.stripe.calls(account))
        await play.settle()
        assert len(await play.stripe.calls(account)) == calls

        await play.stripe.control("POST", f"accounts/{account}/authorize")
        await play.stripe.post(f"{METHODS}/{second}/detach", account)
        await play.settle()
        records = await play.records()
        assert (records[f"{account}:{first}"].state, records[f"{account}:{second}"].state) == (
            State.READY,
            State.ABSENT,
        )


async def test_the_same_card_saved_there_before_the_platforms_is_reused(world: World, pool: Database) -> None:
    """Way A first; then the platform's customer, whose customer there is adopted, has the same card."""
    async with commanded(world, pool) as play:
        account, customer = await _account(play)
        saved = (await _set_up(play, account, customer, "pm_card_visa"))["payment_method"]
        shared = await play.stripe.new_customer()
        card = await play.stripe.save_card(shared, "tok_visa")
        await play.settle()

        await play.done(GrantShare(customer=shared, account=account, connected_customer=customer))

        record = await play.record(account, card)
        assert (record.reason, record.connected_payment_method) == (Reason.REUSED, saved)
        direct = await play.record(account, saved)
        assert (direct.origin, direct.state) == (Origin.DIRECT, State.READY)
