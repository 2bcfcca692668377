"""What is too much for one transaction is done in chunks, and nothing of it is missed."""

import asyncio

import pytest

from consumers.projection.spread import CHUNK, MOST_AT_ONCE, Fanout
from consumers.store.fanouts import FanoutStore
from tests.integration.store.world import World
from tests.unit.consumers.sightings import account, card, customer

MANY = MOST_AT_ONCE + 1
CHUNKS = MANY // CHUNK + 1


async def _accounts(world: World, count: int) -> None:
    await world.sql.execute(
        "INSERT INTO offshoot.account (id, joined, known)"
        " SELECT 'acct_' || n, true, true FROM generate_series(1, $1::int) AS n",
        count,
    )


async def _customers(world: World, count: int, *, everywhere: bool = False) -> None:
    await world.sql.execute(
        "INSERT INTO offshoot.customer (id, known, granted_all)"
        " SELECT 'cus_' || n, true, $2 FROM generate_series(1, $1::int) AS n",
        count,
        everywhere,
    )


async def _share_widely(world: World) -> None:
    """One customer with a card, shared with one account more than are marked at once."""
    await _accounts(world, MANY)
    await world.see(customer(1, everywhere=True), card(1))
    await world.expand()
    await world.settle()


async def _count(world: World, what: str) -> int:
    return int(await world.sql.fetchval(f"SELECT count(*) FROM offshoot.share WHERE {what}"))  # noqa: S608


async def test_everything_with_many_accounts(world: World) -> None:
    """Granted and taken back: at once there is only a row, the shares follow in chunks."""
    await _accounts(world, MANY)

    assert await world.see(customer(1, everywhere=True)) == 0
    assert await world.expand() == CHUNKS
    assert await _count(world, "granted_by_all AND due_at <= now() AND priority = 1") == MANY

    await world.settle()
    assert await world.see(customer(2)) == 0
    assert await world.expand() == CHUNKS
    assert await _count(world, "wanted") == 0
    assert await _count(world, "due_at <= now()") == MANY


async def test_a_card_of_many_accounts(world: World) -> None:
    await _share_widely(world)
    marks = sum((await world.marks()).values())

    assert await world.see(card(2, b"b")) == 0
    assert await world.expand() == CHUNKS

    assert await _count(world, "due_at <= now() AND priority = 1") == MANY
    assert sum((await world.marks()).values()) == marks + MANY


async def test_an_account_of_many_customers(world: World) -> None:
    """It is refused at the gate at once; its records follow."""
    await _customers(world, MANY, everywhere=True)
    await world.see(account(1, card_payments="active"))
    assert await world.expand() == CHUNKS
    await world.settle()

    assert await world.see(account(2, connected=False)) == 0
    assert (await world.row("account", "acct_1"))["revoked"]
    assert await world.expand() == CHUNKS

    assert await _count(world, "due_at <= now() AND priority = 1") == MANY


async def test_few_are_urgent_and_at_once(world: World) -> None:
    await world.see(customer(1, "acct_1"), card(1))

    assert await world.sql.fetch("SELECT FROM offshoot.fanout") == []
    assert await _count(world, "due_at <= now() AND priority = 0") == 1


async def test_few_that_were_too_much_beside_others_are_urgent_all_the_same(world: World) -> None:
    await world.see(customer(1, "acct_1"), card(1))
    await world.settle()
    await world.sql.execute("UPDATE offshoot.share SET priority = 1")
    await world.sql.execute(
        "INSERT INTO offshoot.fanout (kind, subject_id) VALUES ('mark_customer', 'cus_P')"
    )

    await world.expand()

    assert await _count(world, "due_at <= now() AND priority = 0") == 1


async def test_a_bulk_mark_leaves_an_urgent_share_urgent_and_an_urgent_one_lifts_a_bulk_one(
    world: World,
) -> None:
    await _share_widely(world)
    await world.sql.execute(
        "UPDATE offshoot.share SET due_at = now(), priority = 0 WHERE account_id = 'acct_1'"
    )

    await world.see(card(2, b"b"))
    await world.expand()
    assert await _count(world, "priority = 0") == 1

    await world.see(account(2, name="acct_2", card_payments="active"))
    assert await _count(world, "priority = 0") == 2


async def test_what_waits_is_not_asked_for_twice_but_what_has_begun_is(world: World) -> None:
    """Shares that are done already must see what changed since."""
    await _share_widely(world)
    await world.see(card(2, b"b"))
    await world.see(card(3, b"c"))
    assert len(await world.sql.fetch("SELECT FROM offshoot.fanout")) == 1

    await world.fanouts.expand()
    await world.see(card(4, b"d"))

    assert len(await world.sql.fetch("SELECT FROM offshoot.fanout")) == 2


async def test_a_chunk_that_is_being_done_does_not_count_for_what_changes_meanwhile(world: World) -> None:
    """Its transaction is open when the next change comes: that asks anew, and does not wait for it."""
    await _share_widely(world)
    await world.see(card(2, b"b"))
    async with world.database.own_connection() as other, other.transaction():
        await other.fetch("SELECT id FROM offshoot.fanout FOR UPDATE")

        await world.see(card(3, b"c"))

    assert len(await world.sql.fetch("SELECT FROM offshoot.fanout")) == 2


async def test_several_at_once_do_each_chunk_once(world: World) -> None:
    await _accounts(world, 40)
    names = [f"cus_{n}" for n in range(6)]
    await world.sql.execute(
        "INSERT INTO offshoot.customer (id, known, granted_all) SELECT unnest($1::text[]), true, true", names
    )
    await world.sql.execute(
        "INSERT INTO offshoot.fanout (kind, subject_id) SELECT 'grant_customer', unnest($1::text[])", names
    )
    stores = [FanoutStore(world.database, chunk=7) for _ in range(3)]

    async def drain(store: FanoutStore) -> int:
        touched = 0
        while (some := await store.expand()) is not None:
            touched += some
        return touched

    assert sum(await asyncio.gather(*[drain(store) for store in stores])) == 6 * 40
    assert set((await world.marks()).values()) == {1}
    assert len(await world.due()) == 6 * 40


@pytest.mark.parametrize("kind", list(Fanout))
async def test_an_empty_one_ends(world: World, kind: Fanout) -> None:
    await world.sql.execute("INSERT INTO offshoot.fanout (kind, subject_id) VALUES ($1, 'x')", kind)

    assert await world.fanouts.expand() == 0
    assert await world.fanouts.expand() is None


async def test_ingest_and_chunks_do_not_deadlock(world: World) -> None:
    """Cards, customers and accounts change while chunks of the same shares are done."""
    await _accounts(world, 30)
    names = [f"cus_{n}" for n in range(10)]
    await world.see(*[customer(0, name=name, everywhere=True) for name in names])
    chunks = FanoutStore(world.database, chunk=5)

    async def ask() -> None:
        for turn in range(12):
            await world.sql.execute(
                "INSERT INTO offshoot.fanout (kind, subject_id)"
                " VALUES ('mark_customer', $1), ('grant_customer', $1),"
                " ('mark_account', $2), ('grant_account', $2)",
                f"cus_{turn % 10}",
                f"acct_{turn + 1}",
            )

    async def drain() -> None:
        while await chunks.expand() is not None:
            pass

    async def ingest(start: int) -> None:
        for turn in range(start, start + 10):
            await world.see(
                *[customer(turn, name=name, everywhere=bool(turn % 2)) for name in names],
                *[card(turn, bytes([turn]), name=f"pm_{name}", of=name) for name in names],
                account(turn, name=f"acct_{turn}", card_payments=f"s{turn}"),
                account(turn, name=f"acct_new{turn}", card_payments=f"s{turn}"),
            )

    await ask()
    await asyncio.gather(drain(), drain(), ingest(1), ingest(11))
    await world.expand()

    expected = await _count(world, "granted_by_all")
    assert expected == 0, "the last that was said: shared with nobody"
