"""Faults by rule: which call is delayed, refused, cut or held.

A rule fires on the calls it matches until its count is used up; with a probability, its own seeded random
numbers decide, so that the same calls meet the same faults.
"""

import asyncio
import random
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from http import HTTPStatus
from typing import Any, Literal, Self

from deploy.stripe_emulator.ids import random_text

When = Literal["before", "after"]
PLATFORM = "platform"
METHODS = ("GET", "POST", "DELETE")
ANSWERS = range(200, 600)
STORED = (HTTPStatus.PAYMENT_REQUIRED, HTTPStatus.INTERNAL_SERVER_ERROR)
"""What an endpoint itself ends with: kept under the idempotency key; others come from in front of it."""


@dataclass(frozen=True, slots=True)
class Latency:
    """The call waits, then executes."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Status:
    """The call is answered with an error, before or after its effect; `stored` under the idempotency key."""

    status: int
    when: When
    stored: bool
    body: Mapping[str, Any] | None
    headers: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Cut:
    """The connection is closed without an answer, before or after the effect."""

    when: When


@dataclass(frozen=True, slots=True)
class Hold:
    """The effect happens and the answer waits until the rule is removed, or its caller has gone."""


Action = Latency | Status | Cut | Hold


@dataclass(slots=True)
class Chance:
    """How often a rule fires: up to a count, and each time by a seeded random number."""

    count: int | None = None
    probability: float = 1.0
    seed: int = 0
    fired: int = 0
    numbers: random.Random = field(init=False)

    def __post_init__(self) -> None:
        self.numbers = random.Random(self.seed)  # noqa: S311 - it has to be repeatable

    @classmethod
    def parse(cls, said: Mapping[str, Any]) -> Self:
        """Read it from a rule's JSON; what is no number, or never fires, is a ValueError or TypeError."""
        count = said.get("count")
        chance = cls(
            count=None if count is None else int(count),
            probability=float(said.get("probability", 1.0)),
            seed=int(said.get("seed", 0)),
        )
        if chance.count is not None and chance.count < 1:
            raise ValueError("a count is 1 or more; without one the rule fires until it is removed")
        if not 0 < chance.probability <= 1:
            raise ValueError("a probability is more than 0, and 1 at most")
        return chance

    def draw(self) -> bool:
        """Say whether the rule fires where it matches, and count it if so."""
        if self.count is not None and self.fired >= self.count:
            return False
        if self.numbers.random() >= self.probability:
            return False
        self.fired += 1
        return True

    def shown(self) -> dict[str, Any]:
        """Give it as JSON."""
        return {name: getattr(self, name) for name in ("count", "probability", "seed", "fired")}


@dataclass(slots=True)
class Rule:
    """One rule; None for method, route or account means any, `platform` the platform itself."""

    action: Action
    chance: Chance = field(default_factory=Chance)
    method: str | None = None
    route: str | None = None
    account: str | None = None
    id: str = field(default_factory=lambda: "fault_" + random_text(8))
    removed: asyncio.Event = field(default_factory=asyncio.Event)

    def fires(self, method: str, route: str, account: str) -> bool:
        """Say whether the rule takes this call, and count it if so."""
        asked = ((self.method, method), (self.route, route), (self.account, account))
        if any(wanted is not None and wanted != actual for wanted, actual in asked):
            return False
        return self.chance.draw()

    def shown(self) -> dict[str, Any]:
        """Give the rule as JSON."""
        facts = {name: getattr(self, name) for name in ("id", "method", "route", "account")}
        action = {"kind": type(self.action).__name__.lower(), **asdict(self.action)}
        return {**facts, **self.chance.shown(), "action": action}


@dataclass(frozen=True, slots=True)
class Plan:
    """What the rules have in store for one call."""

    latency_s: float = 0.0
    status: Status | None = None
    cut: Cut | None = None
    hold: Rule | None = None

    @property
    def early(self) -> Status | Cut | None:
        """Give the fault in front of the endpoint: nothing is executed, no key is taken."""
        if self.status is not None and self.status.when == "before" and not self.status.stored:
            return self.status
        return self.cut if self.cut is not None and self.cut.when == "before" else None


@dataclass(slots=True)
class Faults:
    """The rules in force."""

    rules: dict[str, Rule] = field(default_factory=dict)
    closed: asyncio.Event = field(default_factory=asyncio.Event)

    def add(self, rule: Rule) -> None:
        """Put a rule behind those there are."""
        self.rules[rule.id] = rule

    def remove(self, rule_id: str | None = None) -> None:
        """Remove one rule, or all, and release what they hold; an unknown id is a KeyError."""
        for each in list(self.rules) if rule_id is None else [rule_id]:
            self.rules.pop(each).removed.set()

    def close(self) -> None:
        """End every delay and every hold: the emulator stops."""
        self.closed.set()
        self.remove()

    def draw(self, method: str, route: str, account: str) -> Plan:
        """Decide what happens to a call: all matching delays, and the first other fault."""
        latency_s = 0.0
        for rule in self.rules.values():
            if not rule.fires(method, route, account):
                continue
            match rule.action:
                case Latency(seconds):
                    latency_s += seconds
                case Status() as status:
                    return Plan(latency_s, status=status)
                case Cut() as cut:
                    return Plan(latency_s, cut=cut)
                case Hold():
                    return Plan(latency_s, hold=rule)
        return Plan(latency_s)

    async def pause(self, seconds: float) -> None:
        """Wait as long as a delay says, or until the emulator stops."""
        if seconds > 0:
            try:
                await asyncio.wait_for(self.closed.wait(), seconds)
            except TimeoutError:
                return


def parse(said: Mapping[str, Any], routes: frozenset[str]) -> Rule:
    """Read a rule from JSON; what is wrong with it is a ValueError."""
    known = {"method", "route", "account", "count", "probability", "seed", "action"}
    unknown = sorted(said.keys() - known)
    if unknown:
        raise ValueError(f"a fault has no {', '.join(unknown)}; it has {', '.join(sorted(known))}")
    if said.get("route") is not None and said["route"] not in routes:
        raise ValueError(f"no such route: {said['route']}; one of {', '.join(sorted(routes))}")
    if said.get("method") is not None and said["method"] not in METHODS:
        raise ValueError(f"no such method: {said['method']}; one of {', '.join(METHODS)}")
    facts = {name: said[name] for name in ("method", "route", "account") if name in said}
    return Rule(_action(said.get("action") or {}), Chance.parse(said), **facts)


def _action(said: Mapping[str, Any]) -> Action:
    match said:
        case {"kind": "latency", "seconds": int() | float() as seconds} if seconds >= 0:
            return Latency(float(seconds))
        case {"kind": "status", "status": int() as status} if status in ANSWERS:
            return Status(
                status,
                _when(said),
                stored=bool(said.get("stored", status in STORED)),
                body=_body(said.get("body")),
                headers=_headers(said.get("headers")),
            )
        case {"kind": "cut"}:
            return Cut(_when(said))
        case {"kind": "hold"}:
            return Hold()
        case _:
            raise ValueError(
                'an action is {"kind": "latency", "seconds"} of 0 or more, '
                '{"kind": "status", "status", "when"} of 200 to 599, '
                '{"kind": "cut", "when"} or {"kind": "hold"}'
            )


def _body(said: Any) -> Mapping[str, Any] | None:
    if said is not None and not isinstance(said, dict):
        raise ValueError("a body is a JSON object")
    return said


def _headers(said: Any) -> Mapping[str, str]:
    if said is None:
        return {}
    if not isinstance(said, dict) or not all(isinstance(value, str) for value in said.values()):
        raise ValueError("headers are a JSON object of texts")
    return said


def _when(said: Mapping[str, Any]) -> When:
    match said.get("when", "before"):
        case "before":
            return "before"
        case "after":
            return "after"
        case other:
            raise ValueError(f'when is "before" or "after", not {other!r}')
