"""The command lane: claims due commands and works on several at once."""

import asyncio
import time
from typing import Final

from consumers.commands.tools import CommandTools
from consumers.commands.worker import CommandWorker
from consumers.store.commands import CHANNEL_COMMANDS, CommandLease
from consumers.store.database import Database, StoreError, listen
from consumers.stripe_calls import KeyWatch
from consumers.waiting import Wake
from service.runtime.lifecycle import describe_error, wait_for_stop
from service.runtime.logging import get_logger
from service.runtime.metrics import Metrics

AT_ONCE: Final = 8
LOOK_EVERY_S: Final = 1.0
LOOK_AGAIN_S: Final = 0.1
STORE_AWAY_PAUSE_S: Final = 1.0
FORGET_EVERY_S: Final = 3600.0


class CommandLane:
    """Keeps up to `AT_ONCE` commands in work."""

    def __init__(self, database: Database, tools: CommandTools, watch: KeyWatch, metrics: Metrics) -> None:
        self._database = database
        self._tools = tools
        self._watch = watch
        self._metrics = metrics
        self._wake = Wake()
        self._working: set[asyncio.Task[None]] = set()
        self._forgot_at = -FORGET_EVERY_S

    async def run(self, stop: asyncio.Event) -> None:
        """Claim and work until the stop, then finish the calls that are out."""
        helpers = [
            asyncio.create_task(listen(self._database, CHANNEL_COMMANDS, self._wake.ring, stop)),
            asyncio.create_task(self._wake.ring_on(stop)),
        ]
        try:
            while await self._watch.usable(stop):
                try:
                    await self._forget()
                    pause_s = await self._fill()
                except StoreError as error:
                    get_logger().warning("command.store_away", **describe_error(error))
                    await wait_for_stop(stop, STORE_AWAY_PAUSE_S)
                else:
                    await self._wake.wait(pause_s)
            if self._working:
                await asyncio.wait(self._working)
        finally:
            for task in (*helpers, *self._working):
                task.cancel()

    async def _forget(self) -> None:
        if time.monotonic() - self._forgot_at > FORGET_EVERY_S:
            await self._tools.commands.forget()
            self._forgot_at = time.monotonic()

    async def _fill(self) -> float:
        """Claim what there is room for; return how long to wait for more."""
        room = AT_ONCE - len(self._working)
        if room == 0:
            return LOOK_EVERY_S
        leases = await self._tools.commands.claim(room)
        for lease in leases:
            if lease.taken_over:
                self._metrics.leases_taken_over.inc()
                get_logger().warning("command.taken_over", command=lease.command_id, lease_token=lease.token)
            task = asyncio.create_task(self._work(lease))
            self._working.add(task)
            task.add_done_callback(self._done)
        next_due_s = await self._tools.commands.next_due_s()
        if next_due_s is None:
            return LOOK_EVERY_S
        # Due, and yet not to be had: its account is busy or paused.
        return min(LOOK_EVERY_S, next_due_s) if next_due_s > 0 else LOOK_AGAIN_S

    async def _work(self, lease: CommandLease) -> None:
        try:
            ending = await CommandWorker(self._tools, lease).run()
        except StoreError as error:
            # The lease runs out by itself, and whoever claims the command goes on.
            get_logger().warning("command.store_away", command=lease.command_id, **describe_error(error))
            return
        except Exception as error:  # noqa: BLE001 -- one command's fault must not stop the others
            get_logger().error("command.crashed", command=lease.command_id, **describe_error(error))
            self._metrics.commands_worked.labels("crashed").inc()
            return
        self._metrics.commands_worked.labels(ending).inc()

    def _done(self, task: asyncio.Task[None]) -> None:
        self._working.discard(task)
        self._wake.ring()
