"""One migrated database for the run, emptied before each test: far quicker than one for each."""

import asyncio
import uuid
from collections.abc import AsyncIterator

import asyncpg
import pytest

from consumers.store.database import Database
from consumers.store.migrate import migrate
from deploy.local.postgres import Postgres
from tests.integration.store.world import Connection, World

# Quicker than TRUNCATE for a few rows; foreign keys are not looked at meanwhile.
_EMPTY = """
SELECT 'SET session_replication_role = replica; '
    || string_agg(format('DELETE FROM %I.%I; ', schemaname, tablename), '')
    || 'UPDATE offshoot.brake SET engaged_at = NULL, released_at = DEFAULT; RESET session_replication_role'
FROM pg_tables WHERE schemaname = 'offshoot' AND tablename NOT IN ('migration', 'cursor', 'brake')
"""


@pytest.fixture(scope="session")
def migrated(postgres: Postgres) -> str:
    """The dsn of a migrated database."""
    dsn = postgres.create_database(f"migrated_{uuid.uuid4().hex}")

    async def bring_up_to_date() -> None:
        database = Database(dsn, connections=1)
        await migrate(database)
        await database.close(5)

    asyncio.run(bring_up_to_date())
    return dsn


@pytest.fixture
async def sql(migrated: str) -> AsyncIterator[Connection]:
    """A connection to look behind the stores with; there is nothing in them yet."""
    connection = await asyncpg.connect(migrated)
    await connection.execute(await connection.fetchval(_EMPTY))
    yield connection
    await connection.close()


@pytest.fixture
async def pool(migrated: str) -> AsyncIterator[Database]:
    """The pool that the stores share."""
    opened = Database(migrated)
    yield opened
    await opened.close(5)


@pytest.fixture
def world(pool: Database, sql: Connection) -> World:
    """The stores."""
    return World(pool, sql)
