"""The upkeep lane: hourly, so that no table grows for ever."""

import asyncio
from typing import Final

from consumers.store.database import StoreError
from consumers.store.upkeep import UpkeepStore
from service.runtime.lifecycle import describe_error, wait_for_stop
from service.runtime.logging import get_logger

EVERY_S: Final = 3600.0


class UpkeepLane:
    """Keeps the tables, at the start and hourly."""

    def __init__(self, upkeep: UpkeepStore) -> None:
        self._upkeep = upkeep

    async def run(self, stop: asyncio.Event) -> None:
        """Keep them until the stop."""
        pause_s = 0.0
        while not await wait_for_stop(stop, pause_s):
            try:
                await self._upkeep.keep_inbox()
                while not stop.is_set() and await self._upkeep.forget():
                    pass
            except StoreError as error:
                get_logger().warning("upkeep.store_away", **describe_error(error))
            pause_s = EVERY_S
