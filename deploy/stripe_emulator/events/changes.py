"""What an event says of a change: the old values, or what was lost with the event."""

from deploy.stripe_emulator.events.event import related_object
from deploy.stripe_emulator.shapes import JsonObject


def impact(kind: str, body: JsonObject, account: str | None) -> JsonObject:
    """Say what was lost, as the event that tells of it does ([doc] events/manage-webhook-endpoints)."""
    related = related_object(body)
    return {
        "event_type": kind,
        "related_object_id": body["id"],
        "related_object": related,
        **({} if account is None else {"context": account}),
    }


def previous_attributes(before: JsonObject, after: JsonObject) -> JsonObject:
    """Give the old values of what differs, key by key; null for a key that is new.

    Source: [doc] api/events/object.
    """
    changes: JsonObject = {}
    for key in before.keys() | after.keys():
        old, new = before.get(key), after.get(key)
        if old == new:
            continue
        if isinstance(old, dict) and isinstance(new, dict):
            changes[key] = previous_attributes(old, new)
        else:
            changes[key] = old
    return changes
