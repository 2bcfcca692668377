"""Postgres's failures in our words."""

import pytest

from consumers.store.database import Database, UnavailableError
from tests.integration.store.world import World


async def _write_where_only_reading_is_let(database: Database) -> None:
    async with database.connection() as connection:
        await connection.execute("SET default_transaction_read_only = on")
        await connection.execute("UPDATE offshoot.share SET due_at = NULL")


async def test_a_server_that_only_lets_read_is_away(world: World) -> None:
    """As while another takes the lead: work waits, and no process ends."""
    with pytest.raises(UnavailableError):
        await _write_where_only_reading_is_let(world.database)
