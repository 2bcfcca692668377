"""What goes wrong at once, as it was found by the schedules: each ends as it must."""

from datetime import timedelta
from typing import Any

import pytest

from consumers.clone.policy import DefaultFollows
from consumers.store.database import Database
from schemas.records import Reason, State
from tests.integration.engine.playground import Playground, playground
from tests.integration.engine.test_lifecycle import Case
from tests.integration.store.world import World

pytestmark = pytest.mark.filterwarnings("ignore:Use 'content=:DeprecationWarning")

ATTACH = "/v1/payment_methods/{payment_method}/attach"
CUSTOMERS = "/v1/customers"
PAST_THE_KEY = timedelta(hours=25)


async def once(play: Playground, route: str, account: str, **action: Any) -> None:
    """The next such call of the engine's on the account meets this."""
    fault = {"method": "POST", "route": route, "account": account, "count": 1, "action": action}
    await play.stripe.control("POST", "faults", fault)


async def test_a_clone_that_is_detached_there_before_we_know_of_its_customer(
    world: World, pool: Database
) -> None:
    """The answer is lost and the key forgotten: the event of the detach is all that tells of the customer."""
    async with playground(world, pool) as play:
        account = await play.stripe.connect_account()
        customer = await play.stripe.new_customer(account)
        card = await play.stripe.save_card(customer)
        await once(play, CUSTOMERS, account, kind="cut", when="after")
        await play.prepare()
        await play.ingest()
        await play.work()
        (clone,) = await play.stripe.attached(account)
        await play.stripe.post(f"/v1/payment_methods/{clone}/detach", account)
        await play.pass_time(PAST_THE_KEY)
        await play.settle()

        case = Case(play, account, customer, card)
        assert await case.said() == (State.ABSENT, Reason.DETACHED_ON_ACCOUNT)

        await case.share_with()
        await case.share_with(account)
        assert await case.said() == (State.READY, None)
        (connected,) = (await play.stripe.state(account))["customers"]
        assert await case.connected_customer() == connected["id"]


async def test_a_later_clone_that_is_detached_there_before_we_know_that_it_was_attached(
    world: World, pool: Database
) -> None:
    """It is said to be detached there, not to have failed."""
    async with playground(world, pool) as play:
        case = await Case.ready(play)
        before = await play.stripe.attached(case.account)
        second = await play.stripe.save_card(case.customer, "tok_mastercard")
        await once(play, ATTACH, case.account, kind="cut", when="after")
        await play.ingest()
        await play.work()
        (clone,) = set(await play.stripe.attached(case.account)) - set(before)
        await play.stripe.post(f"/v1/payment_methods/{clone}/detach", case.account)
        await play.pass_time(PAST_THE_KEY)
        await play.settle()

        assert await case.said(second) == (State.ABSENT, Reason.DETACHED_ON_ACCOUNT)


async def test_a_default_that_stripe_refuses_is_asked_for_once_and_the_other_stands(
    world: World, pool: Database
) -> None:
    """The clone was detached there, and nobody has told us yet."""
    async with playground(world, pool, default_follows=DefaultFollows.PLATFORM) as play:
        case = await Case.ready(play)
        second = await play.stripe.save_card(case.customer, "tok_mastercard")
        await play.settle()
        await play.stripe.post(f"/v1/payment_methods/{await case.clone(second)}/detach", case.account)
        untold = play.events()
        await play.stripe.post(
            f"/v1/customers/{case.customer}", **{"invoice_settings[default_payment_method]": second}
        )
        before = len(await play.writes(case.account))

        await play.settle()

        assert len(await play.writes(case.account)) == before + 1
        assert (await play.record(case.account, case.card)).default
        await play.take_in(untold)
        await play.settle()
        assert await case.said(second) == (State.ABSENT, Reason.DETACHED_ON_ACCOUNT)
