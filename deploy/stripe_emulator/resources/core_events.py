"""Thin events, as API v2 lists them ([doc] docs.stripe.com/api/v2/core/events): of the last 30 days."""

from typing import Any

from deploy.stripe_emulator import pages
from deploy.stripe_emulator.errors import invalid_value, missing_object
from deploy.stripe_emulator.events.event import Event, milliseconds_of
from deploy.stripe_emulator.model import Call
from deploy.stripe_emulator.shapes import JsonObject

MOST_TYPES = 20


def retrieve(call: Call) -> JsonObject:
    """Show a thin event of the acting account, with what its notification leaves out."""
    event = _kept(call).get(call.path["event"])
    if event is None:
        raise missing_object("event", call.path["event"], "id", in_path=True)
    if event.related is not None:
        call.require_read(event.related["type"])
    return event.fetched()


def list_all(call: Call) -> JsonObject:
    """List the acting account's thin events, the newest first; `object_id` names their related object."""
    parameters = call.parameters
    types, object_id = parameters.get("types"), parameters.get("object_id")
    if types is not None and len(types) > MOST_TYPES:
        raise invalid_value("types", f"You can specify at most {MOST_TYPES} types.")
    created = {name: _bound(name, bound) for name, bound in parameters.get("created", {}).items()}
    found = (
        {"id": event.thin_id}
        for event in reversed(_kept(call).values())
        if (types is None or event.thin_type in types)
        and (object_id is None or (event.related or {}).get("id") == object_id)
        and pages.within(event.created_ms, created)
    )
    page = pages.cursor_page("/v2/core/events", found, parameters)
    page["data"] = [call.account.thin_events[each["id"]].fetched() for each in page["data"]]
    return page


def _kept(call: Call) -> dict[str, Event]:
    call.account.forget_events(call.world.now_ms())
    return call.account.thin_events


def _bound(name: str, text: Any) -> int:
    try:
        return milliseconds_of(text)
    except ValueError as error:
        raise invalid_value(f"created[{name}]", "Invalid timestamp: expected RFC 3339.") from error
