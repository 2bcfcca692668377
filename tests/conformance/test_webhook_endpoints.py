"""Endpoints: several with secrets of their own, of several accounts, changed, rolled, switched off."""

from collections.abc import Iterator
from typing import Any

import httpx
import pytest
import stripe

from tests.conformance.conftest import Hook, Receiver, eventually

DAY_S = 24 * 3600


@pytest.fixture
def ask(client: stripe.StripeClient, receiver: Receiver) -> Iterator[Any]:
    """Makes endpoints at the receiver, and takes away afterwards what is left of them."""
    made: list[tuple[str, stripe.RequestOptions]] = []

    def endpoint(options: stripe.RequestOptions | None = None, **more: Any) -> Any:
        asked: Any = {"url": receiver.url, "enabled_events": ["customer.created"], **more}
        endpoint = client.v1.webhook_endpoints.create(asked, options or {})
        made.append((endpoint.id, options or {}))
        return endpoint

    yield endpoint
    for each, options in made:
        if each in [left.id for left in client.v1.webhook_endpoints.list({"limit": 100}, options).data]:
            client.v1.webhook_endpoints.delete(each, {}, options)


def signed(hook: Hook, secret: str) -> bool:
    """Say whether Stripe's own check accepts a webhook under this secret."""
    try:
        stripe.Webhook.construct_event(hook.body, hook.headers["stripe-signature"], secret)
    except stripe.SignatureVerificationError:
        return False
    return True


def test_each_endpoint_signs_with_its_own_secret(
    client: stripe.StripeClient, account: str, receiver: Receiver, ask: Any
) -> None:
    """Two endpoints get the same event, each under its secret alone, each in its version."""
    secrets = [ask(connect=True, api_version=version).secret for version in ("2025-04-30.basil", None)]
    client.v1.customers.create({}, {"stripe_account": account})
    hooks = [receiver.next() for _ in secrets]
    assert hooks[0].event["id"] == hooks[1].event["id"]
    assert {hook.event["api_version"] for hook in hooks} == {"2025-04-30.basil", "2026-10-28.endive"}
    assert sorted([signed(hook, secret) for secret in secrets] for hook in hooks) == [
        [False, True],
        [True, False],
    ]
    assert hooks[0].event["pending_webhooks"] == 2


def test_rolled_secret_overlaps(
    web: httpx.Client, client: stripe.StripeClient, account: str, receiver: Receiver, ask: Any
) -> None:
    """While both secrets are active there are two signatures, then one; a roll may also be at once."""
    there: stripe.RequestOptions = {"stripe_account": account}
    made = ask(connect=True)
    roll = f"/_emulator/destinations/{made.id}/roll_secret"
    second = web.post(roll, json={"overlap_s": DAY_S}).json()["secret"]
    client.v1.customers.create({}, there)
    hook = receiver.next()
    assert hook.headers["stripe-signature"].count("v1=") == 2
    assert signed(hook, made.secret)
    assert signed(hook, second)
    web.post("/_emulator/clock", json={"advance_s": DAY_S})
    client.v1.customers.create({}, there)
    hook = receiver.next()
    assert (signed(hook, made.secret), signed(hook, second)) == (False, True)
    third = web.post(roll, json={}).json()["secret"]
    client.v1.customers.create({}, there)
    hook = receiver.next()
    assert (signed(hook, second), signed(hook, third)) == (False, True)
    assert web.post(roll, json={"overlap_s": DAY_S + 1}).status_code == 400


def test_account_has_endpoints_of_its_own(
    client: stripe.StripeClient, account: str, receiver: Receiver, ask: Any
) -> None:
    """They hear of that account, to which an event is nobody else's; the platform does not see them."""
    there: stripe.RequestOptions = {"stripe_account": account}
    made = ask(there)
    client.v1.customers.create({})
    client.v1.customers.create({"name": "Ada"}, there)
    event = receiver.next().event
    assert event["data"]["object"]["name"] == "Ada"
    assert event.keys() & {"account", "context"} == set()
    assert made.id not in [each.id for each in client.v1.webhook_endpoints.list({"limit": 100}).data]
    with pytest.raises(stripe.InvalidRequestError, match="No such webhook endpoint"):
        client.v1.webhook_endpoints.retrieve(made.id)
    with pytest.raises(stripe.InvalidRequestError, match="Only Stripe Connect platforms"):
        ask(there, connect=True)


def test_endpoint_is_changed(client: stripe.StripeClient, account: str, receiver: Receiver, ask: Any) -> None:
    """Other types; switched off, it gets nothing and what happens meanwhile is lost to it; on again."""
    endpoints, there = client.v1.webhook_endpoints, {"stripe_account": account}
    made = ask(connect=True)
    changed = endpoints.update(
        made.id, {"enabled_events": ["customer.deleted"], "metadata": {"a": "1"}, "description": "x"}
    )
    assert (changed.enabled_events, changed.description) == (["customer.deleted"], "x")
    customer = client.v1.customers.create({}, there).id  # type: ignore[arg-type]
    client.v1.customers.delete(customer, {}, there)  # type: ignore[arg-type]
    assert receiver.next().event["type"] == "customer.deleted"
    assert endpoints.update(made.id, {"disabled": True, "enabled_events": ["*"]}).status == "disabled"
    client.v1.customers.create({"name": "unheard"}, there)  # type: ignore[arg-type]
    assert endpoints.update(made.id, {"disabled": False}).status == "enabled"
    client.v1.customers.create({"name": "heard"}, there)  # type: ignore[arg-type]
    assert receiver.next().event["data"]["object"]["name"] == "heard"
    assert receiver.hooks.empty()


@pytest.mark.parametrize("end", ["delete", "disable"])
def test_retries_end_with_the_endpoint(
    web: httpx.Client, account: str, receiver: Receiver, ask: Any, end: str
) -> None:
    """A delivery that was refused is not tried again once its endpoint is gone or switched off."""
    made = ask(connect=True)
    receiver.statuses.append(500)
    web.post("/v1/customers", headers={"Stripe-Account": account})
    receiver.next()
    if end == "delete":
        web.delete(f"/v1/webhook_endpoints/{made.id}")
    else:
        web.post(f"/v1/webhook_endpoints/{made.id}", data={"disabled": "true"})

    def state() -> Any:
        deliveries = web.get("/_emulator/deliveries").json()["deliveries"]
        return next(each for each in deliveries if each["endpoint"] == made.id)

    eventually(lambda: state()["status"] != "pending")
    assert (state()["status"], state()["attempts"]) == ("failed", [500])
    assert receiver.hooks.empty()


def test_account_has_at_most_sixteen(account: str, ask: Any) -> None:
    there: stripe.RequestOptions = {"stripe_account": account}
    for _ in range(16):
        ask(there)
    with pytest.raises(stripe.InvalidRequestError, match="the maximum of 16 test webhook endpoints"):
        ask(there)


@pytest.mark.parametrize("api", ["v1", "v2"])
def test_events_are_kept_for_thirty_days(
    web: httpx.Client, client: stripe.StripeClient, account: str, api: str
) -> None:
    """By the emulator's clock; then the API has them no more, by whichever question."""
    there: stripe.RequestOptions = {"stripe_account": account}
    events: Any = client.v1.events if api == "v1" else client.v2.core.events
    client.v1.customers.create({}, there)
    (event,) = events.list({}, there).data
    web.post("/_emulator/clock", json={"advance_s": 29 * DAY_S})
    assert events.retrieve(event.id, {}, there).id == event.id
    web.post("/_emulator/clock", json={"advance_s": DAY_S})
    with pytest.raises(stripe.InvalidRequestError, match="No such event"):
        events.retrieve(event.id, {}, there)
    client.v1.customers.create({}, there)
    web.post("/_emulator/clock", json={"advance_s": 30 * DAY_S})
    assert events.list({}, there).data == []


def test_events_of_one_second(client: stripe.StripeClient, account: str) -> None:
    """`created` may be a bound or the second itself; `type` is one pattern, `types` some."""
    there: stripe.RequestOptions = {"stripe_account": account}
    client.v1.customers.create({"payment_method": "pm_card_visa"}, there)
    events = client.v1.events
    second = events.list({}, there).data[0].created
    assert len(events.list({"created": second, "type": "customer.*"}, there).data) == 1
    assert events.list({"created": second - 1}, there).data == []
    assert len(events.list({"created": {"gte": second}, "types": ["customer.created"]}, there).data) == 1
    with pytest.raises(stripe.InvalidRequestError, match="only specify one of these parameters: type, types"):
        events.list({"type": "customer.created", "types": ["customer.created"]}, there)
    with pytest.raises(stripe.InvalidRequestError, match="at most 20 types"):
        events.list({"types": ["customer.created"] * 21}, there)
