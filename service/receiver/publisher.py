"""Publishing for the receiver: one client while it works, a fresh one every second while it does not.

States: *connecting* until a client has found the topic; *connected*; back to connecting once sends were
pending for the whole deadline without any ack, or no broker takes a connection. While connecting nothing
waits: the answer is that the broker is away.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Protocol

from schemas.cloudevents import Headers
from service.runtime.health import CheckResult, State
from service.runtime.kafka.errors import KafkaUnavailableError, TopicMissingError
from service.runtime.kafka.producer import SendResult
from service.runtime.lifecycle import wait_for_stop
from service.runtime.logging import get_logger
from service.runtime.metrics import Metrics

_ROUND_S = 1.0
_PROBE_S = 1.0
_UNREADY_AFTER_FAILURE_S = 10.0
_BESIDE_THE_BODY = 65_536
"""Bytes of a record that its key, headers and framing may take."""


class Producer(Protocol):
    """A connected client."""

    max_message_bytes: int | None

    async def send(self, key: bytes, value: bytes, headers: Headers) -> SendResult:
        """Send one record and wait for its ack."""

    async def reachable(self, within_s: float) -> bool:
        """Say whether any broker can be connected to."""

    async def close(self, within_s: float) -> None:
        """Let what is pending finish for so long, then drop the client."""


class Publisher:
    """Publishes records and knows whether it can."""

    def __init__(
        self,
        connect: Callable[[], Awaitable[Producer]],
        metrics: Metrics,
        *,
        deadline_s: float,
        max_body_bytes: int,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.max_body_bytes = max_body_bytes
        """The largest body that a record can carry; lowered once the topic's own limit is known."""
        self.connection = State(ok=False, state="connecting", clock=clock)
        """A probe: whether there is a client that works."""
        self._connect = connect
        self._metrics = metrics
        self._deadline_s = deadline_s
        self._clock = clock
        self._producer: Producer | None = None
        self._pending = 0
        self._last_ack = clock()
        self._last_failure: float | None = None
        self._closing: set[asyncio.Task[None]] = set()

    async def publish(self, key: bytes, value: bytes, headers: Headers) -> SendResult | None:
        """Publish one record; None says that it was not tried, since the broker is away."""
        producer = self._producer
        if producer is None:
            self._metrics.publish_failures.labels("away").inc()
            return None
        began = self._clock()
        self._pending += 1
        try:
            result = await producer.send(key, value, headers)
        finally:
            self._pending -= 1
        now = self._clock()
        if result is SendResult.ACKED:
            self._last_ack = now
            self._metrics.publish_seconds.observe(now - began)
            return result
        self._metrics.publish_failures.labels(result.value).inc()
        if result is not SendResult.TOO_LARGE:
            self._last_failure = now
            if result is SendResult.TIMED_OUT and self._last_ack < began:
                self._lose(producer, "no ack within the deadline")
        return result

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
            elif self._pending and self._clock() - self._last_ack >= _ROUND_S:
                await self._look_for_a_broker(self._producer)
            await wait_for_stop(stop, _ROUND_S)

    async def close(self, within_s: float) -> None:
        """Drop the client, giving what is pending so long."""
        producer, self._producer = self._producer, None
        if producer is not None:
            await producer.close(within_s)
        for task in self._closing:
            task.cancel()

    async def _try_to_connect(self) -> None:
        try:
            producer = await self._connect()
        except TopicMissingError:
            self._note("the topic is missing: run offshoot topics")
        except KafkaUnavailableError:
            self._note("no broker answers")
        else:
            self._adopt(producer)

    def _note(self, state: str) -> None:
        if self.connection().state != state:
            get_logger().warning("broker.away", state=state)
        self.connection.set(ok=False, state=state)

    def _adopt(self, producer: Producer) -> None:
        if producer.max_message_bytes is not None:
            self.max_body_bytes = min(
                self.max_body_bytes, max(0, producer.max_message_bytes - _BESIDE_THE_BODY)
            )
        self._producer = producer
        self._last_ack = self._clock()
        self.connection.set(ok=True, state="connected")
        self._metrics.broker_connected.set(1)
        get_logger().info("broker.connected", max_body_bytes=self.max_body_bytes)

    async def _look_for_a_broker(self, producer: Producer) -> None:
        if not await producer.reachable(_PROBE_S):
            self._lose(producer, "no broker takes a connection")

    def _lose(self, producer: Producer, why: str) -> None:
        if producer is not self._producer:
            return
        self._producer = None
        self._note(why)
        self._metrics.broker_connected.set(0)
        # What is pending there may still be acked within its deadline.
        task = asyncio.create_task(producer.close(self._deadline_s))
        self._closing.add(task)
        task.add_done_callback(self._closing.discard)
