"""A clock that stands still until a test moves it: ours, Postgres's and Stripe's are one."""

from datetime import UTC, datetime, timedelta
from typing import Final

from tests.integration.store.world import Connection

START: Final = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)

INSTALL: Final = """
CREATE SCHEMA virtual;
CREATE TABLE virtual.clock (now timestamptz NOT NULL);
INSERT INTO virtual.clock VALUES ('2026-03-02T12:00:00Z');
CREATE FUNCTION virtual.now() RETURNS timestamptz STABLE LANGUAGE sql AS 'SELECT now FROM virtual.clock';
DO $$ BEGIN
    EXECUTE format('ALTER DATABASE %I SET search_path = virtual, pg_catalog', current_database());
    EXECUTE format('ALTER DATABASE %I SET synchronous_commit = off', current_database());
END $$;
"""
"""From the next connection on, `now()` in this database is the virtual clock's."""


class VirtualClock:
    """What time it is, for everybody."""

    def __init__(self, sql: Connection) -> None:
        self._sql = sql
        self._now = START

    def now(self) -> datetime:
        """UTC."""
        return self._now

    def seconds(self) -> float:
        """Since 1970, for the emulator."""
        return self._now.timestamp()

    async def reset(self) -> None:
        await self._set(START)

    async def advance(self, by: timedelta) -> None:
        await self._set(self._now + by)

    async def _set(self, now: datetime) -> None:
        self._now = now
        await self._sql.execute("UPDATE virtual.clock SET now = $1", now)
