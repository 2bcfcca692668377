"""Any order of events, faults, crashes, freezes and changes at Stripe ends as it must.

The seed is printed; `OFFSHOOT_TEST_SEED` gives it, `OFFSHOOT_TEST_SCHEDULES` how many are played.
"""

import os
import random
from collections.abc import Coroutine
from datetime import timedelta
from typing import Any, Final

import hypothesis
import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test

from consumers.clone.policy import DefaultFollows, Leave, OnUpdate
from tests.integration.engine.judge import shown
from tests.integration.engine.schedule import FAULTS, Schedule
from tests.integration.engine.theatre import Theatre

SEED: Final = int(os.environ.get("OFFSHOOT_TEST_SEED", "0")) or random.SystemRandom().randrange(1, 2**32)
SCHEDULES: Final = int(os.environ.get("OFFSHOOT_TEST_SCHEDULES", "0"))
SHRINK: Final = bool(os.environ.get("OFFSHOOT_TEST_SHRINK"))
"""It can take minutes: only where asked for."""

STEPS: Final = 30

number = st.integers(0, 5)
numbers = st.lists(st.integers(0, 7), min_size=1, max_size=6)
token = st.sampled_from(["tok_visa", "tok_visa", "tok_mastercard", "tok_amex"])
steps = st.one_of(st.integers(0, 12), st.just(60))
times = st.sampled_from(
    [timedelta(seconds=seconds) for seconds in (3, 61, 61, 61, 1000, 4000)]
    + [timedelta(hours=hours) for hours in (22, 23, 25, 73)]
)
change = st.sampled_from(
    [
        {"card[exp_year]": "2039"},
        {"card[exp_year]": "2040", "card[exp_month]": "2"},
        {"billing_details[name]": "Jenny R"},
        {"billing_details[name]": ""},
        {"metadata[offshoot]": "never"},
        {"metadata[offshoot]": ""},
    ]
)


def _deed(name: str, *arguments: st.SearchStrategy[Any]) -> st.SearchStrategy[tuple[Any, ...]]:
    return st.tuples(st.just(name), *arguments)


at_the_platform = st.one_of(
    _deed("save_card", number, token),
    _deed("change_card", number, change),
    _deed("change_card", number, change),
    _deed("share", number, st.lists(number, max_size=3)),
    _deed("share", number, st.lists(number, max_size=1)),
    _deed("share_everywhere", number),
    _deed("detach_card", number),
    _deed("set_default", number),
    _deed("new_customer"),
    _deed("delete_customer", number),
)
on_an_account = st.one_of(
    _deed("detach_there", number),
    _deed("default_there", number),
    _deed("save_there", number, token),
    _deed("change_there", number, st.sampled_from(["2039", "2041"])),
    _deed("capability", number, st.sampled_from(["active", "inactive"])),
    _deed("authorize", number, st.booleans()),
    _deed("delete_there", number),
    _deed("connect", st.booleans()),
)


class Schedules(RuleBasedStateMachine):
    """Every rule is one thing that happens."""

    theatre: Theatre

    def __init__(self) -> None:
        super().__init__()
        self.on: Schedule | None = None

    def do(self, work: Coroutine[Any, Any, Any]) -> None:
        self.theatre.run(work)

    @property
    def now(self) -> Schedule:
        assert self.on is not None
        return self.on

    @initialize(
        on_update=st.sampled_from(list(OnUpdate)),
        on_superseded=st.sampled_from(list(Leave)),
        on_detach=st.sampled_from([Leave.DETACH, Leave.DETACH, Leave.KEEP]),
        default_follows=st.sampled_from(list(DefaultFollows)),
        reuse_existing=st.booleans(),
        tokens=st.lists(token, min_size=1, max_size=2),
        settled=st.booleans(),
        destinations=st.sampled_from(["snapshot", "snapshot", "thin", "both"]),
    )
    def begin(self, *, tokens: list[str], settled: bool, destinations: str, **choices: Any) -> None:
        self.on = self.theatre.open(destinations, {**choices, "superseded_grace": timedelta(hours=1)})

        async def prologue() -> None:
            await self.now.connect(capable=True)
            await self.now.connect(capable=True)
            await self.now.new_customer()
            await self.now.share(0, [0])
            for each in tokens:
                await self.now.save_card(0, each)
            if settled:
                await self.now.rest()

        self.do(prologue())

    def teardown(self) -> None:
        try:
            if self.on is not None:
                self.do(self.now.come_to_rest())
                self.do(self.now.judge())
        except Exception:
            print(self.theatre.run(shown(self.now.play, self.now.told)))  # noqa: T201 -- with the failure
            raise
        finally:
            self.theatre.close_schedule()

    @invariant()
    def holds(self) -> None:
        if self.on is not None:
            self.do(self.on.witness.check())

    @rule(later=st.integers(0, 1), deed=at_the_platform)
    def at_the_platform(self, later: int, deed: tuple[Any, ...]) -> None:
        self._happens(later, deed)

    @rule(later=st.integers(0, 1), deed=on_an_account)
    def on_an_account(self, later: int, deed: tuple[Any, ...]) -> None:
        self._happens(later, deed)

    @rule(chosen=st.one_of(numbers, st.none()))
    def deliver(self, chosen: list[int] | None) -> None:
        self.do(self.now.deliver(chosen))

    @rule(one=numbers, other=numbers)
    def deliver_at_once(self, one: list[int], other: list[int]) -> None:
        self.do(self.now.deliver_at_once(one, other))

    @rule(chosen=numbers)
    def repeat(self, chosen: list[int]) -> None:
        self.do(self.now.repeat(chosen))

    @rule(limit=st.integers(1, 3), steps=steps)
    def work(self, limit: int, steps: int) -> None:
        self.do(self.now.claim(limit, steps))

    @rule(limit=st.integers(1, 3), steps=steps)
    def take_everything_in_and_work(self, limit: int, steps: int) -> None:
        self.do(self.now.deliver(None))
        self.do(self.now.claim(limit, steps))

    @rule(limit=st.integers(1, 3), steps=st.integers(1, 20))
    def work_and_die(self, limit: int, steps: int) -> None:
        self.do(self.now.claim(limit, steps))
        self.do(self.now.crash(-1))

    @rule(steps=steps)
    def read(self, steps: int) -> None:
        self.do(self.now.pass_time(timedelta(seconds=2)))
        self.do(self.now.read_doubt(steps))

    @rule(actor=number, steps=steps)
    def go_on(self, actor: int, steps: int) -> None:
        self.do(self.now.step(actor, steps))

    @rule(kind=st.sampled_from(sorted(FAULTS)), limit=st.integers(1, 3), steps=steps)
    def work_with_a_fault(self, kind: str, limit: int, steps: int) -> None:
        self.now.fault(kind)
        self.do(self.now.claim(limit, steps))

    @rule(time=times)
    def wait(self, time: timedelta) -> None:
        self.do(self.now.pass_time(time))

    def _happens(self, later: int, deed: tuple[Any, ...]) -> None:
        async def it() -> None:
            if later:
                await self.now.pass_time(timedelta(seconds=later))
            await getattr(self.now, deed[0])(*deed[1:])

        self.do(it())


def _play(theatre: Theatre, schedules: int) -> None:
    class Here(Schedules):
        pass

    Here.theatre = theatre
    print(f"OFFSHOOT_TEST_SEED={SEED}")  # noqa: T201 -- by which it can be played again
    machine = hypothesis.seed(SEED)(Here)
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=SCHEDULES or schedules,
            stateful_step_count=STEPS,
            deadline=None,
            database=None,
            print_blob=True,
            derandomize=False,
            suppress_health_check=list(HealthCheck),
            phases=(Phase.generate, Phase.shrink) if SHRINK else (Phase.generate,),
        ),
    )


@pytest.mark.timeout(600)
def test_some_schedules(theatre: Theatre) -> None:
    _play(theatre, 100)


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_many_schedules(theatre: Theatre) -> None:
    _play(theatre, 900)
