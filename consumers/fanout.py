"""The fan-out lane: what ingest left to chunks, one short transaction after the other."""

import asyncio
import time
from typing import Final

from consumers.store.database import ConflictError, Database, StoreError, listen
from consumers.store.fanouts import FanoutStore
from consumers.store.marking import CHANNEL_FANOUT
from consumers.waiting import Wake
from service.runtime.lifecycle import describe_error, wait_for_stop
from service.runtime.logging import get_logger

LOOK_EVERY_S: Final = 1.0
STORE_AWAY_PAUSE_S: Final = 1.0


class FanoutLane:
    """Does chunks while there are any."""

    def __init__(self, database: Database, fanouts: FanoutStore) -> None:
        self._database = database
        self._fanouts = fanouts
        self._wake = Wake()

    async def run(self, stop: asyncio.Event) -> None:
        """Expand until the stop; a chunk that is begun is ended."""
        helpers = [
            asyncio.create_task(listen(self._database, CHANNEL_FANOUT, self._wake.ring, stop)),
            asyncio.create_task(self._wake.ring_on(stop)),
        ]
        try:
            while not stop.is_set():
                try:
                    await self._drain(stop)
                except ConflictError:
                    get_logger().info("fanout.conflict")
                except StoreError as error:
                    get_logger().warning("fanout.store_away", **describe_error(error))
                    await wait_for_stop(stop, STORE_AWAY_PAUSE_S)
                else:
                    await self._wake.wait(LOOK_EVERY_S)
        finally:
            for helper in helpers:
                helper.cancel()

    async def _drain(self, stop: asyncio.Event) -> None:
        began, chunks, shares = time.monotonic(), 0, 0
        while not stop.is_set() and (touched := await self._fanouts.expand()) is not None:
            chunks, shares = chunks + 1, shares + touched
        if chunks:
            took_s = round(time.monotonic() - began, 3)
            get_logger().info("fanout.expanded", chunks=chunks, shares=shares, took_s=took_s)
