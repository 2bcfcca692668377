"""What Stripe refuses, for a while or for good, and what is said of it."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from consumers.clone.policy import DefaultFollows, Leave, OnUpdate
from consumers.store.database import Database
from schemas.records import Reason, State
from tests.integration.engine.playground import Playground, playground
from tests.integration.store.world import World

pytestmark = pytest.mark.filterwarnings("ignore:Use 'content=:DeprecationWarning")
CLONE = "/v1/payment_methods"
ATTACH = "/v1/payment_methods/{payment_method}/attach"
CUSTOMERS = "/v1/customers"
HOUR = timedelta(hours=1)


async def _refuse(
    play: Playground,
    account: str,
    route: str,
    status: int,
    code: str | None = None,
    **how: Any,
) -> None:
    error = {"type": "invalid_request_error", "message": "no", **({"code": code} if code else {})}
    action = {"kind": "status", "status": status, "when": "before", "body": {"error": error}, **how}
    count = action.pop("count", None)
    fault = {"method": "POST", "route": route, "account": account, "action": action}
    await play.stripe.control("POST", "faults", {**fault, **({"count": count} if count else {})})


async def _shared(play: Playground) -> tuple[str, str, str]:
    account = await play.stripe.connect_account()
    customer = await play.stripe.new_customer(account)
    card = await play.stripe.save_card(customer)
    return account, customer, card


async def _said(play: Playground, account: str, card: str) -> tuple[State, Reason | None]:
    record = await play.record(account, card)
    return record.state, record.reason


def _sample(play: Playground, name: str) -> float | None:
    return play.metrics.registry.get_sample_value(name)


async def test_a_customer_that_is_full_fails_where_no_room_can_be_made(world: World, pool: Database) -> None:
    async with playground(world, pool) as play:
        account, customer, _ = await _shared(play)
        await play.settle()
        await _refuse(play, account, ATTACH, 400, "customer_max_payment_methods")
        second = await play.stripe.save_card(customer, "tok_mastercard")
        await play.settle()

        assert await _said(play, account, second) == (State.FAILED, Reason.CUSTOMER_FULL)


async def test_room_is_made_of_clones_that_were_to_be_detached_anyhow(world: World, pool: Database) -> None:
    """The superseded one goes at once, not a day later; then the new one is attached."""
    policy = {"on_update": OnUpdate.REPLACE, "on_superseded": Leave.DETACH}
    async with playground(world, pool, **policy) as play:
        account, customer, card = await _shared(play)
        await play.settle()
        replaced = (await play.record(account, card)).connected_payment_method
        await play.stripe.post(f"/v1/payment_methods/{card}", **{"card[exp_year]": "2039"})
        await play.settle()
        assert replaced in await play.stripe.attached(account)

        await _refuse(play, account, ATTACH, 400, "customer_max_payment_methods", count=1)
        second = await play.stripe.save_card(customer, "tok_mastercard")
        await play.settle()
        await play.settle(within=timedelta(minutes=2))

        assert replaced not in await play.stripe.attached(account)
        assert await _said(play, account, second) == (State.READY, None)


async def test_clones_that_lasting_errors_may_leave_behind_are_counted(world: World, pool: Database) -> None:
    """Stripe did it, says 500, and says so again under the same key: another epoch follows."""
    async with playground(world, pool) as play:
        account, _, card = await _shared(play)
        await _refuse(play, account, CLONE, 500, when="after", stored=True, count=1)
        await play.settle(within=timedelta(minutes=1))

        assert await _said(play, account, card) == (State.READY, None)
        assert _sample(play, "offshoot_stray_clones_total") == 1
        stray = [
            each for each in (await play.stripe.state(account))["payment_methods"] if not each["customer"]
        ]
        assert len(stray) == 1


@pytest.mark.parametrize("when", ["before", "after"])
async def test_a_change_of_the_default_that_stripe_answers_with_500_is_looked_at_before_it_is_tried_anew(
    world: World, pool: Database, when: str
) -> None:
    async with playground(world, pool, default_follows=DefaultFollows.PLATFORM) as play:
        account, customer, _ = await _shared(play)
        await play.settle()
        second = await play.stripe.save_card(customer, "tok_mastercard")
        await play.settle()
        await _refuse(play, account, f"{CUSTOMERS}/{{customer}}", 500, when=when, stored=True, count=1)
        chosen = {"invoice_settings[default_payment_method]": second}
        await play.stripe.post(f"{CUSTOMERS}/{customer}", **chosen)
        before = len(await play.stripe.calls(account))
        await play.settle(within=timedelta(minutes=1))

        calls = [each["method"] for each in (await play.stripe.calls(account))[before:]]
        assert calls == ["POST", "POST", "GET", *(["POST"] if when == "before" else [])]
        assert (await play.record(account, second)).default


async def test_a_customer_that_is_deleted_there_before_we_know_that_a_clone_was_attached(
    world: World, pool: Database
) -> None:
    """Stripe attached it and keeps a 500: events tell of the attach, and of the customer's end."""
    async with playground(world, pool) as play:
        account, customer, first = await _shared(play)
        await play.settle()
        connected = (await play.record(account, first)).connected_customer
        await _refuse(play, account, ATTACH, 500, when="after", stored=True, count=1)
        second = await play.stripe.save_card(customer, "tok_mastercard")
        await play.ingest()
        await play.work()
        await play.stripe.delete(f"{CUSTOMERS}/{connected}", account)

        await play.settle(within=timedelta(minutes=1))

        gone = (State.ABSENT, Reason.CONNECTED_CUSTOMER_DELETED)
        assert await _said(play, account, second) == await _said(play, account, first) == gone


@pytest.mark.parametrize("route", [CLONE, CUSTOMERS])
async def test_a_missing_permission_changes_no_record_however_long_it_lasts(
    world: World, pool: Database, route: str
) -> None:
    """More than the three days after which failures end; once it is granted all goes on."""
    async with playground(world, pool) as play:
        account, _, card = await _shared(play)
        await _refuse(play, account, route, 403, "more_permissions_required")
        for _ in range(5):
            await play.settle()
            await play.pass_time(20 * HOUR)
        assert await play.records() == {}

        await play.stripe.release()
        await play.settle(within=timedelta(minutes=2))
        assert await _said(play, account, card) == (State.READY, None)


async def test_a_refusal_that_is_not_known_is_final_and_an_alarm(world: World, pool: Database) -> None:
    async with playground(world, pool) as play:
        account, _, card = await _shared(play)
        await _refuse(play, account, CLONE, 400)
        await play.settle()

        assert await _said(play, account, card) == (State.FAILED, Reason.REFUSED)
        assert _sample(play, "offshoot_unknown_refusals_total") == 1


@pytest.mark.parametrize(
    ("reading", "said"),
    [
        ("invalid", (State.BLOCKED, Reason.ACCOUNT_DISCONNECTED)),
        ("shown", (State.READY, None)),
    ],
)
async def test_an_account_that_a_call_finds_invalid_is_read_before_anything_is_said(
    world: World, pool: Database, reading: str, said: tuple[State, Reason | None]
) -> None:
    async with playground(world, pool) as play:
        account, customer, first = await _shared(play)
        await play.settle()
        await _refuse(play, account, CLONE, 403, "account_invalid", count=1)
        if reading == "invalid":
            error = {"error": {"type": "invalid_request_error", "code": "account_invalid", "message": "no"}}
            action = {"kind": "status", "status": 403, "when": "before", "body": error}
            fault = {"method": "GET", "route": "/v1/accounts/{account}", "action": action}
            await play.stripe.control("POST", "faults", fault)
        second = await play.stripe.save_card(customer, "tok_mastercard")
        await play.settle(within=timedelta(seconds=30))

        assert await _said(play, account, first) == await _said(play, account, second) == said


async def test_who_only_observes_counts_and_announces_nothing(world: World, pool: Database) -> None:
    """An account is read to see what could be done; once it is in earnest, all goes on by itself."""
    async with playground(world, pool) as play:
        play.tools = replace(play.tools, observe=True)
        account, _, card = await _shared(play)
        await play.settle()

        assert await play.writes(account) == []
        assert await play.records() == {}
        observed = play.metrics.registry.get_sample_value(
            "offshoot_actions_observed_total", {"action": "clone"}
        )
        assert (observed or 0) >= 1

        play.tools = replace(play.tools, observe=False)
        await play.settle(within=2 * HOUR)
        assert await _said(play, account, card) == (State.READY, None)
