"""Which dead letters are meant, and how each goes back."""

from datetime import UTC, datetime
from typing import Any

import pytest

from consumers.topic.redrive import Filter, Letter, plan, read_letters
from schemas.dead_letters import VALUE_OMITTED, DeadLetter
from service.runtime.kafka.consumer import Record

AT = datetime(2026, 1, 1, 12, tzinfo=UTC)
EARLIER, LATER = AT.replace(hour=11), AT.replace(hour=13)


def dead(offset: int, *headers: tuple[str, bytes], topic: str = "events", key: bytes | None = b"a") -> Record:
    """A record of the dead letters' topic that was at an offset of partition 3."""
    said = DeadLetter(topic, 3, offset, 0, "offshoot", "SomeError", "is bad", 1, AT)
    return Record("letters", 9, offset + 100, key, b"value", said.headers(list(headers)), AT)


def letter(offset: int, *headers: tuple[str, bytes], **how: Any) -> Letter:
    record = dead(offset, *headers, **how)
    return Letter(record, DeadLetter.of(record.headers))


@pytest.mark.parametrize(
    ("wanted", "takes"),
    [
        (Filter(), True),
        (Filter(topic="events", partition=3, offset=7), True),
        (Filter(topic="others"), False),
        (Filter(partition=9), False),
        (Filter(partition=0), False),
        (Filter(offset=107), False),
        (Filter(offset=0), False),
        (Filter(type="customer.updated"), True),
        (Filter(type="com.stripe.customer.updated"), True),
        (Filter(type="updated"), False),
        (Filter(error_class="SomeError"), True),
        (Filter(error_class="OtherError"), False),
        (Filter(since=EARLIER, until=LATER), True),
        (Filter(since=AT, until=AT), True),
        (Filter(since=LATER), False),
        (Filter(until=EARLIER), False),
    ],
    ids=str,
)
def test_what_a_filter_takes(wanted: Filter, *, takes: bool) -> None:
    assert wanted.takes(letter(7, ("ce_type", b"com.stripe.customer.updated"))) is takes


def test_they_are_in_the_order_of_their_topics_each_once() -> None:
    stray = Record("letters", 0, 0, None, None, [], AT)
    letters, strange = read_letters([dead(8), dead(7), stray, dead(8), dead(9)], Filter())
    assert ([each.said.original_offset for each in letters], strange) == ([7, 8, 9], 1)
    assert letters[1].record.offset == 108


def test_each_goes_back_with_what_it_had() -> None:
    found = plan([letter(7, ("ce_id", b"1"), key=None)], {"events"})
    ((_, record),) = found.back
    assert (record.topic, record.key, record.value) == ("events", None, b"value")
    assert (record.headers, record.partition) == ([("ce_id", b"1")], 3)


def test_what_stays_says_why() -> None:
    omitted = letter(7)
    record = dead(7)
    omitted = Letter(
        Record(record.topic, 9, 107, b"a", None, [*record.headers, (VALUE_OMITTED, b"9")], AT), omitted.said
    )
    found = plan([omitted, letter(8, topic="others")], {"events"})
    assert found.back == []
    assert [why for _, why in found.stay] == [
        "its value was too large to be kept here",
        "its topic is not one of this deployment",
    ]
