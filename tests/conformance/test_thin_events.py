"""Thin events and the destinations of API v2, as Stripe's own client reads them (STRIPE.md 2 and 4)."""

from collections.abc import Iterator
from typing import Any

import httpx
import pytest
import stripe
from stripe.events import V1CustomerUpdatedEventNotification

from tests.conformance.conftest import Receiver

SECRET = "webhook_endpoint.signing_secret"


@pytest.fixture
def ask(client: stripe.StripeClient, receiver: Receiver) -> Iterator[Any]:
    """Makes destinations at the receiver, and takes them away afterwards."""
    made = []

    def destination(**more: Any) -> Any:
        asked: Any = {
            "name": "Thin",
            "type": "webhook_endpoint",
            "webhook_endpoint": {"url": receiver.url},
            "event_payload": "thin",
            "enabled_events": ["*"],
            "events_from": ["@accounts"],
            "include": [SECRET],
            **more,
        }
        made.append(client.v2.core.event_destinations.create(asked))
        return made[-1]

    yield destination
    for each in made:
        client.v2.core.event_destinations.delete(each.id)


def test_twin_is_pushed_and_fetched(
    client: stripe.StripeClient, account: str, receiver: Receiver, ask: Any
) -> None:
    """The notification names the object, the account and the call; what is fetched, its twin and changes."""
    there: stripe.RequestOptions = {"stripe_account": account}
    customer = client.v1.customers.create({"name": "Ada"}, there)
    destination = ask(enabled_events=["v1.customer.updated"])
    keyed: stripe.RequestOptions = {**there, "idempotency_key": f"k-{account}"}
    client.v1.customers.update(customer.id, {"name": "Grace"}, keyed)
    hook = receiver.next()
    told = client.parse_event_notification(
        hook.body, hook.headers["stripe-signature"], destination.webhook_endpoint.signing_secret
    )
    assert isinstance(told, V1CustomerUpdatedEventNotification)
    assert (told.type, str(told.context)) == ("v1.customer.updated", account)
    assert told.reason is not None
    assert told.reason.request is not None
    assert told.reason.request.idempotency_key == f"k-{account}"
    assert told.related_object.url == f"/v1/customers/{customer.id}"
    assert hook.event.keys() & {"snapshot_event", "data", "changes", "account"} == set()
    fetched = told.fetch_event()
    (snapshot,) = client.v1.events.list({"type": "customer.updated"}, there).data
    assert fetched.snapshot_event == snapshot.id
    assert fetched.changes is not None
    assert fetched.changes.to_dict() == {"name": "Ada"}
    assert told.fetch_related_object().id == customer.id


def test_notification_may_name_its_twin(
    web: httpx.Client, client: stripe.StripeClient, account: str, receiver: Receiver, ask: Any
) -> None:
    """Nobody knows whether Stripe's do: what is built has to bear both."""
    there: stripe.RequestOptions = {"stripe_account": account}
    ask(enabled_events=["v1.customer.created"])
    for named in (True, False):
        web.post("/_emulator/notifications", json={"snapshot_event": named})
        client.v1.customers.create({}, there)
        twin = client.v1.events.list({"limit": 1}, there).data[0].id
        assert receiver.next().event.get("snapshot_event") == (twin if named else None)


def test_thin_events_are_listed(client: stripe.StripeClient, account: str) -> None:
    """By type, by object, by time, page by page, and each account's alone."""
    there: stripe.RequestOptions = {"stripe_context": account}
    first, second = (client.v1.customers.create({"name": "Ada"}, there).id for _ in "12")
    client.v1.customers.update(first, {"name": "Grace"}, there)
    events = client.v2.core.events

    def listed(**parameters: Any) -> list[tuple[str, str]]:
        found = events.list(parameters, there).auto_paging_iter()  # type: ignore[arg-type]
        return [(event.type, event.to_dict()["related_object"]["id"]) for event in found]

    everything = [
        ("v1.customer.updated", first),
        ("v1.customer.created", second),
        ("v1.customer.created", first),
    ]
    assert everything == listed() == listed(limit=1)
    assert everything[1:] == listed(types=["v1.customer.created"], limit=1)
    assert [everything[0], everything[2]] == listed(object_id=first, limit=1)
    oldest = events.list({}, there).data[-1]
    assert everything[:2] == listed(created={"gt": oldest.created})
    assert events.list({"object_id": first}).data == []
    with pytest.raises(stripe.InvalidRequestError) as raised:
        events.retrieve(oldest.id)
    assert (raised.value.http_status, raised.value.code) == (404, "not_found")


def test_v2_account_is_told_of_under_the_platform(
    account: str, web: httpx.Client, receiver: Receiver, client: stripe.StripeClient, ask: Any
) -> None:
    """API v2 names the account as what it is about; API v1 still tells of it as where it happened."""
    web.post(f"/_emulator/accounts/{account}/v2")
    ask(events_from=["@self"])
    ask(enabled_events=["v1.account.updated"])
    web.post(f"/_emulator/accounts/{account}/capabilities", json={"us_bank_account_ach_payments": "active"})
    told = {event["type"]: event for event in receiver.events(2)}
    moved = told["v2.core.account[configuration.merchant].capability_status_updated"]
    assert (moved["context"], moved["related_object"]["id"]) == (None, account)
    fetched = client.v2.core.events.retrieve(moved["id"]).to_dict()
    assert fetched["data"] == {"updated_capability": "ach_debit_payments"}
    assert told["v1.account.updated"]["context"] == account
    web.post(
        f"/_emulator/accounts/{account}/v2_events", json={"type": "v2.core.account[requirements].updated"}
    )
    assert receiver.next().event["type"] == "v2.core.account[requirements].updated"
    assert web.post(f"/_emulator/accounts/{account}/v2_events", json={"type": "x"}).status_code == 400


def test_ping_reaches_its_destination_alone(
    client: stripe.StripeClient, receiver: Receiver, ask: Any
) -> None:
    """Whatever a destination wants, it gets its ping."""
    pinged, _ = ask(enabled_events=["v1.topup.created"]), ask(events_from=["@self"])
    event = client.v2.core.event_destinations.ping(pinged.id)
    hook = receiver.next()
    assert (hook.event["id"], hook.event["type"]) == (event.id, "v2.core.event_destination.ping")
    assert hook.event["related_object"]["id"] == pinged.id
    secret = pinged.webhook_endpoint.signing_secret
    assert client.parse_event_notification(hook.body, hook.headers["stripe-signature"], secret).id == event.id
    client.v2.core.event_destinations.ping(pinged.id)
    assert receiver.next().event["related_object"]["id"] == pinged.id


def test_disabled_destination_gets_nothing(
    client: stripe.StripeClient, account: str, receiver: Receiver, ask: Any
) -> None:
    """What happens while it is disabled is not made up for."""
    destinations, there = client.v2.core.event_destinations, {"stripe_account": account}
    made = ask()
    assert destinations.disable(made.id).status == "disabled"
    client.v1.customers.create({"name": "unheard"}, there)  # type: ignore[arg-type]
    shown = destinations.enable(made.id)
    assert (shown.status, shown.status_details) == ("enabled", None)
    heard = client.v1.customers.create({"name": "heard"}, there)  # type: ignore[arg-type]
    assert receiver.next().event["related_object"]["id"] == heard.id
    assert receiver.hooks.empty()


def test_secret_and_address_are_shown_where_they_are_asked_for(client: stripe.StripeClient, ask: Any) -> None:
    """The secret by the answer that made it and no other; the address with `include`."""
    destinations = client.v2.core.event_destinations
    made = ask(include=[], metadata={"a": "1", "b": "2"})
    assert (made.webhook_endpoint.signing_secret, made.webhook_endpoint.url) == (None, None)
    url: Any = {"include": ["webhook_endpoint.url"]}
    shown = destinations.retrieve(made.id, url)
    assert shown.webhook_endpoint is not None
    assert (shown.webhook_endpoint.signing_secret, bool(shown.webhook_endpoint.url)) == (None, True)
    change: Any = {
        "name": "Elsewhere",
        "webhook_endpoint": {"url": "http://127.0.0.1:9/elsewhere"},
        "metadata": {"a": None, "c": "3"},
    }
    changed = destinations.update(made.id, change | url)
    assert changed.webhook_endpoint is not None
    assert (changed.name, changed.webhook_endpoint.url) == ("Elsewhere", "http://127.0.0.1:9/elsewhere")
    assert changed.metadata is not None
    assert changed.metadata.to_dict() == {"b": "2", "c": "3"}
    assert made.id in [each.id for each in destinations.list({"limit": 1}).auto_paging_iter()]


@pytest.mark.parametrize(
    "wrong",
    [
        {"enabled_events": ["customer.created"]},
        {"event_payload": "snapshot", "enabled_events": ["v1.customer.created"]},
        {"enabled_events": []},
        {"type": "amazon_eventbridge"},
        {"events_from": ["@organization_members"]},
        {"webhook_endpoint": {"url": "nowhere"}},
        {"event_payload": "fat"},
        {"webhook_endpoint": {"url": "http://x", "secret": "x"}},
    ],
    ids=str,
)
def test_impossible_destination_is_refused(ask: Any, wrong: dict[str, Any]) -> None:
    with pytest.raises(stripe.InvalidRequestError) as raised:
        ask(**wrong)
    assert raised.value.http_status == 400


def test_body_of_v2_is_json(web: httpx.Client) -> None:
    """Forms are API v1's, and a refusal of API v2 has no page and no parameter."""
    for body in (b"name=x", b"[]", b'"x"', b'{"name": "x"}'):
        answer = web.post("/v2/core/event_destinations", content=body)
        assert answer.status_code == 400
        assert answer.json()["error"].keys() <= {"type", "code", "message"}


def test_idempotency_of_v2(web: httpx.Client, account: str) -> None:
    """What succeeded is replayed, what was refused is run again, other parameters are a conflict."""
    asked = {
        "name": "Once",
        "type": "webhook_endpoint",
        "webhook_endpoint": {"url": "nowhere"},
        "event_payload": "thin",
        "enabled_events": ["*"],
    }
    key = {"Idempotency-Key": f"k-{account}", "Stripe-Context": account}
    for _ in "12":
        refused = web.post("/v2/core/event_destinations", json=asked, headers=key)
        assert refused.status_code == 400
        assert "idempotent-replayed" not in refused.headers
    asked["webhook_endpoint"] = {"url": "http://127.0.0.1:9"}
    first, again = (web.post("/v2/core/event_destinations", json=asked, headers=key) for _ in "12")
    assert (first.status_code, first.json()) == (200, again.json())
    assert again.headers["idempotent-replayed"] == "true"
    other = web.post("/v2/core/event_destinations", json={**asked, "name": "Twice"}, headers=key)
    assert (other.status_code, other.json()["error"]["code"]) == (409, "idempotency_error")
