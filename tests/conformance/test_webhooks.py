"""Events are emitted as Stripe emits them, signed, and sent again until they are accepted."""

from collections.abc import Iterator
from typing import Any

import httpx
import pytest
import stripe

from tests.conformance.conftest import Receiver


@pytest.fixture
def endpoint(client: stripe.StripeClient, receiver: Receiver) -> Iterator[stripe.WebhookEndpoint]:
    """An endpoint for the events of connected accounts."""
    made = client.v1.webhook_endpoints.create(
        {"url": receiver.url, "enabled_events": ["*"], "connect": True, "api_version": "2026-10-28.endive"}
    )
    yield made
    client.v1.webhook_endpoints.delete(made.id)


def seen(web: httpx.Client, account: str) -> list[dict[str, Any]]:
    """Give an account's events, oldest first."""
    answer = web.get("/v1/events?limit=100", headers={"Stripe-Account": account})
    events: list[dict[str, Any]] = answer.json()["data"]
    return events[::-1]


def test_webhook_is_signed_and_retried(
    client: stripe.StripeClient, account: str, receiver: Receiver, endpoint: stripe.WebhookEndpoint
) -> None:
    """A refused webhook comes again, signed anew; Stripe's own check accepts it."""
    receiver.statuses.append(500)
    assert endpoint.secret is not None
    client.v1.customers.create(
        {"name": "Ada"}, {"stripe_account": account, "idempotency_key": f"k-{account}"}
    )
    first, second = receiver.next(), receiver.next()
    assert first.body == second.body
    for hook in (first, second):
        event = stripe.Webhook.construct_event(hook.body, hook.headers["stripe-signature"], endpoint.secret)
        assert (account, account) == (event.account, event.context)
        assert event.request is not None
        assert event.request.idempotency_key == f"k-{account}"
        assert hook.headers["content-type"] == "application/json; charset=utf-8"
        assert hook.body.startswith(b'{\n  "id": "evt_')


def test_platform_endpoint_gets_platform_events_only(
    client: stripe.StripeClient, account: str, receiver: Receiver
) -> None:
    """An endpoint without `connect` hears of the platform alone; its secret is shown once."""
    made = client.v1.webhook_endpoints.create({"url": receiver.url, "enabled_events": ["customer.created"]})
    client.v1.customers.create({}, {"stripe_account": account})
    own = client.v1.customers.create({})
    event = receiver.next().event
    assert own.id == event["data"]["object"]["id"]
    assert "account" not in event
    assert "secret" not in client.v1.webhook_endpoints.retrieve(made.id).to_dict()
    client.v1.webhook_endpoints.delete(made.id)
    assert receiver.hooks.empty()


def test_every_change_has_its_event_and_cloning_has_none(
    client: stripe.StripeClient, account: str, web: httpx.Client
) -> None:
    """The life of a clone, as the Events API of its account tells it."""
    there: stripe.RequestOptions = {"stripe_account": account}
    clone = client.v1.payment_methods.create({"payment_method": "pm_card_visa"}, there)
    customer = client.v1.customers.create(
        {"payment_method": clone.id, "invoice_settings": {"default_payment_method": clone.id}}, there
    )
    client.v1.customers.update(customer.id, {"name": "Ada", "metadata": {"a": "1"}}, there)
    client.v1.customers.update(customer.id, {"name": "Ada"}, there)
    month = clone.card.exp_month if clone.card else 0
    client.v1.payment_methods.update(clone.id, {"card": {"exp_month": month % 12 + 1}}, there)
    client.v1.payment_methods.detach(clone.id, None, there)
    client.v1.customers.delete(customer.id, None, there)
    web.post(f"/_emulator/accounts/{account}/capabilities", json={"card_payments": "active"})
    events = seen(web, account)
    expected = [
        ("customer.created", None),
        ("payment_method.attached", None),
        ("customer.updated", {"name": None, "metadata": {"a": None}}),
        ("payment_method.updated", {"card": {"exp_month": month}}),
        ("payment_method.detached", {"customer": customer.id}),
        ("customer.updated", {"invoice_settings": {"default_payment_method": clone.id}}),
        ("customer.deleted", None),
        ("capability.updated", {"status": "unrequested"}),
        ("account.updated", {"capabilities": {"card_payments": None}, "charges_enabled": False}),
    ]
    actual = [(event["type"], event["data"].get("previous_attributes")) for event in events]
    for wanted, found in zip(expected, actual, strict=True):
        assert wanted[0] == found[0]
        assert wanted[1] is None or wanted[1].items() <= found[1].items()


@pytest.mark.usefixtures("endpoint")
def test_revoked_access(
    client: stripe.StripeClient,
    account: str,
    web: httpx.Client,
    receiver: Receiver,
) -> None:
    """Deauthorising is told to the platform, then the account answers 403 until it authorises again."""
    web.post(f"/_emulator/accounts/{account}/deauthorize")
    event = receiver.next().event
    assert ("account.application.deauthorized", account) == (event["type"], event["account"])
    assert event["data"]["object"]["object"] == "application"
    with pytest.raises(stripe.PermissionError):
        client.v1.customers.list({}, {"stripe_account": account})
    web.post(f"/_emulator/accounts/{account}/authorize")
    assert receiver.next().event["type"] == "account.application.authorized"
    assert client.v1.customers.list({}, {"stripe_account": account}).data == []


def test_events_are_listed_by_type_and_page(client: stripe.StripeClient, account: str) -> None:
    """`types[]`, `ending_before` and `retrieve` on one account's events."""
    there: stripe.RequestOptions = {"stripe_account": account}
    customers = [client.v1.customers.create({"payment_method": "pm_card_visa"}, there).id for _ in "123"]
    created = client.v1.events.list({"types": ["customer.created"]}, there).data
    oldest = created[-1]
    assert len(created) == 3
    assert customers[::-1] == [each.data.object["id"] for each in created]
    before = client.v1.events.list({"ending_before": oldest.id, "types": ["customer.created"]}, there)
    assert [each.id for each in created[:2]] == [each.id for each in before.data]
    assert oldest.id == client.v1.events.retrieve(oldest.id, None, there).id
    assert client.v1.events.list({"delivery_success": False}, there).data == []
