"""The watch over a group's member: tells how far it is behind, and has it replaced when it does not move.

A Kafka client can be alive to all appearances and give no more records: a task of its own has died, or it
holds on to a broker that is frozen. Then another client gets what this one does not. While no client gets an
answer the brokers are away, and this one is as good as any.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable
from enum import StrEnum
from typing import Final

from service.runtime.health import State
from service.runtime.kafka.consumer import GroupReader
from service.runtime.kafka.errors import KafkaUnavailableError
from service.runtime.kafka.progress import Look, Progress
from service.runtime.lifecycle import wait_for_stop
from service.runtime.logging import get_logger
from service.runtime.metrics import Metrics

LOOK_EVERY_S: Final = 5.0
LOOK_WITHIN_S: Final = 5.0
STALLED_AFTER_S: Final = 30.0
JOINED_WITHIN_S: Final = 120.0
"""Longer than a rebalance may last that waits for a member which does not answer."""


class Rebuild(StrEnum):
    """Why a member was replaced."""

    FAILED = "failed"
    """Its client raised an error."""
    STALLED = "stalled"
    """No progress while there was a lag."""
    NOT_JOINED = "not_joined"
    """The group gave it no partitions."""
    NOT_ANSWERED = "not_answered"
    """The brokers answer others, but not this one."""


class Watch:
    """Watches one reader, from its start to its end."""

    def __init__(
        self,
        reader: GroupReader,
        others_are_answered: Callable[[], Awaitable[bool]],
        metrics: Metrics,
        *,
        counted_as: str,
    ) -> None:
        """Args: the reader; whether a fresh client gets an answer; and the topic's name in the metrics."""
        self._reader = reader
        self._others_are_answered = others_are_answered
        self._lag = metrics.consumer_lag_records.labels(counted_as)
        self._behind = metrics.consumer_lag_seconds.labels(counted_as)
        self._progress = Progress()
        self._unanswered_since: float | None = None
        self.kafka = State(ok=True, state="answers")
        self.rebuild: Rebuild | None = None
        """Set once the reader was given up."""

    async def run(self, stop: asyncio.Event) -> None:
        """Look from time to time, until the stop or until the reader is given up."""
        while self.rebuild is None and not await wait_for_stop(stop, LOOK_EVERY_S):
            try:
                look = await self._reader.look(LOOK_WITHIN_S)
            except KafkaUnavailableError:
                await self.unanswered(time.time())
            else:
                self._unanswered_since = None
                self.kafka.set(ok=True, state="answers")
                self.judge(look, time.time())

    def judge(self, look: Look, now: float) -> None:
        """Tell what a look shows, and give the reader up where it shows that it is of no more use."""
        self._progress = self._progress.after(look, now)
        self._lag.set(look.lag)
        self._behind.set(max(0.0, self._progress.behind_s(now)))
        if self._progress.stalled_s(look.waited_s) >= STALLED_AFTER_S:
            self._give_up(Rebuild.STALLED, lag=look.lag)
        elif self._progress.unjoined_s(now) >= JOINED_WITHIN_S:
            self._give_up(Rebuild.NOT_JOINED, lag=look.lag)

    async def unanswered(self, now: float) -> None:
        """Take a look that got no answer, and give the reader up where a fresh client gets one."""
        if self._unanswered_since is None:
            self._unanswered_since = now
        elif now - self._unanswered_since >= STALLED_AFTER_S and await self._others_are_answered():
            self._give_up(Rebuild.NOT_ANSWERED)
        self._behind.set(max(0.0, self._progress.behind_s(now)))
        self.kafka.set(ok=False, state="Kafka does not answer")

    def _give_up(self, why: Rebuild, **facts: int) -> None:
        get_logger().error("consumer.given_up", topic=self._reader.topic, why=why, **facts)
        self.rebuild = why
        self._reader.give_up(why)
