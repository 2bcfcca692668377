"""Events as API v1 lists them ([doc] docs.stripe.com/api/events): snapshots of the last 30 days."""

from fnmatch import fnmatchcase

from deploy.stripe_emulator import pages
from deploy.stripe_emulator.errors import invalid_value, missing_object
from deploy.stripe_emulator.model import Call
from deploy.stripe_emulator.shapes import JsonObject

MOST_TYPES = 20


def retrieve(call: Call) -> JsonObject:
    """Show an event of the acting account; its key has to be allowed to read what the event shows."""
    call.account.forget_events(call.world.now_ms())
    event = call.account.events.get(call.path["event"])
    if event is None:
        raise missing_object("event", call.path["event"], "id", in_path=True)
    snapshot = event.snapshot()
    call.require_read(snapshot["data"]["object"]["object"])
    return snapshot


def list_all(call: Call) -> JsonObject:
    """List the acting account's events.

    `delivery_success=false` gives those that some endpoint has not accepted (still tried, or given up).
    """
    parameters = call.parameters
    types = parameters.get("types")
    if types is not None and "type" in parameters:
        raise invalid_value("type", "You may only specify one of these parameters: type, types.")
    if types is not None and len(types) > MOST_TYPES:
        raise invalid_value("types", f"You can specify at most {MOST_TYPES} types.")
    patterns = types if types is not None else [parameters.get("type", "*")]
    delivered, created = parameters.get("delivery_success"), parameters.get("created")
    call.account.forget_events(call.world.now_ms())
    events = call.account.events

    def asked_for(body: JsonObject) -> bool:
        event = events[body["id"]]
        return (
            any(fnmatchcase(event.type, pattern) for pattern in patterns)
            and (delivered is None or delivered == (not event.pending))
            and pages.created_within({"created": event.created_ms // 1000}, created)
        )

    ids = ({"id": each} for each in reversed(events))
    page = pages.page("/v1/events", "event", ids, parameters, keep=asked_for)
    page["data"] = [events[each["id"]].snapshot() for each in page["data"]]
    return page
