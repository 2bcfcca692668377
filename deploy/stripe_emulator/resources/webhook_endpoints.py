"""Webhook endpoints ([doc] docs.stripe.com/api/webhook_endpoints); any http address will do, loopback too."""

from urllib.parse import urlsplit

from deploy.stripe_emulator import ids, metadata, pages, shapes
from deploy.stripe_emulator.errors import invalid_value, missing_object
from deploy.stripe_emulator.model import Call, WebhookEndpoint
from deploy.stripe_emulator.shapes import JsonObject

CREATE_READS = ("url", "enabled_events", "connect", "description", "api_version", "metadata")


def create(call: Call) -> JsonObject:
    """Make an endpoint; this answer alone shows its secret."""
    world, parameters = call.world, call.parameters
    url = parameters["url"]
    address = urlsplit(url)
    if address.scheme not in ("http", "https") or not address.hostname:
        raise invalid_value("url", "Invalid URL: An explicit scheme (such as https) must be provided.")
    if not parameters["enabled_events"]:
        raise invalid_value("enabled_events", "Invalid array: must have at least one event.")
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
    endpoint = WebhookEndpoint(body, ids.webhook_secret(), parameters.get("connect", False))
    world.endpoints[body["id"]] = endpoint
    call.effects.append("webhook_endpoint.created")
    return {**body, "secret": endpoint.secret}


def list_all(call: Call) -> JsonObject:
    """List the endpoints, without their secrets."""
    bodies = [each.body for each in reversed(call.world.endpoints.values())]
    return pages.page("/v1/webhook_endpoints", "webhook_endpoint", bodies, call.parameters)


def retrieve(call: Call) -> JsonObject:
    """Show an endpoint, without its secret."""
    endpoint = call.world.endpoints.get(call.path["webhook_endpoint"])
    if endpoint is None:
        raise _missing(call)
    return endpoint.body


def delete(call: Call) -> JsonObject:
    """Delete an endpoint: what was not delivered to it never will be."""
    endpoint = call.world.endpoints.pop(call.path["webhook_endpoint"], None)
    if endpoint is None:
        raise _missing(call)
    call.effects.append("webhook_endpoint.deleted")
    return shapes.deleted("webhook_endpoint", endpoint.body["id"])


def _missing(call: Call) -> Exception:
    return missing_object("webhook endpoint", call.path["webhook_endpoint"], "webhook_endpoint", in_path=True)
