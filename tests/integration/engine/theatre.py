"""Where schedules are played: one loop and one database for many, emptied before each."""

import asyncio
from collections.abc import Callable, Coroutine
from contextlib import AsyncExitStack
from typing import Any, TypeVar

import asyncpg

from consumers.store.database import Database
from tests.integration.engine.playground import playground
from tests.integration.engine.schedule import Schedule
from tests.integration.store.conftest import _EMPTY
from tests.integration.store.world import World

_T = TypeVar("_T")


class Theatre:
    """What outlives a schedule."""

    def __init__(self, dsn: str) -> None:
        self.runner = asyncio.Runner()
        self._dsn = dsn
        self._open: AsyncExitStack | None = None
        self.run(self._begin())

    def run(self, work: Coroutine[Any, Any, Any]) -> Any:
        return self.runner.run(work)

    async def _begin(self) -> None:
        self._sql = await asyncpg.connect(self._dsn)
        self._empty = await self._sql.fetchval(_EMPTY)
        self._pool = Database(self._dsn, connections=3)

    async def _open_schedule(self, destinations: str, choices: dict[str, Any]) -> Schedule:
        await self._sql.execute(self._empty)
        self._open = AsyncExitStack()
        world = World(self._pool, self._sql)
        play = await self._open.enter_async_context(playground(world, self._pool, **choices))
        await play.prepare()
        return Schedule(play, destinations)

    def open(self, destinations: str, choices: dict[str, Any]) -> Schedule:
        schedule: Schedule = self.run(self._open_schedule(destinations, choices))
        return schedule

    def play(self, choices: dict[str, Any], work: Callable[[Schedule], Coroutine[Any, Any, _T]]) -> _T:
        """Open a schedule, do that in it, and close it."""
        try:
            result: _T = self.run(work(self.open("snapshot", choices)))
        finally:
            self.close_schedule()
        return result

    def close_schedule(self) -> None:
        if self._open is not None:
            self.run(self._open.aclose())
            self._open = None

    def close(self) -> None:
        self.run(self._end())
        self.runner.close()

    async def _end(self) -> None:
        await self._pool.close(5)
        await self._sql.close()
