"""Where events go: webhook endpoints of API v1, and event destinations of API v2.

Source: [doc] docs.stripe.com/event-destinations, api/webhook_endpoints, api/v2/core/event_destinations.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Literal

from deploy.stripe_emulator.events.event import HEALTH, Event
from deploy.stripe_emulator.shapes import JsonObject

Payload = Literal["snapshot", "thin"]

SELECTION_REQUIRED = frozenset({HEALTH})
"""Types that `*` does not include. That there are such is [doc], that this is one is [infer]: it is sent to
"any webhook endpoint you configure to listen for this event type"."""

MOST = 16
"""Destinations of one account ([doc] event-destinations)."""


@dataclass(slots=True)
class Secrets:
    """A destination's signing secrets: the present one, and those that were rolled and not yet expired."""

    current: str
    rolled: dict[str, float] = field(default_factory=dict)

    def roll(self, secret: str, *, old_until_s: float) -> None:
        """Put a new secret in place; the old one signs too until that time ([doc] webhooks: up to 24 h)."""
        self.rolled[self.current] = old_until_s
        self.current = secret

    def active(self, now_s: float) -> list[str]:
        """Give what signs now, the newest first."""
        return [self.current, *(old for old, until_s in reversed(self.rolled.items()) if now_s < until_s)]


@dataclass(slots=True)
class Destination:
    """One destination; `body` is what the API that made it shows, without its secret.

    `own` and `connected` say whose events it gets: its owner's, those of its owner's connected accounts.
    """

    body: JsonObject
    owner: str
    livemode: bool
    url: str
    payload: Payload
    own: bool
    connected: bool
    secrets: Secrets

    @property
    def id(self) -> str:
        """Its `we_…` or `ed_…`."""
        return str(self.body["id"])

    @property
    def api_version(self) -> str | None:
        """The version its snapshots are written in; None for the account's."""
        version = self.body.get("api_version") or self.body.get("snapshot_api_version")
        return None if version is None else str(version)

    def wants(self, event: Event) -> bool:
        """Say whether this destination is to get an event."""
        if self.body["status"] != "enabled" or not self._hears(event):
            return False
        if self.payload == "snapshot" and event.id is None:
            return False
        kind = event.type if self.payload == "snapshot" else event.thin_type
        enabled = self.body["enabled_events"]
        return kind in enabled or ("*" in enabled and kind not in SELECTION_REQUIRED)

    def _hears(self, event: Event) -> bool:
        """Say whether the event is of an account, and a mode, that are listened to.

        A live Connect endpoint gets the events of test mode too ([doc] connect/webhooks).
        """
        if event.account is not None and self.connected:
            return self.livemode or not event.livemode
        return self.own and event.owner == self.owner and event.livemode == self.livemode


@dataclass(slots=True)
class Destinations:
    """All destinations, of every account and of both modes."""

    by_id: dict[str, Destination] = field(default_factory=dict)

    def add(self, destination: Destination) -> None:
        """Start to send to a destination."""
        self.by_id[destination.id] = destination

    def remove(self, destination_id: str) -> None:
        """Stop sending to a destination; an unknown one is a KeyError."""
        del self.by_id[destination_id]

    def of(self, owner: str, *, livemode: bool) -> list[Destination]:
        """Give an account's destinations, the newest first."""
        return [
            each for each in reversed(self.by_id.values()) if (each.owner, each.livemode) == (owner, livemode)
        ]

    def wanting(self, event: Event) -> Iterator[Destination]:
        """Give those that are to get an event."""
        return (each for each in self.by_id.values() if each.wants(event))
