"""What is forgotten after its time, and the inbox's partitions."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from consumers.clone.facts import Outcome, Step
from consumers.store.projections import EventNoted
from consumers.store.upkeep import KEEP_EVENTS, KEEP_INTENTS, UpkeepStore
from tests.integration.store.world import Connection, World
from tests.unit.consumers.shares import intent

WEEK = timedelta(weeks=1)


@pytest.fixture
async def upkeep(world: World) -> UpkeepStore:
    for name in await _partitions(world.sql):
        await world.sql.execute(f"DROP TABLE offshoot.{name}")
    return UpkeepStore(world.database)


async def _partitions(connection: Connection) -> list[str]:
    rows = await connection.fetch(
        "SELECT c.relname FROM pg_inherits AS i JOIN pg_class AS c ON c.oid = i.inhrelid "
        "WHERE i.inhparent = 'offshoot.inbox'::regclass AND c.relname <> 'inbox_default' ORDER BY 1"
    )
    return [row["relname"] for row in rows]


def _name(day: datetime) -> str:
    monday = day - timedelta(days=day.weekday())
    return f"inbox_{monday:%Y%m%d}"


async def _note(world: World, *created: datetime) -> None:
    events = [EventNoted(f"evt_{number}", at, "customer.updated") for number, at in enumerate(created)]
    async with world.database.transaction() as connection:
        await world.projections.unseen(connection, events)


async def _where(world: World) -> list[str]:
    rows = await world.sql.fetch("SELECT tableoid::regclass::text AS name FROM offshoot.inbox ORDER BY id")
    return [row["name"].removeprefix("offshoot.") for row in rows]


async def test_events_of_this_week_and_the_next_have_their_partitions(
    world: World, upkeep: UpkeepStore
) -> None:
    """Others are taken all the same."""
    now = datetime.now(UTC)
    await upkeep.keep_inbox()
    await upkeep.keep_inbox()

    await _note(world, now, now + WEEK, now + 2 * WEEK, now - 4 * WEEK, now + 10 * WEEK)

    assert await _partitions(world.sql) == [_name(now + n * WEEK) for n in range(3)]
    assert await _where(world) == [
        *[_name(now + n * WEEK) for n in range(3)],
        "inbox_default",
        "inbox_default",
    ]


async def test_a_week_that_has_begun_without_a_partition_stays_as_it_is(
    world: World, upkeep: UpkeepStore
) -> None:
    now = datetime.now(UTC)
    await _note(world, now)

    await upkeep.keep_inbox()

    assert await _partitions(world.sql) == [_name(now + n * WEEK) for n in (1, 2)]
    assert await _where(world) == ["inbox_default"]


async def test_events_that_nobody_sends_again_are_dropped(world: World, upkeep: UpkeepStore) -> None:
    """Whole partitions, a week after their last day at the latest; and what has none, by the day."""
    now = datetime.now(UTC)
    old, kept = now - KEEP_EVENTS - 2 * WEEK, now - KEEP_EVENTS + timedelta(days=2)
    for day in (old, kept):
        monday = (day - timedelta(days=day.weekday())).date()
        await world.sql.execute(
            f"CREATE TABLE offshoot.{_name(day)} PARTITION OF offshoot.inbox "
            f"FOR VALUES FROM ('{monday} 00:00+00') TO ('{monday + WEEK} 00:00+00')"
        )
    await _note(world, old, kept, old - WEEK, now)

    await upkeep.keep_inbox()

    assert await _where(world) == [_name(kept), "inbox_default"]
    assert _name(old) not in await _partitions(world.sql)


async def test_writes_whose_outcome_is_long_known_are_forgotten(world: World, upkeep: UpkeepStore) -> None:
    """One that is open never is; nor is one of yesterday."""
    lease = await world.see_share()
    about = await world.method(lease)
    now = datetime.now(UTC)
    for number, (age, outcome) in enumerate(
        [
            (KEEP_INTENTS * 2, Outcome.SUCCEEDED),
            (timedelta(days=1), Outcome.REFUSED),
            (KEEP_INTENTS * 2, None),
        ]
    ):
        async with world.shares.fenced(lease) as recording:
            await recording.plan_clone(about, now)
            await recording.open_intent(
                replace(
                    intent(Step.CLONE),
                    first_tried_at=now - age,
                    idempotency_key=f"k{number}",
                    epoch=number + 1,
                )
            )
            if outcome is not None:
                await recording.conclude_intent(outcome, None)

    assert await upkeep.forget() == 1
    assert await upkeep.forget() == 0
    left = await world.sql.fetch("SELECT idempotency_key FROM offshoot.intent ORDER BY 1")
    assert [row["idempotency_key"] for row in left] == ["k1", "k2"]
