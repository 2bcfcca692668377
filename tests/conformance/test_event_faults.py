"""What may happen to events, on demand: twice, not at all, dropped, repeated, late, out of order."""

from collections.abc import Iterator
from typing import Any

import httpx
import pytest
import stripe

from tests.conformance.conftest import Receiver, eventually


@pytest.fixture
def endpoint(client: stripe.StripeClient, receiver: Receiver) -> Iterator[str]:
    """An endpoint for new customers of connected accounts."""
    made = client.v1.webhook_endpoints.create(
        {"url": receiver.url, "enabled_events": ["customer.created"], "connect": True}
    )
    yield made.id
    client.v1.webhook_endpoints.delete(made.id)


def rule(web: httpx.Client, account: str, action: dict[str, Any], **more: Any) -> str:
    """Set a fault on the account's events."""
    answer = web.post("/_emulator/event_faults", json={"account": account, "action": action, **more})
    assert answer.status_code == 200, answer.text
    return str(answer.json()["id"])


def create(web: httpx.Client, account: str, *names: str) -> None:
    """Create customers on the account."""
    for name in names:
        web.post("/v1/customers", headers={"Stripe-Account": account}, data={"name": name}).raise_for_status()


def told(receiver: Receiver, count: int) -> list[str]:
    """Give the names of the customers that webhooks told of, in their order."""
    return [event["data"]["object"]["name"] for event in receiver.events(count)]


def listed(web: httpx.Client, account: str, **parameters: Any) -> list[dict[str, Any]]:
    """Give the account's events, newest first."""
    answer = web.get("/v1/events", params=parameters, headers={"Stripe-Account": account})
    events: list[dict[str, Any]] = answer.json()["data"]
    return events


@pytest.mark.usefixtures("endpoint")
def test_generated_twice(web: httpx.Client, account: str, receiver: Receiver) -> None:
    """Two events with two ids tell the same of the same object."""
    rule(web, account, {"kind": "twice"}, type="customer.*", count=1)
    create(web, account, "a", "b")
    first, second, third = receiver.events(3)
    assert len({first["id"], second["id"], third["id"]}) == 3
    twins = [event for event in (first, second, third) if event["data"]["object"]["name"] == "a"]
    assert len(twins) == 2
    assert twins[0]["data"] == twins[1]["data"]
    assert len(listed(web, account)) == 3
    thin = web.get("/v2/core/events", headers={"Stripe-Context": account}).json()["data"]
    assert {event["snapshot_event"] for event in thin} == {event["id"] for event in listed(web, account)}


@pytest.mark.usefixtures("endpoint")
def test_not_generated(
    web: httpx.Client, account: str, receiver: Receiver, client: stripe.StripeClient
) -> None:
    """There is no event anywhere; some time later one tells of the object, to whoever asked for that type."""
    rule(web, account, {"kind": "lost"}, count=1)
    create(web, account, "lost", "told")
    assert told(receiver, 1) == ["told"]
    assert [event["data"]["object"]["name"] for event in listed(web, account)] == ["told"]
    kind = "v2.core.health.event_generation_failure.resolved"
    asked: Any = {
        "name": "Health",
        "type": "webhook_endpoint",
        "webhook_endpoint": {"url": receiver.url},
        "event_payload": "thin",
    }
    wanted: list[Any] = [asked | {"enabled_events": types} for types in (["*"], [kind])]
    destinations = [client.v2.core.event_destinations.create(each).id for each in wanted]
    (lost,) = web.get("/_emulator/lost_events").json()["lost"]
    (made,) = web.post("/_emulator/lost_events/resolve").json()["events"]
    event = receiver.next().event
    assert (event["id"], event["type"], event["context"]) == (made["id"], kind, None)
    impact = client.v2.core.events.retrieve(event["id"]).to_dict()["data"]["impact"]
    assert impact == lost
    assert (impact["event_type"], impact["context"]) == ("customer.created", account)
    there: stripe.RequestOptions = {"stripe_account": account}
    assert client.v1.customers.retrieve(impact["related_object"]["id"], {}, there).name == "lost"
    assert web.get("/_emulator/lost_events").json()["lost"] == []
    for destination in destinations:
        client.v2.core.event_destinations.delete(destination)
    assert receiver.hooks.empty()


def test_dropped(web: httpx.Client, account: str, receiver: Receiver, endpoint: str) -> None:
    """A dropped delivery is found in the Events API, until it is sent again and accepted."""
    rule(web, account, {"kind": "drop"}, destination=endpoint, count=1)
    create(web, account, "dropped", "told")
    assert told(receiver, 1) == ["told"]
    eventually(lambda: listed(web, account, delivery_success="true"))
    (missed,) = listed(web, account, delivery_success="false", **{"created[gte]": 0})
    assert (missed["data"]["object"]["name"], missed["pending_webhooks"]) == ("dropped", 1)
    (delivered,) = listed(web, account, delivery_success="true")
    assert listed(web, account, delivery_success="false", starting_after=delivered["id"]) == [missed]
    web.post(f"/_emulator/events/{missed['id']}/resend", json={"destination": endpoint})
    assert told(receiver, 1) == ["dropped"]
    eventually(lambda: not listed(web, account, delivery_success="false"))
    assert [event["pending_webhooks"] for event in listed(web, account, delivery_success="true")] == [0, 0]


@pytest.mark.usefixtures("endpoint")
def test_duplicated(web: httpx.Client, account: str, receiver: Receiver) -> None:
    """The same event comes several times."""
    rule(web, account, {"kind": "duplicate", "copies": 2}, count=1)
    create(web, account, "a")
    assert len({event["id"] for event in receiver.events(3)}) == 1
    create(web, account, "b")
    assert told(receiver, 1) == ["b"]


@pytest.mark.usefixtures("endpoint")
def test_delayed(web: httpx.Client, account: str, receiver: Receiver) -> None:
    """A late event is overtaken."""
    rule(web, account, {"kind": "delay", "seconds": 3}, count=1)
    create(web, account, "late", "soon")
    assert told(receiver, 2) == ["soon", "late"]


@pytest.mark.usefixtures("endpoint")
def test_reordered(web: httpx.Client, account: str, receiver: Receiver) -> None:
    """Held until there are three, then the last first; what is held when the rule goes, comes then."""
    made = rule(web, account, {"kind": "reorder", "window": 3})
    create(web, account, "a", "b")
    assert receiver.hooks.empty()
    create(web, account, "c")
    assert told(receiver, 3) == ["c", "b", "a"]
    create(web, account, "d", "e")
    (shown,) = web.get("/_emulator/event_faults").json()["faults"]
    assert (shown["held"], shown["fired"]) == (2, 5)
    web.delete(f"/_emulator/event_faults/{made}")
    assert told(receiver, 2) == ["e", "d"]


@pytest.mark.usefixtures("endpoint")
def test_seeded_rule_repeats(web: httpx.Client, account: str, receiver: Receiver) -> None:
    """The same seed drops the same events."""
    runs = []
    for _ in "12":
        rule(web, account, {"kind": "drop"}, probability=0.5, seed=3)
        create(web, account, *"abcdefgh")
        (shown,) = web.get("/_emulator/event_faults").json()["faults"]
        runs.append(sorted(told(receiver, 8 - shown["fired"])))
        web.delete("/_emulator/event_faults")
    assert runs[0] == runs[1]
    assert 0 < len(runs[0]) < 8


@pytest.mark.parametrize(
    "said",
    [
        {},
        {"action": {"kind": "no"}},
        {"action": {"kind": "reorder", "window": 1}},
        {"action": {"kind": "duplicate", "copies": 0}},
        {"action": {"kind": "delay", "seconds": -1}},
        {"action": {"kind": "lost"}, "destination": "we_1"},
        {"action": {"kind": "drop"}, "typ": "x"},
    ],
    ids=str,
)
def test_bad_rule_is_refused(web: httpx.Client, said: Any) -> None:
    """A rule that could never fire is said to be wrong."""
    assert web.post("/_emulator/event_faults", json=said).status_code == 400
    assert web.delete("/_emulator/event_faults/nothing").status_code == 404
