"""Webhook endpoints ([doc] docs.stripe.com/api/webhook_endpoints); any http address will do, loopback too."""

from urllib.parse import urlsplit

from deploy.stripe_emulator import ids, metadata, pages, shapes
from deploy.stripe_emulator.errors import invalid_value, missing_object
from deploy.stripe_emulator.events.destination import MOST, Destination, Secrets
from deploy.stripe_emulator.model import Call
from deploy.stripe_emulator.shapes import JsonObject

UPDATE_READS = ("url", "enabled_events", "description", "metadata", "disabled")
CREATE_READS = ("url", "enabled_events", "description", "metadata", "connect", "api_version")


def create(call: Call) -> JsonObject:
    """Make an endpoint of the acting account; this answer alone shows its secret."""
    world, parameters = call.world, call.parameters
    url = checked_url(parameters["url"], "url")
    _events(call)
    connect = parameters.get("connect", False)
    if connect and call.account is not world.platform:
        raise invalid_value("connect", "Only Stripe Connect platforms can work with other accounts.")
    refuse_more_than_most(call)
    created = world.now()
    body = shapes.webhook_endpoint(
        ids.object_id("we", call.account.id, created),
        created=created,
        url=url,
        enabled_events=parameters["enabled_events"],
    )
    body["description"] = parameters.get("description") or None
    body["api_version"] = parameters.get("api_version") or None
    body["metadata"] = metadata.merge({}, parameters.get("metadata", {}))
    secrets = Secrets(ids.webhook_secret())
    world.destinations.add(
        Destination(
            body,
            owner=call.account.id,
            livemode=world.livemode,
            url=url,
            payload="snapshot",
            own=not connect,
            connected=connect,
            secrets=secrets,
        )
    )
    call.effects.append("webhook_endpoint.created")
    return {**body, "secret": secrets.current}


def list_all(call: Call) -> JsonObject:
    """List the endpoints, without their secrets."""
    bodies = [each.body for each in _endpoints(call)]
    return pages.page("/v1/webhook_endpoints", "webhook_endpoint", bodies, call.parameters)


def retrieve(call: Call) -> JsonObject:
    """Show an endpoint, without its secret."""
    return _named(call).body


def update(call: Call) -> JsonObject:
    """Change where an endpoint is, what it gets, or whether it gets anything."""
    endpoint, parameters = _named(call), call.parameters
    if "url" in parameters:
        endpoint.url = endpoint.body["url"] = checked_url(parameters["url"], "url")
    if "enabled_events" in parameters:
        _events(call)
        endpoint.body["enabled_events"] = parameters["enabled_events"]
    if "disabled" in parameters:
        endpoint.body["status"] = "disabled" if parameters["disabled"] else "enabled"
    if "description" in parameters:
        endpoint.body["description"] = parameters["description"] or None
    endpoint.body["metadata"] = metadata.merge(endpoint.body["metadata"], parameters.get("metadata", {}))
    call.effects.append("webhook_endpoint.updated")
    return endpoint.body


def delete(call: Call) -> JsonObject:
    """Delete an endpoint: what was not delivered to it never will be."""
    endpoint = _named(call)
    call.world.destinations.remove(endpoint.id)
    call.effects.append("webhook_endpoint.deleted")
    return shapes.deleted("webhook_endpoint", endpoint.id)


def checked_url(url: str, param: str) -> str:
    """Give back an address that webhooks can be sent to; anything else is StripeError 400."""
    address = urlsplit(url)
    if address.scheme not in ("http", "https") or not address.hostname:
        raise invalid_value(param, "Invalid URL: An explicit scheme (such as https) must be provided.")
    return url


def refuse_more_than_most(call: Call) -> None:
    """Refuse a destination more than an account may have ([doc] event-destinations, [infer] the text)."""
    if len(call.world.destinations.of(call.account.id, livemode=call.world.livemode)) >= MOST:
        mode = "live" if call.world.livemode else "test"
        raise invalid_value("url", f"You have reached the maximum of {MOST} {mode} webhook endpoints.")


def _events(call: Call) -> None:
    if not call.parameters["enabled_events"]:
        raise invalid_value("enabled_events", "Invalid array: must have at least one event.")


def _endpoints(call: Call) -> list[Destination]:
    of_account = call.world.destinations.of(call.account.id, livemode=call.world.livemode)
    return [each for each in of_account if each.body["object"] == "webhook_endpoint"]


def _named(call: Call) -> Destination:
    wanted = call.path["webhook_endpoint"]
    for endpoint in _endpoints(call):
        if endpoint.id == wanted:
            return endpoint
    raise missing_object("webhook endpoint", wanted, "webhook_endpoint", in_path=True)
