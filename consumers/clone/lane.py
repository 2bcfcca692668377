"""The clone lane: claims due shares and works on several at once.

It claims only as many as it has turns for at hand, so that nobody holds a share that another could begin.
"""

import asyncio
from typing import Final

from consumers.clone.tools import Tools
from consumers.clone.worker import ShareWorker
from consumers.projection.spread import Priority
from consumers.store.database import Database, StoreError, listen
from consumers.store.limiter import LOOK_AGAIN_S, Limiter, Turns
from consumers.store.shares import CHANNEL_DUE, Lease
from consumers.stripe_calls import KeyWatch
from consumers.waiting import Wake
from service.runtime.lifecycle import describe_error, wait_for_stop
from service.runtime.logging import get_logger
from service.runtime.metrics import Metrics

AT_ONCE: Final = 32
BULK_AT_ONCE: Final = 24
"""Bulk work leaves room: an urgent share never waits for a slow bulk one to end."""

LOOK_EVERY_S: Final = 1.0
"""Due times pass without a notification; this is how late one may be seen."""

OLDEST_ONE_IN: Final = 10
"""One claim in so many goes to the longest due share, so that bulk work ends whatever else comes."""

STORE_AWAY_PAUSE_S: Final = 1.0


class CloneLane:
    """Keeps up to `AT_ONCE` shares in work."""

    def __init__(
        self,
        database: Database,
        tools: Tools,
        limiter: Limiter,
        watch: KeyWatch,
        metrics: Metrics,
    ) -> None:
        self._database = database
        self._tools = tools
        self._limiter = limiter
        self._watch = watch
        self._metrics = metrics
        self._wake = Wake()
        self._working: dict[asyncio.Task[None], Priority] = {}
        self._claimed = 0

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
                    if pause_s > 0:
                        await self._wake.wait(pause_s)
            if self._working:
                await asyncio.wait(self._working)
        finally:
            for task in (*helpers, *self._working):
                task.cancel()

    async def _fill(self) -> float:
        """Claim what there are turns and room for; return how long to wait before the next look."""
        room = AT_ONCE - len(self._working)
        bulk_room = BULK_AT_ONCE - sum(priority is Priority.BULK for priority in self._working.values())
        if room == 0:
            return LOOK_EVERY_S
        turns = await self._limiter.turns(room, max(0, bulk_room))
        if turns.calls == 0:
            return LOOK_AGAIN_S
        leases = await self._claim(turns)
        if leases:
            return 0.0
        next_due_s = await self._tools.shares.next_due_s()
        if next_due_s is None:
            return LOOK_EVERY_S
        # Due, and yet not to be had: no turn for bulk work, or its account is busy or paused.
        return min(LOOK_EVERY_S, max(0.01, next_due_s)) if next_due_s > 0 else LOOK_AGAIN_S

    async def _claim(self, turns: Turns) -> list[Lease]:
        """Claim for these turns, and start; what is left of them is given back."""
        oldest = (self._claimed + turns.calls) // OLDEST_ONE_IN - self._claimed // OLDEST_ONE_IN
        leases: list[Lease] = []
        try:
            leases = await self._tools.shares.claim(turns.calls, most_bulk=turns.bulk, oldest=oldest)
        finally:
            bulk = sum(lease.priority is Priority.BULK for lease in leases)
            self._limiter.give_back(Turns(turns.calls - len(leases), turns.bulk - bulk))
        self._claimed += len(leases)
        for lease in leases:
            if lease.taken_over:
                self._metrics.leases_taken_over.inc()
                get_logger().warning("share.taken_over", share=lease.share_id, lease_token=lease.token)
            task = asyncio.create_task(self._work(lease))
            self._working[task] = lease.priority
            task.add_done_callback(self._done)
        return leases

    async def _work(self, lease: Lease) -> None:
        worker = ShareWorker(self._tools, lease, has_turn=True)
        try:
            ending = await worker.run()
        except StoreError as error:
            # The lease runs out by itself, and whoever claims the share goes on.
            get_logger().warning("share.store_away", share=lease.share_id, **describe_error(error))
            return
        except Exception as error:  # noqa: BLE001 -- one share's fault must not stop the others
            get_logger().error("share.crashed", share=lease.share_id, **describe_error(error))
            self._metrics.shares_worked.labels("crashed").inc()
            return
        finally:
            if worker.has_turn:
                self._limiter.give_back(Turns(1, 1 if lease.priority is Priority.BULK else 0))
        self._metrics.shares_worked.labels(ending).inc()

    def _done(self, task: asyncio.Task[None]) -> None:
        del self._working[task]
        self._wake.ring()
