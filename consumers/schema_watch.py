"""Whether Postgres answers and its schema is this version's: the lanes wait for both, and readiness tells."""

import asyncio
from typing import Final

from consumers.store.database import Database, StoreError
from consumers.store.migrate import MigrationError, pending
from consumers.waiting import either
from service.runtime.health import State
from service.runtime.lifecycle import wait_for_stop
from service.runtime.logging import get_logger

ASK_EVERY_S: Final = 5.0
ASK_SOON_S: Final = 0.5


class SchemaWatch:
    """Asks Postgres from time to time, until the stop."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._current = asyncio.Event()
        self.health = State(ok=False, state="not asked yet")

    async def run(self, stop: asyncio.Event) -> None:
        """Keep the state of Postgres known."""
        pause_s = 0.0
        while not await wait_for_stop(stop, pause_s):
            ok, state = await self._ask()
            if state != self.health().state:
                log = get_logger().info if ok else get_logger().warning
                log("postgres.state", state=state)
            self.health.set(ok=ok, state=state)
            if ok:
                self._current.set()
            pause_s = ASK_EVERY_S if ok else ASK_SOON_S

    async def _ask(self) -> tuple[bool, str]:
        try:
            missing = await pending(self._database)
        except StoreError:
            return False, "Postgres does not answer"
        except MigrationError:
            return False, "the schema is not this version's: see offshoot migrate"
        if missing:
            return False, "migrations are missing: run offshoot migrate"
        return True, "answers, schema current"

    async def ready(self, stop: asyncio.Event) -> bool:
        """Wait until the schema was current once; false when the process is to stop."""
        await either(self._current, stop)
        return not stop.is_set()
