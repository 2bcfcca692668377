"""The headers of a dead letter: the original's, and behind them where it was and what was wrong."""

from datetime import UTC, datetime

import pytest

from schemas.dead_letters import DeadLetter, NotADeadLetterError, original_headers

LETTER = DeadLetter(
    original_topic="stripe.events",
    original_partition=3,
    original_offset=41,
    original_timestamp_ms=1767225600123,
    consumer_group="offshoot",
    error_class="NotAStripeEventError",
    error_message="the body is not JSON",
    attempts=1,
    failed_at=datetime(2026, 1, 1, tzinfo=UTC),
)
ORIGINAL = [("ce_id", b"evt_1"), ("traceparent", b"\xff\x00"), ("ce_id", b"evt_2")]


def test_the_original_ones_are_kept_in_order_and_bytes() -> None:
    assert LETTER.headers(ORIGINAL) == [
        *ORIGINAL,
        ("dlq-original-topic", b"stripe.events"),
        ("dlq-original-partition", b"3"),
        ("dlq-original-offset", b"41"),
        ("dlq-original-timestamp", b"1767225600123"),
        ("dlq-consumer-group", b"offshoot"),
        ("dlq-error-class", b"NotAStripeEventError"),
        ("dlq-error-message", b"the body is not JSON"),
        ("dlq-attempts", b"1"),
        ("dlq-failed-at", b"2026-01-01T00:00:00Z"),
    ]


def test_it_is_read_as_it_was_written_and_gives_the_original_back() -> None:
    headers = LETTER.headers(ORIGINAL)
    assert DeadLetter.of(headers) == LETTER
    assert original_headers(headers) == ORIGINAL


def test_a_record_that_failed_twice_says_only_the_second() -> None:
    assert DeadLetter.of(LETTER.headers(LETTER.headers(ORIGINAL))) == LETTER
    assert len(LETTER.headers(LETTER.headers(ORIGINAL))) == len(LETTER.headers(ORIGINAL))


@pytest.mark.parametrize("broken", ["dlq-original-offset", "dlq-failed-at", "dlq-error-class"])
def test_what_is_no_dead_letter(broken: str) -> None:
    headers = [each for each in LETTER.headers(ORIGINAL) if each[0] != broken]
    with pytest.raises(NotADeadLetterError):
        DeadLetter.of(headers)
    if broken != "dlq-error-class":
        with pytest.raises(NotADeadLetterError):
            DeadLetter.of([*headers, (broken, b"soon")])
