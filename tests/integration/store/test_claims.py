"""Which due shares are claimed, in which order, and that the table's size does not matter."""

import asyncio
import json
from datetime import timedelta
from typing import Any, Final

import pytest

from consumers.projection.spread import FEW, Priority, Subject
from consumers.store.database import load_queries
from consumers.store.marking import Changed, Marking
from consumers.store.shares import IN_FLIGHT_PER_ACCOUNT, Lease
from tests.integration.store.world import Connection, World
from tests.unit.consumers.sightings import card, customer

MANY: Final = 20_000
LONG_AGO: Final = timedelta(hours=1)


async def _shares(connection: Connection, number: int, *, priority: Priority, accounts: int) -> None:
    """Due shares, the first the longest, spread over accounts."""
    await connection.execute(
        "INSERT INTO offshoot.account (id) SELECT 'acct_' || n FROM generate_series(0, $1 - 1) AS n "
        "ON CONFLICT DO NOTHING",
        accounts,
    )
    await connection.execute(
        "INSERT INTO offshoot.customer (id) "
        "SELECT 'cus_' || $2::int || '_' || n FROM generate_series(1, $1) AS n",
        number,
        int(priority),
    )
    await connection.execute(
        "INSERT INTO offshoot.share (customer_id, account_id, granted_by_metadata, due_at, priority) "
        "SELECT 'cus_' || $2::int || '_' || n, 'acct_' || n % $3::int, true, "
        "now() - interval '1 minute' + n * interval '1 ms', $2 FROM generate_series(1, $1) AS n",
        number,
        int(priority),
        accounts,
    )


def _priorities(leases: list[Lease]) -> list[Priority]:
    return sorted(lease.priority for lease in leases)


URGENT, BULK = Priority.URGENT, Priority.BULK


@pytest.mark.parametrize(
    ("limit", "most_bulk", "oldest", "claimed"),
    [
        (3, 3, 0, [URGENT] * 3),
        (8, 3, 0, [URGENT] * 5 + [BULK] * 3),
        (8, 0, 0, [URGENT] * 5),
        (99, None, 0, [URGENT] * 5 + [BULK] * 5),
        # The longest due are bulk.
        (3, 3, 1, [URGENT] * 2 + [BULK]),
        (3, 0, 1, [URGENT] * 3),
        (8, 3, 3, [URGENT] * 5 + [BULK] * 3),
    ],
)
async def test_urgent_before_bulk_but_for_the_longest_due(
    world: World, limit: int, most_bulk: int | None, oldest: int, claimed: list[Priority]
) -> None:
    """Never more bulk than there are turns for."""
    await _shares(world.sql, 5, priority=URGENT, accounts=10)
    await _shares(world.sql, 5, priority=BULK, accounts=10)
    await world.sql.execute(
        "UPDATE offshoot.share SET due_at = due_at - $1::interval WHERE priority = 1", LONG_AGO
    )

    leases = await world.shares.claim(limit, most_bulk=most_bulk, oldest=oldest)

    assert _priorities(leases) == claimed


async def test_at_most_four_of_one_account_at_a_time(world: World) -> None:
    """However many claim at once; the others of the queue have their turn."""
    await _shares(world.sql, 40, priority=URGENT, accounts=1)
    await world.see(customer(1, "acct_other"))
    await world.sql.execute("UPDATE offshoot.share SET due_at = now() WHERE account_id = 'acct_other'")

    claims = await asyncio.gather(*[world.shares.claim(5) for _ in range(8)])
    leases = [lease for claim in claims for lease in claim]
    accounts = await world.sql.fetch(
        "SELECT account_id, count(*) FROM offshoot.share WHERE leased GROUP BY 1 ORDER BY 1"
    )

    assert [tuple(row) for row in accounts] == [("acct_0", IN_FLIGHT_PER_ACCOUNT), ("acct_other", 1)]
    await world.shares.release(leases[0])
    assert len(await world.shares.claim(5)) == 1


async def test_a_lease_that_ran_out_holds_no_place_of_its_account(world: World) -> None:
    await _shares(world.sql, 8, priority=URGENT, accounts=1)
    await world.shares.claim(8)
    await world.sql.execute("UPDATE offshoot.share SET lease_end = now() WHERE leased")

    assert len(await world.shares.claim(8)) == IN_FLIGHT_PER_ACCOUNT


async def test_an_account_that_stripe_wants_slower_is_left_alone_for_a_while(world: World) -> None:
    await _shares(world.sql, 2, priority=URGENT, accounts=2)
    await world.sql.execute(
        "UPDATE offshoot.account SET paused_until = now() + interval '5 s' WHERE id = 'acct_1'"
    )
    while_paused = await world.shares.claim(5)
    await world.sql.execute("UPDATE offshoot.account SET paused_until = now() WHERE id = 'acct_1'")

    assert (len(while_paused), len(await world.shares.claim(5))) == (1, 1)


@pytest.mark.parametrize(
    ("more", "priority"), [(0, URGENT), (1, BULK)], ids=["few accounts", "many accounts"]
)
async def test_what_a_customer_changes_is_urgent_unless_it_has_many_accounts(
    world: World, more: int, priority: Priority
) -> None:
    """Both when its shares are made, and when they are marked again."""
    await world.see(customer(1, *[f"acct_{n:03}" for n in range(FEW + more)]))
    made = await world.sql.fetch("SELECT DISTINCT priority FROM offshoot.share")
    await world.settle()
    await world.see(card(2))
    marked = await world.sql.fetch("SELECT DISTINCT priority FROM offshoot.share WHERE due_at <= now()")

    assert [[row["priority"] for row in rows] for rows in (made, marked)] == [[priority], [priority]]


async def test_shares_that_come_after_they_were_weighed_are_bulk_all_the_same(world: World) -> None:
    """A new account is given to many customers in chunks while its first events are ingested."""
    await _shares(world.sql, FEW + 1, priority=BULK, accounts=1)
    weighed_before = {Subject("account", "acct_0"): URGENT}

    async with world.database.transaction() as connection:
        due = await Marking()._lock(connection, weighed_before, Changed(accounts={"acct_0"}))  # noqa: SLF001

    assert set(due.values()) == {BULK}


async def test_one_that_is_urgent_stays_so_until_it_is_done(world: World) -> None:
    """A bulk mark on top takes nothing away; after that it is bulk work like any other."""
    await world.see_share()
    for due_at, priority in (("now()", URGENT), ("NULL", BULK)):
        await world.sql.execute(f"UPDATE offshoot.share SET due_at = {due_at}, lease_end = NULL")  # noqa: S608
        ids = [row["id"] for row in await world.sql.fetch("SELECT id FROM offshoot.share")]
        await load_queries("marking").mark_shares(world.sql, ids=ids, priority=BULK)
        assert (await world.share())["priority"] == priority


async def test_marking_a_leased_share_leaves_the_lease(world: World) -> None:
    lease = await world.see_share()
    before = await world.share()
    await world.see(card(2, name="pm_other"))
    after = await world.share()

    kept = ("lease_token", "lease_end", "leased")
    assert [after[name] for name in kept] == [before[name] for name in kept]
    assert after["mark"] == before["mark"] + 1
    await world.shares.finish(lease, before["mark"])
    assert (await world.share())["due_at"] is not None


async def test_renewing_a_lease_touches_no_index(world: World) -> None:
    """A HOT update: the table is not bloated by whoever holds a share for long."""
    lease = await world.see_share()
    async with world.database.transaction() as connection:
        await load_queries("share").hold_lease(
            connection, share_id=lease.share_id, lease_token=lease.token, lease=timedelta(minutes=1)
        )
        hot = await connection.fetchval(
            "SELECT pg_stat_get_xact_tuples_hot_updated('offshoot.share'::regclass)"
        )

    assert hot == 1


async def test_nobody_reads_the_whole_table(world: World) -> None:
    """With many shares due, and with many that are not: each look goes through an index."""
    await _shares(world.sql, MANY, priority=BULK, accounts=500)
    await world.sql.execute("UPDATE offshoot.share SET due_at = NULL WHERE id % 2 = 0")
    await world.sql.execute("ANALYZE offshoot.share, offshoot.account")
    values: dict[str, Any] = {
        "per_account": 4,
        "limit": 8,
        "most_bulk": 8,
        "oldest": 1,
        "lease": timedelta(minutes=1),
    }
    queries = load_queries("share")

    plans = [
        await _plan(world.sql, queries.claim_due_shares, values),
        await _plan(world.sql, queries.next_due, {}),
    ]

    for plan in plans:
        assert [node for node in _scans(plan) if node == ("Seq Scan", "share")] == []
    assert ("Index Scan", "share_due") in _indexes(plans[0])
    assert ("Index Scan", "share_due") in _indexes(plans[1])
    await world.sql.execute("DELETE FROM offshoot.share")


async def _plan(connection: Connection, query: Any, values: dict[str, Any]) -> dict[str, Any]:
    arguments = [values[name] for name in query.parameters or ()]
    text = await connection.fetchval(f"EXPLAIN (FORMAT JSON) {query.sql}", *arguments)
    plan: dict[str, Any] = json.loads(text)[0]["Plan"]
    return plan


def _nodes(plan: dict[str, Any]) -> list[dict[str, Any]]:
    return [plan, *[node for inner in plan.get("Plans", []) for node in _nodes(inner)]]


def _scans(plan: dict[str, Any]) -> list[tuple[str, str]]:
    return [(node["Node Type"], node["Relation Name"]) for node in _nodes(plan) if "Relation Name" in node]


def _indexes(plan: dict[str, Any]) -> list[tuple[str, str]]:
    return [(node["Node Type"], node["Index Name"]) for node in _nodes(plan) if "Index Name" in node]
