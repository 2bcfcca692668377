"""The stores' fixtures, on a database whose clock stands still until a test moves it."""

import asyncio
import logging
import uuid
from collections.abc import Iterator

import asyncpg
import pytest
import structlog

from consumers.store.database import Database
from consumers.store.migrate import migrate
from deploy.local.postgres import Postgres
from tests.integration.engine.clock import INSTALL, VirtualClock
from tests.integration.engine.theatre import Theatre
from tests.integration.store.conftest import pool, sql, world
from tests.integration.store.world import Connection

__all__ = ["pool", "sql", "world"]


@pytest.fixture(scope="session")
def migrated(postgres: Postgres) -> str:
    """The dsn of a migrated database."""
    dsn = postgres.create_database(f"engine_{uuid.uuid4().hex}")

    async def bring_up_to_date() -> None:
        database = Database(dsn, connections=1)
        await migrate(database)
        await database.close(5)
        connection = await asyncpg.connect(dsn)
        await connection.execute(INSTALL)
        await connection.close()

    asyncio.run(bring_up_to_date())
    return dsn


@pytest.fixture
async def clock(sql: Connection) -> VirtualClock:
    """Everybody's clock, at its start."""
    virtual = VirtualClock(sql)
    await virtual.reset()
    return virtual


@pytest.fixture(scope="module")
def theatre(migrated: str) -> Iterator[Theatre]:
    """Where many schedules are played; their logs would be too much."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    opened = Theatre(migrated)
    yield opened
    opened.close()
    structlog.reset_defaults()
