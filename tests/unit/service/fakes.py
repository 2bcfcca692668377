"""A Kafka client that does what its test says, for the publisher and what stands on it."""

import asyncio
from dataclasses import dataclass, field

from schemas.cloudevents import Headers
from service.runtime.kafka.producer import SendResult


@dataclass
class FakeProducer:
    """Keeps what it was given; while `gate` is not set, nothing is answered."""

    result: SendResult = SendResult.ACKED
    max_message_bytes: int | None = None
    has_broker: bool = True
    gate: asyncio.Event = field(default_factory=asyncio.Event)
    sent: list[tuple[bytes, bytes, Headers]] = field(default_factory=list)
    sending: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(0))
    closed: asyncio.Event = field(default_factory=asyncio.Event)

    def __post_init__(self) -> None:
        self.gate.set()

    async def send(self, key: bytes, value: bytes, headers: Headers) -> SendResult:
        """Answer as told."""
        self.sent.append((key, value, headers))
        self.sending.release()
        await self.gate.wait()
        return self.result

    async def reachable(self, within_s: float) -> bool:
        """Say as told."""
        del within_s
        return self.has_broker

    async def close(self, within_s: float) -> None:
        """Note that it was dropped."""
        del within_s
        self.closed.set()
