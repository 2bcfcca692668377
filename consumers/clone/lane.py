"""The clone lane: claims due shares and works on several at once."""

import asyncio
from typing import Final

from consumers.clone.tools import Tools
from consumers.clone.worker import ShareWorker
from consumers.store.database import Database, StoreError, listen
from consumers.store.shares import CHANNEL_DUE, Lease, ShareStore
from consumers.stripe_calls import KeyWatch
from consumers.waiting import Wake
from service.runtime.lifecycle import describe_error, wait_for_stop
from service.runtime.logging import get_logger
from service.runtime.metrics import Metrics

AT_ONCE: Final = 16
LOOK_EVERY_S: Final = 1.0
"""Due times pass without a notification; this is how late one may be seen."""

STORE_AWAY_PAUSE_S: Final = 1.0


class CloneLane:
    """Keeps up to `AT_ONCE` shares in work."""

    def __init__(
        self, database: Database, shares: ShareStore, tools: Tools, watch: KeyWatch, metrics: Metrics
    ) -> None:
        self._database = database
        self._shares = shares
        self._tools = tools
        self._watch = watch
        self._metrics = metrics
        self._wake = Wake()
        self._working: set[asyncio.Task[None]] = set()

    async def run(self, stop: asyncio.Event) -> None:
        """Claim and work until the stop, then finish the calls that are out."""
        helpers = [
            asyncio.create_task(listen(self._database, CHANNEL_DUE, self._wake.ring, stop)),
            asyncio.create_task(self._wake.ring_on(stop)),
        ]
        try:
            while await self._watch.usable(stop):
                try:
                    pause_s = await self._fill()
                except StoreError as error:
                    get_logger().warning("clone.store_away", **describe_error(error))
                    await wait_for_stop(stop, STORE_AWAY_PAUSE_S)
                else:
                    await self._wake.wait(pause_s)
            if self._working:
                await asyncio.wait(self._working)
        finally:
            for task in (*helpers, *self._working):
                task.cancel()

    async def _fill(self) -> float:
        """Claim what there is room for; return how long to wait for more."""
        room = AT_ONCE - len(self._working)
        if room == 0:
            return LOOK_EVERY_S
        leases = await self._shares.claim(room)
        for lease in leases:
            if lease.taken_over:
                self._metrics.leases_taken_over.inc()
                get_logger().warning("share.taken_over", share=lease.share_id, lease_token=lease.token)
            task = asyncio.create_task(self._work(lease))
            self._working.add(task)
            task.add_done_callback(self._done)
        if len(leases) == room:
            return LOOK_EVERY_S
        next_due_s = await self._shares.next_due_s()
        return LOOK_EVERY_S if next_due_s is None else min(LOOK_EVERY_S, max(0.01, next_due_s))

    async def _work(self, lease: Lease) -> None:
        try:
            ending = await ShareWorker(self._tools, lease).run()
        except StoreError as error:
            # The lease runs out by itself, and whoever claims the share goes on.
            get_logger().warning("share.store_away", share=lease.share_id, **describe_error(error))
            return
        except Exception as error:  # noqa: BLE001 -- one share's fault must not stop the others
            get_logger().error("share.crashed", share=lease.share_id, **describe_error(error))
            self._metrics.shares_worked.labels("crashed").inc()
            return
        self._metrics.shares_worked.labels(ending).inc()

    def _done(self, task: asyncio.Task[None]) -> None:
        self._working.discard(task)
        self._wake.ring()
