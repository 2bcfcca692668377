"""The rate of Stripe calls, for the whole deployment: two buckets in Postgres, which all workers draw from.

Every call takes a token of the one; bulk work takes one of the other too, and waits while anything urgent
does. A worker draws a few at a time and keeps those left over at hand, so that an idle system does not wait.
No Postgres, no tokens.
"""

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from consumers.projection.spread import Priority
from consumers.store.database import Connection, Database, StoreError, load_queries

LOOK_AGAIN_S: Final = 0.1
"""How often a bucket that had too little is looked at again."""

SLOWED_FOR: Final = timedelta(seconds=30)
ACCOUNT_PAUSED_FOR: Final = timedelta(seconds=5)
AT_HAND: Final = 4
"""Tokens kept in case of need; more than that only while they are being used up."""

_STALE_S: Final = 1.0
_NEVER: Final = float("-inf")


@dataclass(frozen=True, slots=True)
class Turns:
    """Permission for so many calls, `bulk` of which may be bulk work's."""

    calls: int = 0
    bulk: int = 0


@dataclass(frozen=True, slots=True)
class _Bucket:
    name: str
    per_second: float

    @property
    def at_hand(self) -> int:
        return max(1, min(AT_HAND, int(self.per_second)))

    @property
    def burst(self) -> float:
        """Half a second's worth: in no second more than one and a half times the rate is called."""
        return max(self.at_hand, self.per_second / 2)

    @property
    def lot(self) -> int:
        """How many one worker takes at a time: enough until it looks again, and no more than that."""
        return max(self.at_hand, int(self.per_second * LOOK_AGAIN_S))


class Limiter:
    """Hands out permission for one Stripe call each."""

    def __init__(
        self,
        database: Database,
        *,
        per_second: float,
        bulk_per_second: float | None = None,
        name: str = "stripe",
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Args: the rate of all workers together, and what bulk work may use of it (None: all)."""
        self._database = database
        self._queries = load_queries("limiter")
        bulk = per_second if bulk_per_second is None else bulk_per_second
        self._buckets = (_Bucket(name, per_second), _Bucket(f"{name}.bulk", bulk))
        self._names = [bucket.name for bucket in self._buckets]
        self._clock = clock
        self._calls = self._bulk = 0
        self._drawn_at = _NEVER
        self._short_at = [_NEVER, _NEVER]
        self._waiting = dict.fromkeys(Priority, 0)
        self._lines = {priority: asyncio.Lock() for priority in Priority}
        self._drawing = asyncio.Lock()
        self._closed = False

    def close(self) -> None:
        """Give nobody a turn any more: the process stops."""
        self._closed = True

    async def take(self, priority: Priority = Priority.URGENT) -> bool:
        """Wait for one call's turn, first come first served, urgent before bulk; false once it is closed."""
        self._waiting[priority] += 1
        try:
            async with self._lines[priority]:
                while not self._closed and not self._may_go(priority):
                    if not await self._draw(0):
                        await asyncio.sleep(LOOK_AGAIN_S)
                if not self._closed:
                    self._spend(Turns(1, 1 if priority is Priority.BULK else 0))
                return not self._closed
        finally:
            self._waiting[priority] -= 1

    async def turns(self, most: int, most_bulk: int) -> Turns:
        """Take what is at hand, without waiting, and beyond what others wait for; see `give_back`."""
        self._drop_stale()
        if most > 0 and (self._spare() < 1 or (most_bulk > 0 and self._bulk <= self._waiting[Priority.BULK])):
            await self._draw(most)
        calls = max(0, min(most, self._spare())) if not self._closed else 0
        bulk = max(0, min(calls, most_bulk, self._bulk - self._waiting[Priority.BULK]))
        turns = Turns(calls, bulk)
        self._spend(turns)
        return turns

    def give_back(self, turns: Turns) -> None:
        """Return turns that were not used."""
        self._calls += turns.calls
        self._bulk += turns.bulk

    async def slow_down(self) -> None:
        """Halve the rate of all workers for 30 s; without Postgres there are no turns anyhow."""
        self._calls = self._bulk = 0
        try:
            async with self._database.connection() as connection:
                await self._queries.slow_down(connection, names=self._names, lasting=SLOWED_FOR)
        except StoreError:
            return

    async def pause_account(self, account: str) -> None:
        """Leave one account's shares alone for 5 s."""
        try:
            async with self._database.connection() as connection:
                await self._queries.pause_account(connection, id=account, lasting=ACCOUNT_PAUSED_FOR)
        except StoreError:
            return

    def _spare(self) -> int:
        return self._calls - sum(self._waiting.values())

    def _may_go(self, priority: Priority) -> bool:
        if priority is Priority.URGENT:
            return self._calls >= 1
        return self._bulk >= 1 and self._calls > self._waiting[Priority.URGENT]

    def _spend(self, turns: Turns) -> None:
        self._calls -= turns.calls
        self._bulk -= turns.bulk

    def _drop_stale(self) -> None:
        """What is left over from busier times would come on top of what the buckets hold by now."""
        if self._clock() - self._drawn_at > _STALE_S:
            self._calls, self._bulk = (
                min(there, bucket.at_hand)
                for there, bucket in zip((self._calls, self._bulk), self._buckets, strict=True)
            )

    async def _draw(self, more: int) -> bool:
        """Look into the buckets, but for one that had too little a moment ago; say if anything came of it."""
        async with self._drawing:
            self._drop_stale()
            now, wanted = self._clock(), self._wanted(more)
            if not any(wanted):
                return False
            try:
                async with self._database.connection() as connection:
                    taken = await self._fetch(connection, wanted)
            except StoreError:
                self._calls = self._bulk = 0
                self._short_at = [now, now]
                return False
            self._drawn_at = now
            for place, (got, asked) in enumerate(zip(taken, wanted, strict=True)):
                if got < asked:
                    self._short_at[place] = now
            self._calls += taken[0]
            self._bulk += taken[1]
            return any(taken)

    def _wanted(self, more: int) -> list[int]:
        now = self._clock()
        waiting = (sum(self._waiting.values()), self._waiting[Priority.BULK])
        return [
            max(0, min(bucket.lot, max(waits + more, bucket.at_hand)) - there)
            if now - short_at >= LOOK_AGAIN_S
            else 0
            for bucket, waits, there, short_at in zip(
                self._buckets, waiting, (self._calls, self._bulk), self._short_at, strict=True
            )
        ]

    async def _fetch(self, connection: Connection, wanted: list[int]) -> list[int]:
        taken = await self._take(connection, wanted)
        if len(taken) < len(self._buckets):
            bursts = [bucket.burst for bucket in self._buckets]
            await self._queries.add_limiters(connection, names=self._names, bursts=bursts)
            taken = await self._take(connection, wanted)
        return [taken[name] for name in self._names]

    async def _take(self, connection: Connection, wanted: list[int]) -> dict[str, int]:
        rows = self._queries.take_tokens(
            connection,
            names=self._names,
            rates=[bucket.per_second for bucket in self._buckets],
            bursts=[bucket.burst for bucket in self._buckets],
            wanted=wanted,
        )
        return {row["name"]: row["taken"] async for row in rows}
