"""`kill -9` between every two steps of every command: one effect and one result, wherever it was.

Every call to Stripe and every commit can be the last thing that a process did; so can the writing down of a
batch of commands, which Kafka then delivers again.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import pytest

from consumers.store.database import Database
from schemas.commands import CloneOnce, GrantShare, Order, RevokeShare, SaveDirect
from service.runtime.kafka.consumer import Record
from tests.integration.engine.boundaries import Crashed, at_boundary
from tests.integration.engine.commanded import Commanded, commanded
from tests.integration.store.world import LEASE_S, World

METHODS = "/v1/payment_methods"
TAKEN_OVER = timedelta(seconds=LEASE_S + 1)
MANDATE = {"customer_acceptance": {"type": "offline"}}


@dataclass(frozen=True, slots=True)
class Scene:
    """Where a command is about to be given; `attached`: how many methods are on customers at the end."""

    order: Order
    account: str
    made: int
    attached: int


async def _clone_once(play: Commanded) -> Scene:
    account = await play.stripe.connect_account()
    card = await play.stripe.save_card(await play.stripe.new_customer())
    return Scene(CloneOnce(account=account, payment_method=card), account, made=1, attached=0)


async def _consume(play: Commanded) -> Scene:
    account = await play.stripe.connect_account()
    card = await play.stripe.post(METHODS, type="card", **{"card[token]": "tok_visa"})
    order = CloneOnce(account=account, payment_method=card["id"], consume=True)
    return Scene(order, account, made=1, attached=0)


async def _save(play: Commanded, **more: Any) -> Scene:
    account = await play.stripe.connect_account()
    customer = (await play.stripe.post("/v1/customers", account, name="Jenny"))["id"]
    method = (await play.stripe.post(METHODS, account, type="card", **{"card[token]": "tok_visa"}))["id"]
    order = SaveDirect(account=account, customer=customer, payment_method=method, **more)
    return Scene(order, account, made=1, attached=1)


async def _save_with_mandate(play: Commanded) -> Scene:
    return await _save(play, mandate_data=MANDATE)


async def _save_token(play: Commanded) -> Scene:
    account = await play.stripe.connect_account()
    customer = (await play.stripe.post("/v1/customers", account, name="Jenny"))["id"]
    order = SaveDirect(account=account, customer=customer, token="tok_visa")
    return Scene(order, account, made=1, attached=1)


async def _grant(play: Commanded) -> Scene:
    account = await play.stripe.connect_account()
    customer = await play.stripe.new_customer()
    await play.stripe.save_card(customer)
    return Scene(GrantShare(customer=customer, account=account), account, made=1, attached=1)


async def _revoke(play: Commanded) -> Scene:
    scene = await _grant(play)
    await play.done(scene.order, f"before-{scene.account}")
    assert isinstance(scene.order, GrantShare)
    order = RevokeShare(customer=scene.order.customer, account=scene.account)
    return Scene(order, scene.account, made=1, attached=0)


Prepare = Callable[[Commanded], Awaitable[Scene]]


@pytest.mark.parametrize(
    "prepare", [_clone_once, _consume, _save, _save_token, _save_with_mandate, _grant, _revoke]
)
async def test_one_effect_and_one_result_wherever_it_died(
    world: World, pool: Database, prepare: Prepare
) -> None:
    steps = 0
    while await _dies_at(world, pool, prepare, steps):
        steps += 1
    assert steps >= 2, "there was something to die at"


async def _dies_at(world: World, pool: Database, prepare: Prepare, step: int) -> bool:
    """Play the scene; the first process dies at its step of that number. False where it had not so many."""
    async with commanded(world, pool) as play:
        scene = await prepare(play)
        await play.settle()
        name = f"{scene.account}-{step}"
        record = play.record_of(scene.order, name)
        died = await _until_step(play, record, step)
        await play.pass_time(TAKEN_OVER)
        await play.intake.handle([record])  # its offset was perhaps not committed
        await play.settle()

        results = [each for each in await play.results() if each[0]["ce_commandid"] == name]
        assert results, "a result"
        assert all(each == results[0] for each in results), "one result, perhaps repeated"
        assert results[0][0]["ce_type"] == "offshoot.command.completed", results[0]
        methods = (await play.stripe.state(scene.account))["payment_methods"]
        assert len(methods) == scene.made, f"one effect, not {methods}"
        assert len(await play.stripe.attached(scene.account)) == scene.attached
        told = [each for each in await play.history() if each.account == scene.account]
        assert len({(each.key, each.version) for each in told}) == len(told)
        return died


async def _until_step(play: Commanded, record: Record, step: int) -> bool:
    """Take the command in and work on it; die at the step."""
    left = step

    async def die(_: str) -> None:
        nonlocal left
        if left == 0:
            raise Crashed
        left -= 1

    token = at_boundary.set(die)
    try:
        await play.intake.handle([record])
        await play.work_on_commands()
    except Crashed:
        return True
    finally:
        at_boundary.reset(token)
    return False
