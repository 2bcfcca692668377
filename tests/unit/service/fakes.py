"""A Kafka client that does what its test says, for the publisher and what stands on it."""

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from schemas.cloudevents import Headers
from service.runtime.kafka.producer import BatchDone, Done, SendResult


@dataclass
class FakeProducer:
    """Keeps what it was given; while `gate` is not set, nothing is answered."""

    result: SendResult = SendResult.ACKED
    max_message_bytes: int | None = None
    has_broker: bool = True
    waited_s: float = 0.0
    gate: asyncio.Event = field(default_factory=asyncio.Event)
    sent: list[tuple[bytes, bytes, Headers]] = field(default_factory=list)
    sending: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(0))
    answering: set[asyncio.Future[None]] = field(default_factory=set)
    clock: Callable[[], float] = time.monotonic
    told: BatchDone = field(default=lambda _result, _records, _took_s: None)
    looked: asyncio.Event = field(default_factory=asyncio.Event)
    closed: asyncio.Event = field(default_factory=asyncio.Event)

    def __post_init__(self) -> None:
        self.gate.set()

    def send(self, key: bytes, value: bytes, headers: Headers, done: Done) -> None:
        """Answer as told."""
        self.sent.append((key, value, headers))
        self.sending.release()
        if self.gate.is_set():
            self._tell(done)
        else:
            task = asyncio.ensure_future(self._answer_later(done))
            self.answering.add(task)
            task.add_done_callback(self.answering.discard)

    async def _answer_later(self, done: Done) -> None:
        began = self.clock()
        await self.gate.wait()
        self._tell(done, self.clock() - began)

    def watch(self, told: BatchDone) -> None:
        """Tell of each record as of a batch."""
        self.told = told

    def _tell(self, done: Done, took_s: float = 0.0) -> None:
        self.told(self.result, 1, took_s)
        done(self.result)

    def longest_wait_s(self) -> float:
        """Say as told."""
        return self.waited_s

    async def reachable(self, within_s: float) -> bool:
        """Say as told."""
        del within_s
        return self.has_broker

    async def look_at_topic(self, within_s: float) -> None:
        """Find the limit that the test has set meanwhile."""
        del within_s
        self.looked.set()

    async def close(self, within_s: float) -> None:
        """Note that it was dropped."""
        del within_s
        self.closed.set()


async def unexplained() -> str:
    """Stand for the diagnosis of a broker that is away."""
    return "nobody knows"
