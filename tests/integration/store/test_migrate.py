"""The migration runner: each file once, in order, one runner at a time, and never an edited file."""

import asyncio
from collections.abc import AsyncIterator

import asyncpg
import pytest

from consumers.store.database import Database
from consumers.store.migrate import MigrationError, migrate, migrations, pending
from tests.integration.store.world import Connection
from tests.support.waiting import until

NAMES = [migration.name for migration in migrations()]


@pytest.fixture
async def empty(database: str) -> AsyncIterator[Database]:
    """An empty database."""
    opened = Database(database)
    yield opened
    await opened.close(5)


@pytest.fixture
async def behind(database: str) -> AsyncIterator[Connection]:
    """A connection to the same."""
    connection = await asyncpg.connect(database)
    yield connection
    await connection.close()


def test_the_files_are_numbered_and_applied_in_order() -> None:
    """Those of one number, by their names."""
    numbers = [name.partition("_")[0] for name in NAMES]

    assert all(len(number) == 4 and number.isdecimal() for number in numbers)
    assert sorted(NAMES) == NAMES
    assert len(NAMES) > 2


async def test_asking_what_is_missing_changes_nothing(empty: Database, behind: Connection) -> None:
    assert await pending(empty) == NAMES
    assert await behind.fetchval("SELECT to_regnamespace('offshoot')") is None


async def test_migrating_twice_is_nothing(empty: Database, behind: Connection) -> None:
    assert await migrate(empty) == NAMES
    installation = await behind.fetchval("SELECT position FROM offshoot.cursor WHERE name = 'installation'")

    assert await migrate(empty) == []
    assert await pending(empty) == []
    assert await behind.fetchval("SELECT position FROM offshoot.cursor") == installation


async def test_two_installations_are_not_one(empty: Database, behind: Connection, migrated: str) -> None:
    """Their idempotency keys differ by it."""
    await migrate(empty)
    other = await asyncpg.connect(migrated)
    try:
        ids = [await c.fetchval("SELECT position FROM offshoot.cursor") for c in (behind, other)]
    finally:
        await other.close()

    assert len(set(ids)) == 2
    assert [len(id_) for id_ in ids] == [12, 12]


async def test_an_edited_file_is_refused(empty: Database, behind: Connection) -> None:
    await migrate(empty)
    await behind.execute("UPDATE offshoot.migration SET checksum = 'x' WHERE name = $1", NAMES[0])

    with pytest.raises(MigrationError, match=f"{NAMES[0]} was edited"):
        await migrate(empty)
    with pytest.raises(MigrationError, match=f"{NAMES[0]} was edited"):
        await pending(empty)


async def test_the_schema_of_a_newer_version_is_refused(empty: Database, behind: Connection) -> None:
    await migrate(empty)
    await behind.execute("INSERT INTO offshoot.migration (name, checksum) VALUES ('9999_later', 'x')")

    with pytest.raises(MigrationError, match="9999_later"):
        await migrate(empty)


async def test_two_runners_at_once(empty: Database, behind: Connection, database: str) -> None:
    """Both wait for the lock; one applies everything, the other finds nothing to do."""
    waiting = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"
    watch = await asyncpg.connect(database)
    async with behind.transaction():
        await behind.execute("SELECT pg_advisory_xact_lock(hashtextextended('offshoot.migrate', 0))")
        runners = [asyncio.create_task(migrate(empty)) for _ in range(2)]

        async def both_wait() -> bool:
            return bool(await watch.fetchval(waiting) == 2)

        await until(both_wait, within_s=10, what="both runners wait")
    await watch.close()

    assert sorted(await asyncio.gather(*runners)) == [[], NAMES]


async def test_a_migration_that_fails_leaves_nothing(empty: Database, behind: Connection) -> None:
    """All in one transaction: here the last statements meet a table that is there already."""
    await behind.execute("CREATE SCHEMA offshoot; CREATE TABLE offshoot.cursor ()")

    with pytest.raises(asyncpg.DuplicateTableError):
        await migrate(empty)
    tables = await behind.fetch("SELECT tablename FROM pg_tables WHERE schemaname = 'offshoot'")
    assert [row["tablename"] for row in tables] == ["cursor"]
