"""The rate of Stripe calls: one bucket for all workers, filled by the database's clock."""

import asyncio
from datetime import datetime, timedelta
from typing import Any

import pytest

from consumers.store.database import load_queries
from consumers.store.limiter import Limiter
from tests.integration.store.world import Connection, World

RATE = 10.0
QUERIES = load_queries("limiter")


async def _take(connection: Connection, wanted: int, rate: float = RATE) -> int | None:
    taken: int | None = await QUERIES.take_tokens(connection, name="stripe", rate=rate, wanted=wanted)
    return taken


async def _pass(connection: Connection, seconds: float, *, left: float = 0) -> None:
    """As if the bucket held `left` tokens, so many seconds ago."""
    await connection.execute(
        "UPDATE offshoot.limiter SET tokens = $1, refilled_at = clock_timestamp() - $2::interval",
        left,
        timedelta(seconds=seconds),
    )


async def _now(connection: Connection) -> datetime:
    moment: datetime = await connection.fetchval("SELECT clock_timestamp()")
    return moment


@pytest.fixture
async def bucket(sql: Connection) -> Connection:
    """A bucket that is full."""
    await QUERIES.add_limiter(sql, name="stripe", rate=RATE)
    return sql


async def test_no_bucket_no_tokens(sql: Connection) -> None:
    assert await _take(sql, 1) is None


async def test_it_begins_full_once(bucket: Connection) -> None:
    """Adding it again gives nothing back."""
    assert await _take(bucket, 1000) == RATE
    await QUERIES.add_limiter(bucket, name="stripe", rate=RATE)

    assert await _take(bucket, 1000) == 0


@pytest.mark.parametrize(
    ("seconds", "left"),
    [(0, 0), (0.5, 0), (0.95, 0), (1, 0), (3600, 0), (0.5, 2.75), (-60, 3)],
    ids=str,
)
async def test_it_fills_at_the_rate_up_to_a_second_s_worth(
    bucket: Connection, seconds: float, left: float
) -> None:
    """A clock that was set back takes nothing away."""
    began = await _now(bucket)
    await _pass(bucket, seconds, left=left)
    taken = await _take(bucket, 1000)
    lasted = (await _now(bucket) - began).total_seconds()

    least, most = [min(RATE, left + RATE * max(seconds + more, 0)) for more in (0, lasted)]
    assert int(least) <= (taken or 0) <= int(most)


async def test_what_is_not_taken_stays(bucket: Connection) -> None:
    await _pass(bucket, 1)

    assert [await _take(bucket, 4) for _ in range(4)] == [4, 4, 2, 0]


async def test_over_time_it_hands_out_the_rate(bucket: Connection) -> None:
    """Parts of tokens are kept: 70 in 100 steps of 70 ms, and what the test itself lasted."""
    began = await _now(bucket)
    taken = 0
    await _pass(bucket, 0)
    for _ in range(100):
        await _pass(bucket, 0.07, left=await bucket.fetchval("SELECT tokens FROM offshoot.limiter"))
        taken += await _take(bucket, 4) or 0
    lasted = (await _now(bucket) - began).total_seconds()

    assert 69 <= taken <= 70 + RATE * lasted


@pytest.mark.parametrize(("rate", "seconds", "taken"), [(0.5, 1, 0), (0.5, 2.01, 1), (0.5, 3600, 1)])
async def test_less_than_one_a_second_is_one_now_and_then(
    bucket: Connection, rate: float, seconds: float, taken: int
) -> None:
    await _pass(bucket, seconds)

    assert await _take(bucket, 4, rate) == taken


async def test_two_takers_never_exceed_it(bucket: Connection, world: World) -> None:
    """One waits for the other's transaction, and then sees what that one left."""
    await _pass(bucket, 0, left=1)

    async def take() -> Any:
        async with world.database.connection() as connection:
            return await _take_slowly(connection)

    transaction = bucket.transaction()
    await transaction.start()
    first = await _take_slowly(bucket)
    waiting = await world.start(take())
    await transaction.commit()

    assert (first, await waiting) == (1, 0)


async def _take_slowly(connection: Any) -> Any:
    return await QUERIES.take_tokens(connection, name="stripe", rate=0.001, wanted=4)


async def test_many_takers_share_what_is_there(bucket: Connection, world: World) -> None:
    async def take() -> int:
        async with world.database.connection() as connection:
            return int(await QUERIES.take_tokens(connection, name="stripe", rate=RATE, wanted=4))

    began = await _now(bucket)
    taken = await asyncio.gather(*[take() for _ in range(40)])
    lasted = (await _now(bucket) - began).total_seconds()

    assert RATE <= sum(taken) <= RATE * (1 + lasted)


async def test_a_limiter_keeps_what_is_left_of_a_lot_at_hand(world: World) -> None:
    """So an idle system does not wait: four calls, one look at the bucket."""
    limiter = Limiter(world.database, name="stripe", per_second=RATE)
    for _ in range(4):
        await limiter.take()

    assert await world.sql.fetchval("SELECT tokens FROM offshoot.limiter") == 6


async def test_two_limiters_are_never_quicker_than_the_rate(bucket: Connection, world: World) -> None:
    """Twenty calls from an empty bucket, at a hundred a second."""
    limiters = [Limiter(world.database, name="stripe", per_second=100) for _ in range(2)]
    began = await _now(bucket)
    await _pass(bucket, 0)

    await asyncio.gather(*[limiter.take() for _ in range(10) for limiter in limiters])

    assert (await _now(bucket) - began).total_seconds() >= 20 / 100
