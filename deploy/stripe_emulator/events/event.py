"""An event, and the two ways it is told: a snapshot, and a thin twin that only names what changed.

Source: STRIPE.md 4; [doc] api/events/object, api/v2/core/events/object. What a thin event of a connected
account carries as `context` is [sdk] (the account's id) and not published.
"""

from dataclasses import dataclass
from datetime import UTC, datetime

from deploy.stripe_emulator.shapes import JsonObject
from deploy.stripe_emulator.texts import from_json

KEPT_MS = 30 * 24 * 3600 * 1000
"""How long an event can be retrieved, of either API ([doc] api/events)."""

HEALTH = "v2.core.health.event_generation_failure.resolved"
PING = "v2.core.event_destination.ping"


@dataclass(slots=True)
class Event:
    """Something that happened on `owner`; `account` is the same where that is a connected account.

    `id` is that of its snapshot, null for what API v2 tells by itself. `data` is JSON text as it was at that
    moment: what the snapshot shows, or what API v2 tells. `pending` are the endpoints that have not accepted
    the snapshot.
    """

    type: str
    id: str | None
    thin_id: str
    created_ms: int
    api_version: str
    livemode: bool
    owner: str
    account: str | None
    request: JsonObject
    related: JsonObject | None
    data: bytes
    pending: frozenset[str] = frozenset()

    @property
    def thin_type(self) -> str:
        """Its name as a thin event: those of API v1 have a prefix."""
        return self.type if self.id is None else f"v1.{self.type}"

    def snapshot(self) -> JsonObject:
        """Give the event of API v1; only an event with an `id` has one."""
        scope = {} if self.account is None else {"account": self.account, "context": self.account}
        return {
            "id": self.id,
            "object": "event",
            **scope,
            "api_version": self.api_version,
            "created": self.created_ms // 1000,
            "data": from_json(self.data),
            "livemode": self.livemode,
            "pending_webhooks": len(self.pending),
            "request": self.request,
            "type": self.type,
        }

    def fetched(self) -> JsonObject:
        """Give the thin event as `/v2/core/events` shows it."""
        told = self.notification()
        if self.id is None:
            return {**told, "changes": None, "data": from_json(self.data)}
        changes = from_json(self.data).get("previous_attributes")
        return {**told, "changes": changes, "snapshot_event": self.id}

    def notification(self, *, names_twin: bool = False) -> JsonObject:
        """Give the thin event as it is pushed: neither data nor changes.

        Whether Stripe pushes `snapshot_event` is not published (STRIPE.md 9.7); nobody may rely on it, so it
        is there only where it is asked for.
        """
        twin = {"snapshot_event": self.id} if names_twin and self.id is not None else {}
        asked = self.request["id"] is not None
        return {
            "id": self.thin_id,
            "object": "v2.core.event",
            "type": self.thin_type,
            "livemode": self.livemode,
            "created": timestamp(self.created_ms),
            "context": self.account,
            "related_object": self.related,
            "reason": {"type": "request", "request": self.request} if asked else None,
            **twin,
        }

    def pushed_snapshot(self, receiver: str, api_version: str | None) -> JsonObject:
        """Give the snapshot as an endpoint of `receiver`'s gets it: to its own account it has no `account`.

        An event is a connected account's only to the platform.
        """
        body = self.snapshot()
        if api_version is not None:
            body["api_version"] = api_version
        if receiver == self.account:
            del body["account"], body["context"]
        return body

    def accepted(self, endpoint_id: str) -> None:
        """Note that an endpoint has the snapshot."""
        self.pending -= {endpoint_id}


def related_object(body: JsonObject) -> JsonObject | None:
    """Name an object of API v1 as thin events do; None for the application, which has no URL ([sdk])."""
    kind = body["object"]
    if kind == "application":
        return None
    at = f"/v1/accounts/{body['account']}/capabilities" if kind == "capability" else f"/v1/{kind}s"
    return {"id": body["id"], "type": kind, "url": f"{at}/{body['id']}"}


def timestamp(milliseconds: int) -> str:
    """Write a time as API v2 does, RFC 3339 with milliseconds ([doc] api/v2/core/event_destinations)."""
    at = datetime.fromtimestamp(milliseconds // 1000, UTC)
    return f"{at:%Y-%m-%dT%H:%M:%S}.{milliseconds % 1000:03}Z"


def milliseconds_of(text: str) -> int:
    """Read a time of RFC 3339; anything else is a ValueError."""
    return round(datetime.fromisoformat(text).timestamp() * 1000)
