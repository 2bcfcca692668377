"""Writing dead letters: records that cannot be read, put where somebody can look and send them again."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Final

from consumers.topic.handler import Unreadable
from schemas.dead_letters import VALUE_OMITTED, DeadLetter
from service.runtime.kafka.publish import AckedPublisher, Outgoing
from service.runtime.logging import get_logger
from service.runtime.metrics import Metrics

PUBLISH_WITHIN_S: Final = 15.0


class DeadLetters:
    """The topic of dead letters, as one consumer group writes it."""

    def __init__(
        self,
        publisher: AckedPublisher,
        metrics: Metrics,
        *,
        topic: str,
        group: str,
        now: Callable[[], datetime],
    ) -> None:
        """Args: `topic` in full, the group that could not read the records, and the time."""
        self._publisher = publisher
        self._metrics = metrics
        self._topic = topic
        self._group = group
        self._now = now

    async def publish(self, unreadable: Sequence[Unreadable], counted_as: str) -> None:
        """Publish them in order, each with its original key, value and headers, and wait for the acks.

        One that is too large with the headers that are added goes without its value, which is still at its
        original place.

        Args:
            unreadable: the records, and why each cannot be read.
            counted_as: the topic they are of, in the metrics.

        Raises:
            KafkaUnavailableError: some are not known to be there; all may be published again.
        """
        letters = [self._letter(each) for each in unreadable]
        too_large = await self._publisher.publish(letters, PUBLISH_WITHIN_S)
        if too_large:
            await self._publisher.publish([_without_value(each) for each in too_large], PUBLISH_WITHIN_S)
        self._metrics.dead_letters.labels(counted_as).inc(len(letters))
        for each in unreadable:
            get_logger().error(
                "consumer.dead_letter",
                topic=each.record.topic,
                partition=each.record.partition,
                offset=each.record.offset,
                error=each.error_class,
                why=each.message,
            )

    async def close(self) -> None:
        """Drop the client."""
        await self._publisher.close()

    def _letter(self, each: Unreadable) -> Outgoing:
        record = each.record
        letter = DeadLetter(
            original_topic=record.topic,
            original_partition=record.partition,
            original_offset=record.offset,
            original_timestamp_ms=round(record.recorded_at.timestamp() * 1000),
            consumer_group=self._group,
            error_class=each.error_class,
            error_message=each.message,
            attempts=each.attempts,
            failed_at=self._now(),
        )
        return Outgoing(
            self._topic, record.key, record.value, letter.headers(record.headers), record.partition
        )


def _without_value(letter: Outgoing) -> Outgoing:
    omitted = (VALUE_OMITTED, str(len(letter.value or b"")).encode())
    return replace(letter, value=None, headers=[*letter.headers, omitted])
