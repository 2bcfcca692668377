"""The rate of Stripe calls: buckets for all workers, filled by the database's clock."""

import asyncio
from datetime import datetime, timedelta
from typing import Any

import pytest

from consumers.projection.spread import Priority
from consumers.store.database import load_queries
from consumers.store.limiter import Limiter, Turns
from tests.integration.store.world import Connection, World

RATE = 10.0
BURST = 5.0
QUERIES = load_queries("limiter")
NAMES = ["stripe", "stripe.bulk"]
_TOKENS = "SELECT tokens FROM offshoot.limiter WHERE name = 'stripe'"


async def _take(connection: Any, wanted: int, rate: float = RATE, burst: float = BURST) -> int | None:
    rows = QUERIES.take_tokens(connection, names=["stripe"], rates=[rate], bursts=[burst], wanted=[wanted])
    taken = [row["taken"] async for row in rows]
    return taken[0] if taken else None


async def _pass(
    connection: Connection, seconds: float, *, left: float = 0, slowed_s: float | None = None
) -> None:
    """As if the buckets held `left` tokens so many seconds ago, and were then slowed down for `slowed_s`."""
    await connection.execute(
        "UPDATE offshoot.limiter SET tokens = $1, refilled_at = clock_timestamp() - $2::interval, "
        "slowed_until = clock_timestamp() - $2::interval + $3::interval",
        left,
        timedelta(seconds=seconds),
        timedelta(seconds=slowed_s) if slowed_s is not None else None,
    )


async def _now(connection: Connection) -> datetime:
    moment: datetime = await connection.fetchval("SELECT clock_timestamp()")
    return moment


@pytest.fixture
async def bucket(sql: Connection) -> Connection:
    """Two buckets that are full."""
    await QUERIES.add_limiters(sql, names=NAMES, bursts=[BURST, BURST])
    return sql


async def test_no_bucket_no_tokens(sql: Connection) -> None:
    assert await _take(sql, 1) is None


async def test_it_begins_full_once(bucket: Connection) -> None:
    """Adding it again gives nothing back."""
    assert await _take(bucket, 1000) == BURST
    await QUERIES.add_limiters(bucket, names=NAMES, bursts=[BURST, BURST])

    assert await _take(bucket, 1000) == 0


@pytest.mark.parametrize(
    ("seconds", "left"),
    [(0, 0), (0.25, 0), (0.45, 0), (1, 0), (3600, 0), (0.25, 2.75), (-60, 3)],
    ids=str,
)
async def test_it_fills_at_the_rate_up_to_its_burst(bucket: Connection, seconds: float, left: float) -> None:
    """A clock that was set back takes nothing away."""
    began = await _now(bucket)
    await _pass(bucket, seconds, left=left)
    taken = await _take(bucket, 1000)
    lasted = (await _now(bucket) - began).total_seconds()

    least, most = [min(BURST, left + RATE * max(seconds + more, 0)) for more in (0, lasted)]
    assert int(least) <= (taken or 0) <= int(most)


@pytest.mark.parametrize(
    ("seconds", "slowed_s", "filled_s"), [(10, 0, 10), (10, 4, 8), (10, 30, 5), (-60, 30, 0)], ids=str
)
async def test_it_fills_at_half_the_rate_while_slowed(
    bucket: Connection, seconds: float, slowed_s: float, filled_s: float
) -> None:
    """Also where only a part of the time was slow."""
    began = await _now(bucket)
    await _pass(bucket, seconds, slowed_s=slowed_s)
    taken = await _take(bucket, 1000, burst=1000)
    lasted = (await _now(bucket) - began).total_seconds()

    assert int(RATE * filled_s) <= (taken or 0) <= int(RATE * (filled_s + lasted))


async def test_what_is_not_taken_stays(bucket: Connection) -> None:
    await _pass(bucket, 0, left=BURST)

    assert [await _take(bucket, 2, rate=0.001) for _ in range(4)] == [2, 2, 1, 0]


async def test_over_time_it_hands_out_the_rate(bucket: Connection) -> None:
    """Parts of tokens are kept: 70 in 100 steps of 70 ms, and what the test itself lasted."""
    began = await _now(bucket)
    taken = 0
    await _pass(bucket, 0)
    for _ in range(100):
        await _pass(bucket, 0.07, left=await bucket.fetchval(_TOKENS))
        taken += await _take(bucket, 4) or 0
    lasted = (await _now(bucket) - began).total_seconds()

    assert 69 <= taken <= 70 + RATE * lasted


@pytest.mark.parametrize(("rate", "seconds", "taken"), [(0.5, 1, 0), (0.5, 2.01, 1), (0.5, 3600, 1)])
async def test_less_than_one_a_second_is_one_now_and_then(
    bucket: Connection, rate: float, seconds: float, taken: int
) -> None:
    await _pass(bucket, seconds)

    assert await _take(bucket, 4, rate, burst=1) == taken


async def test_two_takers_never_exceed_it(bucket: Connection, world: World) -> None:
    """One waits for the other's transaction, and then sees what that one left."""
    await _pass(bucket, 0, left=1)

    async def take() -> Any:
        async with world.database.connection() as connection:
            return await _take(connection, 4, rate=0.001)

    transaction = bucket.transaction()
    await transaction.start()
    first = await _take(bucket, 4, rate=0.001)
    waiting = await world.start(take())
    await transaction.commit()

    assert (first, await waiting) == (1, 0)


async def test_many_takers_share_what_is_there(bucket: Connection, world: World) -> None:
    async def take() -> int:
        async with world.database.connection() as connection:
            return await _take(connection, 4) or 0

    began = await _now(bucket)
    taken = await asyncio.gather(*[take() for _ in range(40)])
    lasted = (await _now(bucket) - began).total_seconds()

    assert BURST <= sum(taken) <= BURST + RATE * lasted


async def test_a_limiter_keeps_what_is_left_of_a_lot_at_hand(world: World) -> None:
    """So an idle system does not wait: four calls, one look at the buckets."""
    limiter = Limiter(world.database, per_second=RATE)
    for _ in range(4):
        await limiter.take()

    assert await world.sql.fetchval(_TOKENS) == 1


async def test_two_limiters_are_never_quicker_than_the_rate(bucket: Connection, world: World) -> None:
    """Twenty calls from an empty bucket, at a hundred a second."""
    limiters = [Limiter(world.database, per_second=100) for _ in range(2)]
    began = await _now(bucket)
    await _pass(bucket, 0)

    await asyncio.gather(*[limiter.take() for _ in range(10) for limiter in limiters])

    assert (await _now(bucket) - began).total_seconds() >= 20 / 100


async def test_bulk_work_has_its_share_only(bucket: Connection, world: World) -> None:
    """One of a thousand that are there: the rest is for what is urgent."""
    limiter = Limiter(world.database, per_second=1000, bulk_per_second=0.001)
    await _pass(bucket, 0, left=1000)

    turns = await limiter.turns(50, 50)

    assert turns == Turns(50, 1)


async def test_urgent_calls_go_before_bulk_ones(bucket: Connection, world: World) -> None:
    """Both wait for the one token that there will be."""
    limiter = Limiter(world.database, per_second=5)
    await _pass(bucket, 0)
    ended: list[Priority] = []

    async def take(priority: Priority) -> None:
        await limiter.take(priority)
        ended.append(priority)

    await asyncio.gather(*[take(priority) for priority in (Priority.BULK, Priority.URGENT)])

    assert ended == [Priority.URGENT, Priority.BULK]


async def test_turns_are_what_is_at_hand_and_can_be_given_back(bucket: Connection, world: World) -> None:
    limiter = Limiter(world.database, per_second=RATE)
    await _pass(bucket, 0, left=3)

    first = await limiter.turns(16, 16)
    none = await limiter.turns(16, 16)
    limiter.give_back(Turns(2, 1))

    assert (first, none, await limiter.turns(16, 16)) == (Turns(3, 3), Turns(0, 0), Turns(2, 1))


async def test_no_turn_is_taken_from_who_waits(bucket: Connection, world: World) -> None:
    limiter = Limiter(world.database, per_second=RATE)
    await _pass(bucket, 0)
    waiting = asyncio.create_task(limiter.take())
    await asyncio.sleep(0)
    await _pass(bucket, 0, left=1)

    assert await limiter.turns(16, 16) == Turns()
    assert await waiting


async def test_slowing_down_is_for_all_workers(bucket: Connection, world: World) -> None:
    """What was saved up is gone, at hand and in the bucket, and the rate is half for 30 s."""
    limiter, other = [Limiter(world.database, per_second=RATE) for _ in range(2)]
    await limiter.turns(1, 0)

    await limiter.slow_down()

    assert (await limiter.turns(1, 0), await other.turns(1, 0)) == (Turns(), Turns())
    until = await bucket.fetch("SELECT slowed_until - now() AS lasting FROM offshoot.limiter")
    assert [timedelta(seconds=29) < row["lasting"] <= timedelta(seconds=30) for row in until] == [True, True]


async def test_a_closed_limiter_lets_nobody_wait(bucket: Connection, world: World) -> None:
    limiter = Limiter(world.database, per_second=0.001)
    await _pass(bucket, 0)
    waiting = asyncio.create_task(limiter.take())
    await asyncio.sleep(0)

    limiter.close()

    assert await waiting is False
    assert await limiter.turns(1, 1) == Turns()
