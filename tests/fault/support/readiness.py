"""What a load balancer sees of a receiver: `/readyz`, asked again and again."""

import asyncio
import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Self

from service.runtime.lifecycle import wait_for_stop
from tests.fault.support.load import NO_ANSWER, Connection
from tests.support.waiting import until

_EVERY_S = 0.05


@dataclass(frozen=True)
class Look:
    """One answer: whether it takes traffic, and whether it has a client that works."""

    at: float
    ready: bool
    connected: bool


class Readiness:
    """Asks until it is left."""

    def __init__(self, port: int) -> None:
        self.looks: list[Look] = []
        self._port = port
        self._stop = asyncio.Event()

    async def __aenter__(self) -> Self:
        self._task = asyncio.create_task(self._ask())
        return self

    async def __aexit__(self, *_: object) -> None:
        self._stop.set()
        await self._task

    async def _ask(self) -> None:
        async with Connection(self._port) as connection:
            while not self._stop.is_set():
                status, body = await connection.get("/readyz")
                if status != NO_ANSWER:
                    connected = json.loads(body)["checks"]["kafka"]["ok"]
                    self.looks.append(Look(time.monotonic(), status == 200, connected))
                await wait_for_stop(self._stop, _EVERY_S)

    async def until(self, wanted: Callable[[Look], bool], *, within_s: float, what: str) -> Look:
        """Wait for a look of a kind, from now on."""
        start = len(self.looks)

        async def found() -> Look | None:
            return next(filter(wanted, self.looks[start:]), None)

        look = await until(found, within_s=within_s, what=what)
        assert look is not None
        return look
