"""What an operator asks for really happens at Stripe: retries, grants, revocations, the brake."""

from datetime import timedelta
from typing import Any

import pytest

from consumers.clone.policy import OnUpdate
from consumers.store.database import Database
from consumers.store.operator import OperatorStore
from schemas.records import Reason, State
from tests.integration.engine.playground import Playground, playground
from tests.integration.engine.test_lifecycle import Case
from tests.integration.store.world import World

pytestmark = pytest.mark.filterwarnings("ignore:Use 'content=:DeprecationWarning")

ATTACH = "/v1/payment_methods/{payment_method}/attach"


def _silent(_: int) -> None:
    """Progress that nobody reads."""


async def _refuse(play: Playground, account: str, route: str, **error: str) -> None:
    """Let the next such write be refused."""
    body = {"error": {"type": "card_error", "message": "No.", **error}}
    action = {"kind": "status", "status": 402, "when": "before", "body": body}
    fault: dict[str, Any] = {
        "method": "POST",
        "route": route,
        "account": account,
        "count": 1,
        "action": action,
    }
    await play.stripe.control("POST", "faults", fault)


async def test_a_failed_clone_is_made_by_a_retry(world: World, pool: Database) -> None:
    """A first card that was declined for good, and the same again after the issuer changed its mind."""
    async with playground(world, pool) as play:
        case = await Case.ready(play)
        await _refuse(play, case.account, ATTACH, code="card_declined", decline_code="lost_card")
        second = await play.stripe.save_card(case.customer, "tok_mastercard")
        await play.settle()
        assert await case.said(second) == (State.FAILED, Reason.CARD_DECLINED)
        await play.settle(within=timedelta(days=30))
        assert await case.said(second) == (State.FAILED, Reason.CARD_DECLINED), "nobody asked"

        assert await OperatorStore(pool).retry(case.account, second, _silent) == 1
        await play.settle()

        assert await case.said(second) == (State.READY, None)
        assert len(await play.stripe.attached(case.account)) == 2
        assert await OperatorStore(pool).retry(None, None, _silent) == 0, "nothing waits any more"


async def test_a_retry_that_fails_again_says_so_and_can_be_repeated(world: World, pool: Database) -> None:
    async with playground(world, pool) as play:
        case = await Case.ready(play)
        second = ""
        for _ in range(2):
            await _refuse(play, case.account, ATTACH, code="card_declined", decline_code="stolen_card")
            second = second or await play.stripe.save_card(case.customer, "tok_mastercard")
            await play.settle()
            assert await case.said(second) == (State.FAILED, Reason.CARD_DECLINED)
            assert await OperatorStore(pool).retry(None, second, _silent) == 1

        await play.settle()
        assert await case.said(second) == (State.READY, None)


async def test_a_clone_detached_on_the_account_is_made_anew_by_a_retry(world: World, pool: Database) -> None:
    async with playground(world, pool) as play:
        case = await Case.ready(play)
        old = await case.clone()
        await play.stripe.post(f"/v1/payment_methods/{old}/detach", case.account)
        await play.settle()
        assert await case.said() == (State.ABSENT, Reason.DETACHED_ON_ACCOUNT)

        assert await OperatorStore(pool).retry(case.account, None, _silent) == 1
        await play.settle()

        assert await case.said() == (State.READY, None)
        assert await play.stripe.attached(case.account) == [await case.clone()] != [old]


async def test_a_deleted_connected_customer_is_made_anew_by_a_retry(world: World, pool: Database) -> None:
    """For the method that was named; the other stays as it is until it is taken up too."""
    async with playground(world, pool) as play:
        case = await Case.ready(play)
        second = await play.stripe.save_card(case.customer, "tok_mastercard")
        await play.settle()
        customer = await case.connected_customer()
        await play.stripe.delete(f"/v1/customers/{customer}", case.account)
        await play.settle()
        gone = (State.ABSENT, Reason.CONNECTED_CUSTOMER_DELETED)
        assert await case.said() == await case.said(second) == gone

        assert await OperatorStore(pool).retry(None, case.card, _silent) == 1
        await play.settle()
        assert (await case.said(), await case.said(second)) == ((State.READY, None), gone)
        assert await case.connected_customer() != customer

        assert await OperatorStore(pool).retry(None, None, _silent) == 1
        await play.settle()
        assert await case.said(second) == (State.READY, None)


async def test_an_update_that_failed_is_tried_again_by_a_retry(world: World, pool: Database) -> None:
    """The older generation stays ready meanwhile."""
    async with playground(world, pool, on_update=OnUpdate.REPLACE) as play:
        case = await Case.ready(play)
        old = await case.clone()
        await _refuse(play, case.account, ATTACH, code="card_declined", decline_code="lost_card")
        await case.change(**{"card[exp_year]": "2039"})
        assert await case.said() == (State.READY, Reason.UPDATE_FAILED)
        assert await case.clone() == old

        assert await OperatorStore(pool).retry(case.account, None, _silent) == 1
        await play.settle()

        assert await case.said() == (State.READY, None)
        assert await case.clone() != old


async def test_a_grant_and_a_revocation(world: World, pool: Database) -> None:
    """An account that no metadata names, and that nobody has heard of; what was granted is taken back."""
    async with playground(world, pool) as play:
        case = await Case.ready(play)
        account = await play.stripe.connect_account()
        desk = OperatorStore(pool)

        await desk.grant(case.customer, account)
        await play.settle()
        assert (await play.record(account, case.card)).state is State.READY
        assert len(await play.stripe.attached(account)) == 1

        await desk.revoke(case.customer, account)
        await play.settle()
        record = await play.record(account, case.card)
        assert (record.state, record.reason) == (State.ABSENT, Reason.SHARE_REVOKED)
        assert await play.stripe.attached(account) == []
        assert await case.said() == (State.READY, None), "the other is granted by metadata"


async def test_a_grant_makes_anew_what_was_detached_on_the_account(world: World, pool: Database) -> None:
    """It is granted by metadata all along."""
    async with playground(world, pool) as play:
        case = await Case.ready(play)
        await play.stripe.post(f"/v1/payment_methods/{await case.clone()}/detach", case.account)
        await play.settle()

        await OperatorStore(pool).grant(case.customer, case.account)
        await play.settle()

        assert await case.said() == (State.READY, None)


async def test_a_released_brake_lets_detaching_go_on(world: World, pool: Database) -> None:
    async with playground(world, pool, detach_brake=1) as play:
        cases = [await Case.ready(play) for _ in range(3)]
        for case in cases:
            await play.stripe.post(f"/v1/payment_methods/{case.card}/detach")
        for held_back in (2, 1):
            await play.settle()
            states = [(await case.said())[0] for case in cases]
            assert states.count(State.READY) == held_back
            released = await OperatorStore(pool).release_brake(_silent)
            assert (released.engaged_at is not None, released.shares) == (True, held_back)
            await play.pass_time(timedelta(seconds=1))

        await play.settle()
        assert [(await case.said())[0] for case in cases] == [State.ABSENT] * 3
