"""A worker dies at each of its effects in turn: another goes on, and all ends as it would have.

The effects are not listed by hand: a clean run counts them. Dying before a call is dying after the commit of
its intent; dying before a commit, after the call's answer, whether it came or was lost.
"""

from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from datetime import timedelta
from enum import StrEnum
from functools import partial
from typing import Any, Final

import pytest
import stripe

from consumers.clone.policy import DefaultFollows, Leave, OnUpdate
from tests.integration.engine.boundaries import Crashed, at_boundary
from tests.integration.engine.schedule import Schedule
from tests.integration.engine.theatre import Theatre

Deed = tuple[Any, ...]
HOUR: Final = timedelta(hours=1)
REST: Final = ("rest",)
CARD: Final = ("save_card", 0, "tok_visa")
OTHER_CARD: Final = ("save_card", 0, "tok_mastercard")
RENEWED: Final = ("change_card", 0, {"card[exp_year]": "2039"})
SHARED: Final[Deed] = ("share", 0, [0])
SHARED_NO_MORE: Final[Deed] = ("share", 0, [])


@dataclass(frozen=True)
class Scenario:
    """What is at rest before, and what then happens while a worker dies."""

    then: tuple[Deed, ...]
    before: tuple[Deed, ...] = (CARD,)
    choices: dict[str, Any] = field(default_factory=dict)


REPLACING: Final = {"on_update": OnUpdate.REPLACE}
SCENARIOS: Final = {
    "first card": Scenario((CARD,), before=()),
    "two cards at once": Scenario((CARD, OTHER_CARD), before=()),
    "later card": Scenario((OTHER_CARD,)),
    "update in place": Scenario((RENEWED,)),
    "billing details": Scenario((("change_card", 0, {"billing_details[name]": "Jenny R"}),)),
    "replacement": Scenario((RENEWED,), choices=REPLACING),
    "new fingerprint": Scenario((("renumber_card", 0),)),
    "superseded, and detached": Scenario(
        (RENEWED, REST),
        choices={**REPLACING, "on_superseded": Leave.DETACH, "superseded_grace": HOUR},
    ),
    "detached on the platform": Scenario((("detach_card", 0),)),
    "customer deleted": Scenario((("delete_customer", 0),), before=(CARD, OTHER_CARD)),
    "share revoked": Scenario((SHARED_NO_MORE,)),
    "share revoked and granted again": Scenario((SHARED_NO_MORE, REST, SHARED)),
    "opted out": Scenario((("change_card", 0, {"metadata[offshoot]": "never"}),)),
    "default follows": Scenario(
        (("set_default", 1),),
        before=(CARD, OTHER_CARD),
        choices={"default_follows": DefaultFollows.PLATFORM},
    ),
    "reuse": Scenario((OTHER_CARD,), before=(CARD, REST, ("save_there", 0, "tok_mastercard"))),
    "decline tried again": Scenario((("decline", 0, "insufficient_funds"), OTHER_CARD)),
    "detached there and granted again": Scenario((("detach_there", 0), REST, SHARED_NO_MORE, REST, SHARED)),
    "connected customer deleted and granted again": Scenario(
        (("delete_there", 0), REST, SHARED_NO_MORE, REST, SHARED)
    ),
    "deauthorised and back": Scenario((("authorize", 0, False), REST, ("authorize", 0, True))),
    "capability lost and back": Scenario((("capability", 0, "inactive"), REST, ("capability", 0, "active"))),
    "an account not seen yet": Scenario((("share", 0, [0, 1]),), before=(CARD, REST, ("connect", False))),
}


class How(StrEnum):
    """What happens at the effect."""

    DIES = "dies"
    ANSWER_LOST = "answer lost"


class Fate:
    """Counts the effects, and lets something happen at one of them."""

    def __init__(self, how: How = How.DIES, at: int | None = None) -> None:
        self._how = how
        self._at = at
        self.effects = 0

    async def reach(self, name: str) -> None:
        counts = (
            name.startswith("before")
            if self._how is How.DIES
            else name.startswith(("after GET", "after POST"))
        )
        if not counts:
            return
        self.effects += 1
        if self.effects == self._at:
            if self._how is How.DIES:
                raise Crashed(name)
            raise stripe.APIConnectionError("the answer is lost")  # type: ignore[no-untyped-call]


async def _survived(work: Callable[[], Coroutine[Any, Any, None]]) -> None:
    """Let others go on when a worker is gone, until everything is at rest."""
    while True:
        try:
            return await work()
        except Crashed:
            continue


async def _do(schedule: Schedule, deeds: tuple[Deed, ...]) -> None:
    for name, *arguments in (*deeds, REST):
        await schedule.play.clock.advance(timedelta(seconds=1))
        deed = getattr(schedule, name)
        await (_survived(deed) if name == "rest" else deed(*arguments))


async def _play(schedule: Schedule, scenario: Scenario, fate: Fate) -> list[Any]:
    """Play it; return how it ended, in words that every run of it has in common."""
    await schedule.connect(True)  # noqa: FBT003 -- as it is drawn elsewhere
    await schedule.new_customer()
    await schedule.share(0, [0])
    await _do(schedule, scenario.before)
    token = at_boundary.set(fate.reach)
    await _do(schedule, scenario.then)
    at_boundary.reset(token)
    await schedule.judge()
    return await _end_of(schedule)


async def _end_of(schedule: Schedule) -> list[Any]:
    """What was announced of each card on each account, and how much is there."""
    accounts, cards = list(schedule.world.connected), list(schedule.happened.owners)
    said = sorted(
        (
            accounts.index(record.account),
            cards.index(str(record.platform_payment_method)),
            record.state,
            str(record.reason),
            record.default,
        )
        for record in (await schedule.play.records()).values()
        if record.platform_payment_method is not None
    )
    there = [
        (
            sum(not each.deleted for each in account.customers.values()),
            sum(each.customer is not None for each in account.payment_methods.values()),
        )
        for account in schedule.world.connected.values()
    ]
    return [said, there]


@pytest.mark.filterwarnings("ignore:Use 'content=:DeprecationWarning")
@pytest.mark.parametrize("how", [How.DIES, pytest.param(How.ANSWER_LOST, marks=pytest.mark.slow)])
@pytest.mark.parametrize("name", list(SCENARIOS))
def test_whatever_the_last_effect_was(theatre: Theatre, name: str, how: How) -> None:
    """As often as there are effects, and each time the end is that of the clean run."""
    scenario = SCENARIOS[name]
    clean = Fate(how)
    end = theatre.play(scenario.choices, partial(_play, scenario=scenario, fate=clean))
    assert clean.effects > 0 or how is How.ANSWER_LOST
    for effect in range(1, clean.effects + 1):
        fate = Fate(how, effect)
        other_end = theatre.play(scenario.choices, partial(_play, scenario=scenario, fate=fate))
        assert other_end == end, f"at effect {effect} of {clean.effects}"
