"""When a reader that does not move is given up, and when it is left alone."""

from typing import Any

import pytest

from consumers.topic.watch import JOINED_WITHIN_S, STALLED_AFTER_S, Rebuild, Watch
from service.runtime.kafka.progress import Look
from service.runtime.metrics import Metrics

NOW = 1_000_000.0


class Reader:
    """A reader that is only asked to be given up."""

    topic = "stripe.events"

    def __init__(self) -> None:
        self.given_up: str | None = None

    def give_up(self, why: str) -> None:
        self.given_up = why


class World:
    """A watch over it, and brokers that answer others or not."""

    def __init__(self) -> None:
        self.reader = Reader()
        self.metrics = Metrics()
        self.others_are_answered = True
        reader: Any = self.reader
        self.watch = Watch(reader, self._others, self.metrics, counted_as="stripe.events")

    async def _others(self) -> bool:
        return self.others_are_answered

    def see(self, at: int, end: int, *, waited_s: float, after_s: float, joined: bool = True) -> None:
        look = Look(joined=joined, at={0: at}, ends={0: end}, done_at={}, waited_s=waited_s)
        self.watch.judge(look, NOW + after_s)

    def value(self, metric: str) -> float | None:
        return self.metrics.registry.get_sample_value(metric, {"topic": "stripe.events"})


@pytest.fixture
def world() -> World:
    return World()


def test_a_lag_without_progress(world: World) -> None:
    world.see(5, 9, waited_s=0, after_s=0)
    world.see(5, 9, waited_s=STALLED_AFTER_S - 1, after_s=40)
    assert world.reader.given_up is None
    assert world.value("offshoot_consumer_lag_records") == 4
    assert world.value("offshoot_consumer_lag_seconds") == 40
    world.see(5, 10, waited_s=STALLED_AFTER_S, after_s=41)
    assert world.reader.given_up == world.watch.rebuild == Rebuild.STALLED


def test_progress_however_slow(world: World) -> None:
    for number in range(20):
        world.see(number, 99, waited_s=number * (STALLED_AFTER_S - 1), after_s=number * 30)
    assert world.reader.given_up is None


def test_a_store_that_takes_its_time(world: World) -> None:
    world.see(5, 9, waited_s=1, after_s=0)
    world.see(5, 9, waited_s=1, after_s=10 * STALLED_AFTER_S)
    assert world.reader.given_up is None


def test_a_group_that_gives_no_partitions(world: World) -> None:
    world.see(1, 1, waited_s=0, after_s=0, joined=False)
    world.see(1, 1, waited_s=0, after_s=JOINED_WITHIN_S - 1, joined=False)
    assert world.reader.given_up is None
    world.see(1, 1, waited_s=0, after_s=JOINED_WITHIN_S, joined=False)
    assert world.reader.given_up == Rebuild.NOT_JOINED


async def test_brokers_that_answer_nobody_are_no_fault_of_the_reader(world: World) -> None:
    world.others_are_answered = False
    world.see(5, 9, waited_s=0, after_s=0)
    await world.watch.unanswered(NOW)
    await world.watch.unanswered(NOW + 3600)
    assert world.reader.given_up is None
    assert world.value("offshoot_consumer_lag_seconds") == 3600, "what waited goes on waiting"
    assert not world.watch.kafka().ok
    world.others_are_answered = True
    await world.watch.unanswered(NOW + 3605)
    assert world.reader.given_up == Rebuild.NOT_ANSWERED


async def test_brokers_that_do_not_answer_for_a_moment(world: World) -> None:
    await world.watch.unanswered(NOW)
    await world.watch.unanswered(NOW + STALLED_AFTER_S - 1)
    assert world.reader.given_up is None
