"""Events as the API lists them ([doc] docs.stripe.com/api/events)."""

from fnmatch import fnmatchcase

from deploy.stripe_emulator import pages
from deploy.stripe_emulator.errors import invalid_value, missing_object
from deploy.stripe_emulator.model import Call
from deploy.stripe_emulator.shapes import JsonObject

MOST_TYPES = 20


def retrieve(call: Call) -> JsonObject:
    """Show an event of the acting account."""
    event = call.account.events.get(call.path["event"])
    if event is None:
        raise missing_object("event", call.path["event"], "id", in_path=True)
    return event


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
    bodies = [
        event
        for event in reversed(call.account.events.values())
        if any(fnmatchcase(event["type"], pattern) for pattern in patterns)
        and (delivered is None or delivered == (event["pending_webhooks"] == 0))
        and pages.created_within(event, created)
    ]
    return pages.page("/v1/events", "event", bodies, parameters)
