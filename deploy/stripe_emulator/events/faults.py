"""Faults of events by rule: what Stripe may do to them, on demand (STRIPE.md 5).

An event can be generated twice, under two ids, or not at all; a delivery can be dropped, repeated, late, or
overtaken by later ones.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from fnmatch import fnmatchcase
from typing import Any

from deploy.stripe_emulator.events.destination import Destination
from deploy.stripe_emulator.events.event import Event
from deploy.stripe_emulator.faults import PLATFORM, Chance
from deploy.stripe_emulator.ids import random_text


@dataclass(frozen=True, slots=True)
class Twice:
    """Two events are generated for one change, under two ids."""


@dataclass(frozen=True, slots=True)
class Lost:
    """No event is generated; `POST /_emulator/lost_events/resolve` tells of it as Stripe does."""


@dataclass(frozen=True, slots=True)
class Drop:
    """The event is there, and is not delivered: its `pending_webhooks` stay."""


@dataclass(frozen=True, slots=True)
class Duplicate:
    """The delivery is made so many times more."""

    copies: int


@dataclass(frozen=True, slots=True)
class Delay:
    """The delivery begins so much later."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Reorder:
    """Deliveries are held until there are `window`, then made one after the other, the last first."""

    window: int


Generation = Twice | Lost
Hindrance = Drop | Duplicate | Delay | Reorder


@dataclass(slots=True)
class EventRule:
    """One rule; None for type (a pattern as `customer.*`), account or destination means any."""

    action: Generation | Hindrance
    chance: Chance
    type: str | None = None
    account: str | None = None
    destination: str | None = None
    id: str = field(default_factory=lambda: "evfault_" + random_text(8))
    held: list[tuple[Event, Destination]] = field(default_factory=list)

    def fires(self, kind: str, account: str | None, destination: str | None) -> bool:
        """Say whether the rule takes this, and count it if so."""
        matches = (
            (self.type is None or fnmatchcase(kind, self.type))
            and self.account in (None, account or PLATFORM)
            and self.destination in (None, destination)
        )
        return matches and self.chance.draw()

    def shown(self) -> dict[str, Any]:
        """Give the rule as JSON."""
        facts = {name: getattr(self, name) for name in ("id", "type", "account", "destination")}
        action = {"kind": type(self.action).__name__.lower(), **asdict(self.action)}
        return {**facts, **self.chance.shown(), "action": action, "held": len(self.held)}


@dataclass(slots=True)
class EventFaults:
    """The rules in force."""

    rules: dict[str, EventRule] = field(default_factory=dict)

    def add(self, rule: EventRule) -> None:
        """Put a rule behind those there are."""
        self.rules[rule.id] = rule

    def remove(self, rule_id: str | None = None) -> list[EventRule]:
        """Remove one rule, or all, and give them; an unknown id is a KeyError."""
        return [self.rules.pop(each) for each in (list(self.rules) if rule_id is None else [rule_id])]

    def of_generation(self, kind: str, account: str | None) -> Generation | None:
        """Decide whether an event is generated otherwise than once."""
        for rule in self.rules.values():
            if isinstance(rule.action, Twice | Lost) and rule.fires(kind, account, None):
                return rule.action
        return None

    def of_delivery(self, event: Event, destination: Destination) -> EventRule | None:
        """Decide what hinders a delivery."""
        for rule in self.rules.values():
            hinders = not isinstance(rule.action, Twice | Lost)
            if hinders and rule.fires(event.type, event.account, destination.id):
                return rule
        return None


def parse(said: Mapping[str, Any]) -> EventRule:
    """Read a rule from JSON; what is wrong with it is a ValueError."""
    known = {"type", "account", "destination", "count", "probability", "seed", "action"}
    unknown = sorted(said.keys() - known)
    if unknown:
        raise ValueError(f"a fault has no {', '.join(unknown)}; it has {', '.join(sorted(known))}")
    facts = {name: said[name] for name in ("type", "account", "destination") if name in said}
    action = _action(said.get("action") or {})
    if isinstance(action, Twice | Lost) and "destination" in facts:
        raise ValueError("whether an event is generated does not depend on a destination")
    return EventRule(action, Chance.parse(said), **facts)


def _action(said: Mapping[str, Any]) -> Generation | Hindrance:
    match said:
        case {"kind": "twice"}:
            return Twice()
        case {"kind": "lost"}:
            return Lost()
        case {"kind": "drop"}:
            return Drop()
        case {"kind": "duplicate"} if int(said.get("copies", 1)) > 0:
            return Duplicate(int(said.get("copies", 1)))
        case {"kind": "delay", "seconds": int() | float() as seconds} if seconds >= 0:
            return Delay(float(seconds))
        case {"kind": "reorder", "window": int() as window} if window > 1:
            return Reorder(window)
        case _:
            raise ValueError(
                'an action is {"kind": "twice"}, {"kind": "lost"}, {"kind": "drop"}, {"kind": "duplicate", '
                '"copies"}, {"kind": "delay", "seconds"} or {"kind": "reorder", "window"} of 2 or more'
            )
