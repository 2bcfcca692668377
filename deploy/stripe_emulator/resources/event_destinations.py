"""Event destinations of API v2 ([doc] docs.stripe.com/api/v2/core/event_destinations): webhooks alone."""

from collections.abc import Collection

from deploy.stripe_emulator import ids, metadata, pages, shapes
from deploy.stripe_emulator.errors import invalid_value, missing_object, missing_parameter
from deploy.stripe_emulator.events.destination import Destination, Secrets
from deploy.stripe_emulator.events.event import PING, timestamp
from deploy.stripe_emulator.model import Call
from deploy.stripe_emulator.resources.webhook_endpoints import checked_url, refuse_more_than_most
from deploy.stripe_emulator.shapes import JsonObject

UPDATE_READS = ("name", "description", "enabled_events", "include", "metadata", "webhook_endpoint[url]")
CREATE_READS = (*UPDATE_READS, "event_payload", "events_from", "snapshot_api_version", "type")

OWN, CONNECTED = "@self", "@accounts"
SECRET, URL = "webhook_endpoint.signing_secret", "webhook_endpoint.url"
"""What has to be asked for by `include`."""


def create(call: Call) -> JsonObject:
    """Make a destination; with `include` this answer shows its secret, and no other does."""
    world, parameters = call.world, call.parameters
    if parameters["type"] != "webhook_endpoint":
        raise invalid_value(
            "type", "The Stripe emulator sends to destinations of type webhook_endpoint alone."
        )
    if "webhook_endpoint" not in parameters:
        raise missing_parameter("webhook_endpoint")
    url = checked_url(parameters["webhook_endpoint"]["url"], "webhook_endpoint[url]")
    sources = parameters.get("events_from", [OWN])
    for source in sources:
        if source not in (OWN, CONNECTED):
            raise invalid_value("events_from", f"The Stripe emulator has no organization: {source}.")
    payload = parameters["event_payload"]
    _check_events(parameters["enabled_events"], payload)
    refuse_more_than_most(call)
    now = timestamp(world.now_ms())
    body = shapes.event_destination(
        ids.event_destination_id(livemode=world.livemode),
        created=now,
        name=parameters["name"],
        description=parameters.get("description", ""),
        enabled_events=parameters["enabled_events"],
        event_payload=payload,
        events_from=sources,
    )
    if payload == "snapshot":
        body["snapshot_api_version"] = parameters.get("snapshot_api_version", world.api_version)
    body["metadata"] = metadata.merge({}, parameters.get("metadata", {}))
    destination = Destination(
        body,
        owner=call.account.id,
        livemode=world.livemode,
        url=url,
        payload=payload,
        own=OWN in sources,
        connected=CONNECTED in sources,
        secrets=Secrets(ids.webhook_secret()),
    )
    world.destinations.add(destination)
    call.effects.append("event_destination.created")
    return _shown(destination, parameters.get("include", ()), new=True)


def list_all(call: Call) -> JsonObject:
    """List the destinations that API v2 made."""
    include = call.parameters.get("include", ())
    bodies = [_shown(each, include) for each in _destinations(call)]
    return pages.cursor_page("/v2/core/event_destinations", bodies, call.parameters)


def retrieve(call: Call) -> JsonObject:
    """Show a destination."""
    return _shown(_named(call), call.parameters.get("include", ()))


def update(call: Call) -> JsonObject:
    """Change a destination; what it is told of each event cannot change."""
    destination, parameters = _named(call), call.parameters
    body = destination.body
    if "enabled_events" in parameters:
        _check_events(parameters["enabled_events"], destination.payload)
    if "webhook_endpoint" in parameters:
        destination.url = checked_url(parameters["webhook_endpoint"]["url"], "webhook_endpoint[url]")
    body |= {
        name: parameters[name] for name in ("name", "description", "enabled_events") if name in parameters
    }
    body["metadata"] = metadata.merge(body["metadata"], parameters.get("metadata", {}))
    return _changed(call, destination, "updated", parameters.get("include", ()))


def disable(call: Call) -> JsonObject:
    """Stop sending to a destination."""
    destination = _named(call)
    destination.body |= {"status": "disabled", "status_details": {"disabled": {"reason": "user"}}}
    return _changed(call, destination, "disabled")


def enable(call: Call) -> JsonObject:
    """Send to a destination again what happens from now on."""
    destination = _named(call)
    destination.body |= {"status": "enabled", "status_details": None}
    return _changed(call, destination, "enabled")


def ping(call: Call) -> JsonObject:
    """Send a destination an event of its own, whatever else it wants."""
    destination = _named(call)
    url = f"/v2/core/event_destinations/{destination.id}"
    related = {"id": destination.id, "type": "v2.core.event_destination", "url": url}
    event = call.world.tell(PING, related)
    call.world.addressed.append((event, destination))
    call.effects.append("event_destination.pinged")
    return event.fetched()


def delete(call: Call) -> JsonObject:
    """Delete a destination: what was not delivered to it never will be."""
    destination = _named(call)
    call.world.destinations.remove(destination.id)
    call.effects.append("event_destination.deleted")
    return {"id": destination.id, "object": "v2.core.event_destination"}


def _check_events(types: Collection[str], payload: str) -> None:
    """Refuse a type that this payload does not tell of ([doc] the rule, [infer] the text)."""
    if not types:
        raise invalid_value("enabled_events", "At least one event type must be specified.")
    for kind in types:
        if kind != "*" and kind.startswith(("v1.", "v2.")) != (payload == "thin"):
            raise invalid_value("enabled_events", f"{kind} is not an event type of payload {payload}.")


def _changed(call: Call, destination: Destination, how: str, include: Collection[str] = ()) -> JsonObject:
    destination.body["updated"] = timestamp(call.world.now_ms())
    call.effects.append(f"event_destination.{how}")
    return _shown(destination, include)


def _shown(destination: Destination, include: Collection[str], *, new: bool = False) -> JsonObject:
    webhook = {
        "signing_secret": destination.secrets.current if new and SECRET in include else None,
        "url": destination.url if URL in include else None,
    }
    return {**destination.body, "webhook_endpoint": webhook}


def _destinations(call: Call) -> list[Destination]:
    of_account = call.world.destinations.of(call.account.id, livemode=call.world.livemode)
    return [each for each in of_account if each.body["object"] == "v2.core.event_destination"]


def _named(call: Call) -> Destination:
    wanted = call.path["event_destination"]
    for destination in _destinations(call):
        if destination.id == wanted:
            return destination
    raise missing_object("event destination", wanted, "id", in_path=True)
