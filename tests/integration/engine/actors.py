"""A worker that goes from boundary to boundary as it is told: it can be left standing, or die there."""

import asyncio
from collections.abc import Coroutine
from contextvars import ContextVar
from typing import Any

from tests.integration.engine.boundaries import Crashed, at_boundary

STEP_WITHIN_S = 20.0


class Actor:
    """One piece of work in a task of its own. It stands at `at`; None once it has ended."""

    def __init__(self, work: Coroutine[Any, Any, Any]) -> None:
        self.at: str | None = "start"
        self.result: Any = None
        self._work = work
        self._go = asyncio.Event()
        self._there = asyncio.Event()
        self._dies = False
        self._task = asyncio.create_task(self._run())

    async def step(self) -> bool:
        """Go on to the next boundary; say whether there is one."""
        if self.at is None:
            return False
        self._there.clear()
        self._go.set()
        there = asyncio.create_task(self._there.wait())
        async with asyncio.timeout(STEP_WITHIN_S):
            await asyncio.wait({there, self._task}, return_when=asyncio.FIRST_COMPLETED)
        there.cancel()
        if not self._task.done():
            return True
        self.at = None
        error = self._task.exception()
        if error is not None and not isinstance(error, Crashed):
            raise error
        self.result = self._task.result() if error is None else None
        return False

    async def finish(self) -> None:
        """Go on to the end."""
        while await self.step():
            continue

    async def crash(self) -> None:
        """Die where it stands."""
        self._dies = True
        await self.finish()

    async def _run(self) -> Any:
        at_boundary.set(self._reach)
        acting.set(self)
        try:
            await self._told_to_go("start")
        except Crashed:
            self._work.close()
            raise
        return await self._work

    async def _reach(self, name: str) -> None:
        self.at = name
        self._there.set()
        await self._told_to_go(name)

    async def _told_to_go(self, name: str) -> None:
        await self._go.wait()
        self._go.clear()
        if self._dies:
            raise Crashed(name)


acting: ContextVar[Actor | None] = ContextVar("acting", default=None)
"""Whose task is running."""
