"""Waiting for one of several things, with and without a limit."""

import asyncio
import contextlib


async def either(*events: asyncio.Event) -> None:
    """Wait until one of the events is set."""
    waits = [asyncio.ensure_future(event.wait()) for event in events]
    try:
        await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for wait in waits:
            wait.cancel()


class Wake:
    """A bell that one loop waits for: rung before or while it waits, it wakes the loop once."""

    def __init__(self) -> None:
        self._event = asyncio.Event()

    def ring(self) -> None:
        """Wake the loop."""
        self._event.set()

    async def wait(self, at_most_s: float) -> None:
        """Wait for the bell, but not longer than that."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(at_most_s):
                await self._event.wait()
        self._event.clear()

    async def ring_on(self, event: asyncio.Event) -> None:
        """Wake the loop when the event comes, so that it sees it at once."""
        await event.wait()
        self.ring()
