"""Two ingest transactions at once, each held where the other must wait: nothing is missed between them.

A card and its customer come by different partitions, so two members of the group may write them at once.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import asyncpg
import pytest

from consumers.projection.seen import Hint, Kind, Seen
from tests.integration.store.world import World
from tests.unit.consumers.sightings import account, at, card, customer

SHARE = ("cus_P", "acct_1")


@asynccontextmanager
async def _held_at_commit(migrated: str, table: str) -> AsyncIterator[None]:
    """Whoever wrote to the table stands still in the middle of its commit, all its statements done."""
    gate = await asyncpg.connect(migrated)
    await gate.execute(
        f"""
        CREATE FUNCTION offshoot.wait_at_gate() RETURNS trigger LANGUAGE plpgsql AS
        'BEGIN PERFORM pg_advisory_xact_lock_shared(7); RETURN NULL; END';
        CREATE CONSTRAINT TRIGGER gate AFTER INSERT OR UPDATE ON offshoot.{table}
        DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION offshoot.wait_at_gate();
        SELECT pg_advisory_lock(7)
        """
    )
    try:
        yield
    finally:
        await gate.execute("SELECT pg_advisory_unlock(7)")
        await gate.execute("DROP FUNCTION offshoot.wait_at_gate CASCADE")
        await gate.close()


async def _work(world: World) -> None:
    """What a worker does that finds nothing to do."""
    for lease in await world.shares.claim(10):
        await world.shares.finish(lease, (await world.shares.load(lease)).mark)


@pytest.mark.parametrize("known", [True, False], ids=["customer known", "customer never heard of"])
async def test_the_halves_of_a_share_never_miss_each_other(
    world: World, migrated: str, *, known: bool
) -> None:
    """A card is written, not committed; its customer comes, a worker looks: the share is due for the card."""
    if known:
        await world.see(customer(0))
    async with _held_at_commit(migrated, "payment_method"):
        one = await world.start(world.see(card(1)))
        other = await world.start(world.see(customer(1, "acct_1")))
        await _work(world)
    await asyncio.gather(one, other)

    assert await world.due() == [SHARE]
    (lease,) = await world.shares.claim(10)
    assert (await world.method(lease)).id == "pm_P"


async def test_nor_when_the_card_was_read(world: World, migrated: str) -> None:
    await world.see(Hint(Kind.PAYMENT_METHOD, "pm_P", at(1)))
    refresh = await world.doubt(Kind.PAYMENT_METHOD, "pm_P")
    async with _held_at_commit(migrated, "payment_method"):
        one = await world.start(world.read(refresh, card(2)))
        other = await world.start(world.see(customer(1, "acct_1")))
        await _work(world)
    await asyncio.gather(one, other)

    assert await world.due() == [SHARE]


async def test_a_new_share_and_its_account_never_miss_each_other(world: World, migrated: str) -> None:
    """The account's event waits for the transaction that makes the share, and then marks it."""
    await world.see(account(0, whole=True, card_payments="inactive"))
    async with _held_at_commit(migrated, "share"):
        making = await world.start(world.see(customer(1, "acct_1")))
        changing = await world.start(world.see(account(1, card_payments="active")))
    await asyncio.gather(making, changing)

    (lease,) = await world.shares.claim(10)
    facts = await world.shares.load(lease)
    assert facts.account.capabilities == {"card_payments": "active"}
    assert facts.mark == 2, "made, of a changed account"


async def test_batches_that_touch_the_same_objects_in_any_order_do_not_deadlock(world: World) -> None:
    """Twelve at once over the same customers, accounts and cards."""
    names = [f"cus_{n}" for n in range(8)]
    accounts = [f"acct_{n}" for n in range(6)]
    await world.see(*[customer(0, *accounts, name=name) for name in names])

    def batch(turn: int) -> list[Seen]:
        seen: list[Seen] = [
            *[customer(turn, *accounts, name=name, default=f"pm_{turn}") for name in names],
            *[card(turn, bytes([turn]), name=f"pm_{name}", of=name) for name in names],
            *[
                account(turn, name=name, card_payments="active" if turn % 2 else "inactive")
                for name in accounts
            ],
        ]
        return seen[::-1] if turn % 2 else seen

    await asyncio.gather(*[world.see(*batch(turn)) for turn in range(1, 13)])

    assert len(await world.due()) == len(names) * len(accounts)


async def test_ingest_and_workers_do_not_deadlock(world: World) -> None:
    """A worker records behind the fence while its share, its customer and its account are being marked."""
    lease = await world.see_share()

    async def record() -> None:
        for _ in range(20):
            async with world.shares.fenced(lease):
                pass
            await world.projections.want_account("acct_1")

    async def ingest() -> None:
        for turn in range(2, 22):
            await world.see(
                customer(turn, "acct_1", default=f"pm_{turn}"),
                account(turn, card_payments=f"s{turn}"),
                card(turn),
            )

    await asyncio.gather(record(), ingest())

    assert (await world.shares.load(lease)).mark >= 20
