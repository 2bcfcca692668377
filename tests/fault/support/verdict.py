"""What must hold of the answers of a receiver, whatever became of its brokers."""

import itertools
from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Any

from tests.fault.support.load import NO_ANSWER, Answer

MARGIN_S = 2.0
"""Senders, receiver and brokers share two cores with other tests."""

AT_ONCE_S = 0.8
RECOVERS_WITHIN_S = 10.0
_ALLOWED = {(200, b'{"received":true}'), (503, b'{"error":"unavailable"}')}


def report(figures: str) -> None:
    """Tell what was measured, in one line, to whoever runs the tests with -s."""
    print(f"\n{figures}")  # noqa: T201 - the promises are asserted, the figures are to be read


def check_nothing_is_lost(answers: Iterable[Answer], found: Iterable[Any]) -> None:
    """Each one that was answered 2xx is among the topic's records, byte for byte."""
    values: dict[str, set[bytes]] = defaultdict(set)
    for record in found:
        values[dict(record.headers).get("ce_id", b"").decode()].add(record.value)
    acked = [answer for answer in answers if answer.acked]
    assert acked, "nothing was acked"
    lost = [answer.event_id for answer in acked if values.get(answer.event_id) != {answer.value}]
    assert not lost, f"{len(lost)} of {len(acked)} acked are not in the topic: {lost[:5]}"


def check_answers(answers: Sequence[Answer], deadline_s: float, *, leaves: bool = False) -> None:
    """Each is 200 or 503 with its body, in time; where the receiver leaves there may be none at all."""
    allowed = _ALLOWED | ({(NO_ANSWER, b"")} if leaves else set())
    others = {(answer.status, answer.body) for answer in answers} - allowed
    assert not others, f"answers of another kind: {others}"
    slowest = max(answer.took_s for answer in answers)
    assert slowest < deadline_s + MARGIN_S, f"the slowest answer took {slowest:.1f} s"


def check_refused_at_once(answers: Iterable[Answer], since: float, till: float) -> float:
    """Those of a time in which the brokers were known to be away; gives the slowest's seconds."""
    asked = [answer for answer in answers if answer.began > since and answer.ended < till]
    statuses = {answer.status for answer in asked}
    assert statuses == {503}, f"with the brokers away: {statuses}"
    slowest = max(answer.took_s for answer in asked)
    assert slowest < AT_ONCE_S, f"with the brokers known to be away one answer took {slowest:.1f} s"
    return slowest


def longest_gap_s(answers: Iterable[Answer]) -> float:
    """The longest time in which nothing was acked."""
    moments = sorted(answer.ended for answer in answers if answer.acked)
    return max(later - sooner for sooner, later in itertools.pairwise(moments))


def first_ack(answers: Sequence[Answer], since: float) -> Answer:
    """The first that was acked after a moment."""
    return min((each for each in answers if each.acked and each.ended > since), key=lambda each: each.ended)


def last_first_ack(answers: Iterable[Answer], since: float) -> float:
    """When the last of the senders heard its first ack after a moment."""
    first: dict[str, float] = {}
    for answer in answers:
        if answer.acked and answer.ended > since:
            first[answer.object_id] = min(answer.ended, first.get(answer.object_id, answer.ended))
    return max(first.values())


def by_partition(answers: Iterable[Answer], found: Iterable[Any]) -> dict[int, list[Answer]]:
    """The answers of each partition's senders, known by the objects whose records went there."""
    partition_of = {record.key: record.partition for record in found if record.key is not None}
    parts: dict[int, list[Answer]] = defaultdict(list)
    for answer in answers:
        parts[partition_of[b"platform:" + answer.object_id.encode()]].append(answer)
    return parts
