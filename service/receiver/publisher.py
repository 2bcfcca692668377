"""Publishing for the receiver: the client in use, and the supervision that replaces it.

    connecting ──connected──> working <──acked── proving <──connected── away
                                 │                  │                    ▲
                                 └──no ack at all───┴────────────────────┘

*Working*: every record is sent. A record that failed while others were acked, or that waits for half the
deadline beside them, means that some partition's leader is stuck or the partition is no more. The client
holds on to it, a fresh one gets around it: made first, the old one dropped then.
*Away*: sends were pending and nothing was acked, or no broker takes a connection. Nothing waits, the answer
is given at once, and a fresh client is made every second.
*Proving*: there is a fresh client, and the next record is the probe; until it is acked no other is sent.
"""

import asyncio
import functools
import time
from collections.abc import Awaitable, Callable, Coroutine
from typing import Protocol

from schemas.cloudevents import Headers
from service.receiver.room import largest_body
from service.runtime.health import CheckResult, State
from service.runtime.kafka.errors import KafkaUnavailableError, TopicMissingError
from service.runtime.kafka.producer import BatchDone, Done, SendResult
from service.runtime.lifecycle import wait_for_stop
from service.runtime.logging import get_logger
from service.runtime.metrics import Metrics

_ROUND_S = 1.0
_REACH_S = 1.0
_PROBE_S = 2.0
_REPLACE_EVERY_S = 5.0
_UNREADY_AFTER_FAILURE_S = 10.0
_LOOK_EVERY_S = 60.0
_LOOK_S = 2.0

Published = Callable[[SendResult | None], None]
"""Told once what became of a record; None: it was not sent, since the broker is away."""


class Producer(Protocol):
    """A connected client."""

    max_message_bytes: int | None
    """The topic's own limit; None where the brokers do not let us read it."""

    def send(self, key: bytes, value: bytes, headers: Headers, done: Done) -> None:
        """Send one record; `done` is told what became of it."""

    def watch(self, told: BatchDone) -> None:
        """Have each batch told of, before its records' senders are."""

    def longest_wait_s(self) -> float:
        """Say how long the oldest record has waited for its ack; 0.0 where none waits."""

    async def reachable(self, within_s: float) -> bool:
        """Say whether any broker can be connected to."""

    async def look_at_topic(self, within_s: float) -> None:
        """Read the topic's limit again, if that can be done in time."""

    async def close(self, within_s: float) -> None:
        """Let what is pending finish for so long, then drop the client."""


class Publisher:
    """Publishes records and knows whether it can."""

    def __init__(
        self,
        connect: Callable[[], Awaitable[Producer]],
        diagnose: Callable[[], Awaitable[str]],
        metrics: Metrics,
        *,
        deadline_s: float,
        max_body_bytes: int,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.max_body_bytes = max_body_bytes
        """The largest body that a record can carry: lowered where the topic takes less."""
        self._most_body_bytes = max_body_bytes
        self.connection = State(ok=False, state="connecting", clock=clock)
        """A probe: whether there is a client that works."""
        self._connect = connect
        self._diagnose = diagnose
        self._metrics = metrics
        self._deadline_s = deadline_s
        self._clock = clock
        self._producer: Producer | None = None
        self._proving = False
        self._probing = False
        self._pending = 0
        self._last_ack = clock()
        self._last_failure: float | None = None
        self._stuck = False
        self._replaced_at = clock()
        self._looked_at = clock()
        self._beside: set[asyncio.Task[None]] = set()

    def submit(self, key: bytes, value: bytes, headers: Headers, published: Published) -> None:
        """Send one record; `published` is told what became of it, at the latest at the deadline."""
        producer = self._producer
        if producer is None or self._probing:
            self._metrics.publish_failures.labels("away").inc()
            published(None)
            return
        self._pending += 1
        if self._proving:
            self._probing = True
            published = self._limited(producer, published)
        producer.send(key, value, headers, published)

    def _limited(self, producer: Producer, published: Published) -> Published:
        """Let the probe be answered, and its client be lost, sooner than others."""

        def late() -> None:
            nonlocal published
            told, published = published, _forget
            self._lose(producer, "no record is acknowledged")
            told(SendResult.TIMED_OUT)

        def tell(result: SendResult | None) -> None:
            limit.cancel()
            published(result)

        limit = asyncio.get_running_loop().call_later(_PROBE_S, late)
        return tell

    async def publish(self, key: bytes, value: bytes, headers: Headers) -> SendResult | None:
        """Send one record and wait for what became of it; None as for `submit`."""
        told: asyncio.Future[SendResult | None] = asyncio.get_running_loop().create_future()

        def tell(result: SendResult | None) -> None:
            if not told.done():
                told.set_result(result)

        self.submit(key, value, headers, tell)
        return await told

    def _learn(self, producer: Producer, result: SendResult, records: int, took_s: float) -> None:
        """Learn from what became of a batch."""
        self._pending -= records
        now = self._clock()
        if result is SendResult.ACKED:
            self._last_ack = now
            self._metrics.publish_seconds.observe(took_s)
            if self._proving and producer is self._producer:
                self._proving = self._probing = False
                self._work()
            return
        self._metrics.publish_failures.labels(result.value).inc(records)
        if result is SendResult.TOO_LARGE:
            if producer is self._producer:
                self._probing = False
            return
        self._last_failure = now
        if self._proving or self._last_ack < now - took_s:
            self._lose(producer, "no record is acknowledged")
        elif producer is self._producer:
            self._stuck = True

    def last_publish(self) -> CheckResult:
        """Answer as a probe: a failed publish makes unready for 10 s, and then traffic may try again."""
        if self._last_failure is None:
            return CheckResult(ok=True, state="no failure", since=self._last_ack)
        ok = self._clock() - self._last_failure > _UNREADY_AFTER_FAILURE_S
        return CheckResult(ok, "recovered" if ok else "failed", self._last_failure)

    async def run(self, stop: asyncio.Event) -> None:
        """Keep a working client until the stop. The last one stays: requests may still need it."""
        while not stop.is_set():
            if self._producer is None:
                await self._try_to_connect()
            elif self._is_stuck(self._producer) and self._clock() - self._replaced_at >= _REPLACE_EVERY_S:
                await self._try_to_replace(self._producer)
            elif self._pending and self._clock() - self._last_ack >= _ROUND_S:
                await self._look_for_a_broker(self._producer)
            elif self._clock() - self._looked_at >= _LOOK_EVERY_S:
                await self._look_at_topic(self._producer)
            await wait_for_stop(stop, _ROUND_S)

    async def close(self, within_s: float) -> None:
        """Drop the client, giving what is pending so long."""
        producer, self._producer = self._producer, None
        if producer is not None:
            await producer.close(within_s)
        for task in self._beside:
            task.cancel()

    async def _try_to_connect(self) -> None:
        try:
            producer = await self._connect()
        except TopicMissingError:
            self._note("the topic is missing: run offshoot topics")
        except KafkaUnavailableError:
            if self._note("no broker answers"):
                self._do_beside(self._explain())
        else:
            self._adopt(producer)

    async def _explain(self) -> None:
        """Say what keeps us out, which the failed connection itself does not."""
        get_logger().warning("broker.unreachable", why=await self._diagnose())

    def _note(self, state: str) -> bool:
        """Note that there is no client that works; say whether that is news."""
        news = self.connection().state != state
        if news:
            get_logger().warning("broker.away", state=state)
        self.connection.set(ok=False, state=state)
        return news

    def _adopt(self, producer: Producer) -> None:
        self.max_body_bytes = largest_body(self._most_body_bytes, producer.max_message_bytes)
        self._looked_at = self._clock()
        producer.watch(functools.partial(self._learn, producer))
        self._producer = producer
        self._stuck = False
        self._replaced_at = self._clock()
        if self._proving:
            self.connection.set(ok=True, state="connected, not proven")
        else:
            self._work()

    def _work(self) -> None:
        self._last_ack = self._clock()
        self.connection.set(ok=True, state="connected")
        self._metrics.broker_connected.set(1)
        get_logger().info("broker.connected", max_body_bytes=self.max_body_bytes)

    def _is_stuck(self, producer: Producer) -> bool:
        acks_come = self._clock() - self._last_ack < _ROUND_S
        return self._stuck or (acks_come and producer.longest_wait_s() > self._deadline_s / 2)

    async def _try_to_replace(self, stuck: Producer) -> None:
        """Make a fresh client first, then drop the stuck one; or else try again next round."""
        try:
            fresh = await self._connect()
        except KafkaUnavailableError:
            return
        if self._producer is not stuck:
            self._drop(fresh)
            return
        get_logger().warning("broker.client_replaced", why="a partition is stuck")
        self._adopt(fresh)
        self._drop(stuck)

    async def _look_at_topic(self, producer: Producer) -> None:
        """Follow the topic's limit, which may be changed at any time."""
        self._looked_at = self._clock()
        await producer.look_at_topic(_LOOK_S)
        self.max_body_bytes = largest_body(self._most_body_bytes, producer.max_message_bytes)

    async def _look_for_a_broker(self, producer: Producer) -> None:
        if not await producer.reachable(_PROBE_S):
            self._lose(producer, "no broker takes a connection")

    def _lose(self, producer: Producer, why: str) -> None:
        if producer is not self._producer:
            return
        self._producer = None
        self._proving = True
        self._probing = False
        self._note(why)
        self._metrics.broker_connected.set(0)
        self._drop(producer)

    def _drop(self, producer: Producer) -> None:
        # What is pending there may still be acked within its deadline.
        self._do_beside(producer.close(self._deadline_s))

    def _do_beside(self, work: Coroutine[None, None, None]) -> None:
        task = asyncio.create_task(work)
        self._beside.add(task)
        task.add_done_callback(self._beside.discard)


def _forget(_result: SendResult | None) -> None:
    pass
