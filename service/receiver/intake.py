"""What happens to a delivery from its first byte to its answer, whichever way it is read from the wire.

A `Delivery` is counted in when it is opened and out when it is answered, refuses a body as soon as it is too
large, and is answered once, by a call: nothing waits for it, so that no task is needed for each.
"""

import logging
import time
from collections.abc import Callable
from typing import Any, Final

from prometheus_client import Counter

from schemas.stripe_event import EventFacts
from service.receiver import webhook
from service.receiver.publisher import Publisher
from service.receiver.room import Room
from service.receiver.webhook import Answer, Receiver, Record
from service.runtime.health import State
from service.runtime.kafka.producer import SendResult
from service.runtime.lifecycle import describe_error
from service.runtime.logging import get_logger
from service.runtime.metrics import Metrics, type_label

Reply = Callable[[Answer], None]
"""Told the answer, once."""

_DIGITS: Final = 20


class Intake:
    """Everything that deliveries need: the rules, the room, the publisher, and where they are counted."""

    def __init__(
        self,
        *,
        receiver: Receiver,
        publisher: Publisher,
        room: Room,
        metrics: Metrics,
        now: Callable[[], float] = time.time,
    ) -> None:
        self.receiver = receiver
        self.publisher = publisher
        self.room = room
        self.serving = State(ok=True, state="serving")
        """A probe: whether deliveries are taken, or the process is draining."""
        self.draining = False
        self.now = now
        self.inside: set[Delivery] = set()
        self._metrics = metrics
        self._counters: dict[tuple[str, str, str], Counter] = {}
        self._log = get_logger().bind()  # once: it is used for every delivery

    def drain(self) -> None:
        """From now on refuse new deliveries; those inside are finished."""
        self.draining = True
        self.serving.set(ok=False, state="draining")

    def end(self) -> None:
        """Refuse what is still inside: the time to drain is over."""
        for delivery in list(self.inside):
            delivery.answer(webhook.DRAINING)

    def open(self, reply: Reply, declared_length: bytes | None) -> "Delivery":
        """Count a delivery in; it may be answered at once, and then its body is not wanted."""
        delivery = Delivery(self, reply)
        if self.draining:
            delivery.answer(webhook.DRAINING)
        elif self.room.overfull:
            delivery.answer(webhook.OVERLOADED)
        elif _exceeds(declared_length, self.publisher.max_body_bytes):
            delivery.answer(webhook.TOO_LARGE)
        return delivery

    def note(self, delivery: "Delivery", answer: Answer | None) -> None:
        """Write a delivery down: metrics and the one line of the log."""
        outcome = answer.outcome if answer is not None else "disconnected"
        event, endpoint = delivery.event, delivery.endpoint
        self._counter(outcome, endpoint, event).inc()
        self._metrics.webhook_bytes.inc(delivery.size)
        if not self._log.is_enabled_for(logging.INFO):
            return
        facts: dict[str, Any] = {
            "outcome": outcome,
            "bytes": delivery.size,
            "took_ms": round((time.perf_counter() - delivery.began) * 1000, 3),
        }
        if answer is not None:
            facts["status"] = answer.status
        if endpoint is not None:
            facts["endpoint"] = endpoint
        if event is not None:
            facts["event_id"] = event.id
            facts["event_type"] = event.type
            facts["account"] = event.account
            facts["object_id"] = event.object_id
        self._log.info("webhook.answered", **facts)

    def _counter(self, outcome: str, endpoint: str | None, event: EventFacts | None) -> Counter:
        labels = (outcome, endpoint or "none", type_label(event.type) if event is not None else "none")
        counter = self._counters.get(labels)
        if counter is None:
            counter = self._counters[labels] = self._metrics.webhooks.labels(*labels)
        return counter


class Delivery:
    """One webhook being received."""

    __slots__ = ("_intake", "_reply", "answered", "began", "endpoint", "event", "size")

    def __init__(self, intake: Intake, reply: Reply) -> None:
        self._intake = intake
        self._reply = reply
        self.answered = False
        self.began = time.perf_counter()
        self.endpoint: str | None = None
        self.event: EventFacts | None = None
        self.size = 0
        intake.room.count(1, 0)
        intake.inside.add(self)

    def grow(self, size: int) -> None:
        """Count more bytes of the body; it may be answered by that, and then no more is wanted."""
        self.size += size
        self._intake.room.count(0, size)
        if self.size > self._intake.publisher.max_body_bytes:
            self.answer(webhook.TOO_LARGE)
        elif self._intake.room.overfull:
            self.answer(webhook.OVERLOADED)

    def judge(self, body: bytes, signature: bytes | None, traceparent: bytes | None) -> None:
        """Decide on the whole body: it is answered now, or once what becomes of its record is known."""
        intake = self._intake
        try:
            decision = intake.receiver.judge(body, signature, traceparent, intake.now())
            self.endpoint, self.event = decision.endpoint, decision.event
            if isinstance(decision, Record):
                intake.publisher.submit(decision.key, decision.value, decision.headers, self._published)
            else:
                self.answer(decision.answer)
        except Exception as error:  # noqa: BLE001 - no byte of a sender may cause a 500
            get_logger().error("webhook.failed", **describe_error(error))
            self.answer(webhook.FAILED)

    def _published(self, result: SendResult | None) -> None:
        self.answer(webhook.answer_to(result))

    def answer(self, answer: Answer) -> None:
        """Answer, and count the delivery out; only the first answer counts."""
        if not self.answered:
            self._end(answer)
            self._reply(answer)

    def abandon(self) -> None:
        """Count the delivery out: its sender left before it was whole."""
        if not self.answered:
            self._end(None)

    def _end(self, answer: Answer | None) -> None:
        self.answered = True
        self._intake.room.count(-1, -self.size)
        self._intake.inside.discard(self)
        self._intake.note(self, answer)


def _exceeds(declared_length: bytes | None, limit: int) -> bool:
    if declared_length is None or not declared_length.isdigit():
        return False
    return int(declared_length[:_DIGITS]) > limit
