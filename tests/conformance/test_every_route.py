"""Stripe's own client drives every route of the emulator."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import httpx
import pytest
import stripe
from stripe.v2.core import EventDestinationService

from deploy.stripe_emulator.routes import ROUTES, Route

KNOWN = "pm_card_visa"
BANK_ACCOUNT: Any = {
    "type": "us_bank_account",
    "billing_details": {"name": "Ada"},
    "us_bank_account": {
        "account_holder_type": "individual",
        "account_number": "000123456789",
        "routing_number": "110000000",
    },
}
MANDATE: Any = {"customer_acceptance": {"type": "offline"}}
VERIFIED: Any = {"descriptor_code": "SM11AA"}
ENDPOINT: Any = {"url": "http://127.0.0.1:9", "enabled_events": ["topup.created"]}
DESTINATION: Any = {
    "name": "Nowhere",
    "type": "webhook_endpoint",
    "webhook_endpoint": {"url": "http://127.0.0.1:9"},
    "event_payload": "thin",
    "enabled_events": ["v1.topup.created"],
}


@dataclass(frozen=True, slots=True)
class Scene:
    """A platform with a connected account; what a call needs is made by other calls."""

    client: stripe.StripeClient
    account: str

    def customer(self) -> str:
        """Make a customer."""
        return self.client.v1.customers.create({}).id

    def card(self) -> str:
        """Make a customer's card."""
        return self.client.v1.payment_methods.attach(KNOWN, {"customer": self.customer()}).id

    def endpoint(self) -> str:
        """Make a webhook endpoint."""
        return self.client.v1.webhook_endpoints.create(ENDPOINT).id

    def payment(self, **more: Any) -> stripe.PaymentIntent:
        """Make a payment intent."""
        said: Any = {"amount": 1000, "currency": "usd", **more}
        return self.client.v1.payment_intents.create(said)

    def bank_payment(self) -> stripe.PaymentIntent:
        """Make a payment from a bank account that nobody has verified, and confirm it."""
        return self.payment(payment_method_data=BANK_ACCOUNT, mandate_data=MANDATE, confirm=True)

    def setup(self, **more: Any) -> stripe.SetupIntent:
        """Make a setup intent."""
        said: Any = more
        return self.client.v1.setup_intents.create(said)

    def event(self) -> str:
        """Cause an event."""
        self.customer()
        return self.client.v1.events.list({"limit": 1}).data[0].id

    @property
    def destinations(self) -> EventDestinationService:
        """The destinations of API v2."""
        return self.client.v2.core.event_destinations

    def destination(self) -> str:
        """Make an event destination."""
        return self.destinations.create(DESTINATION).id

    def thin_event(self) -> str:
        """Cause an event, as API v2 names it."""
        self.customer()
        return self.client.v2.core.events.list({"limit": 1}).data[0].id


def _of_customer(scene: Scene) -> object:
    card = scene.client.v1.payment_methods.retrieve(scene.card())
    return scene.client.v1.customers.payment_methods.retrieve(str(card.customer), card.id)


DRIVES: dict[tuple[str, str], Callable[[Scene], object]] = {
    ("GET", "/v1/account"): lambda at: at.client.v1.accounts.retrieve_current(),
    ("POST", "/v1/accounts"): lambda at: at.client.v1.accounts.create({"type": "standard", "country": "US"}),
    ("GET", "/v1/accounts"): lambda at: at.client.v1.accounts.list({"limit": 1}),
    ("GET", "/v1/accounts/{account}"): lambda at: at.client.v1.accounts.retrieve(at.account),
    ("POST", "/v1/accounts/{account}"): lambda at: at.client.v1.accounts.update(
        at.account, {"metadata": {"a": "1"}}
    ),
    ("DELETE", "/v1/accounts/{account}"): lambda at: at.client.v1.accounts.delete(at.account),
    ("GET", "/v1/accounts/{account}/capabilities"): lambda at: at.client.v1.accounts.capabilities.list(
        at.account
    ),
    ("GET", "/v1/accounts/{account}/capabilities/{capability}"): lambda at: (
        at.client.v1.accounts.capabilities.retrieve(at.account, "card_payments")
    ),
    ("POST", "/v1/accounts/{account}/capabilities/{capability}"): lambda at: (
        at.client.v1.accounts.capabilities.update(at.account, "card_payments", {"requested": True})
    ),
    ("POST", "/v1/customers"): lambda at: at.customer(),
    ("GET", "/v1/customers"): lambda at: at.client.v1.customers.list({"email": "ada@example.com"}),
    ("GET", "/v1/customers/{customer}"): lambda at: at.client.v1.customers.retrieve(at.customer()),
    ("POST", "/v1/customers/{customer}"): lambda at: at.client.v1.customers.update(
        at.customer(), {"name": "Ada"}
    ),
    ("DELETE", "/v1/customers/{customer}"): lambda at: at.client.v1.customers.delete(at.customer()),
    ("GET", "/v1/customers/{customer}/payment_methods"): lambda at: (
        at.client.v1.customers.payment_methods.list(at.customer(), {"type": "card"})
    ),
    ("GET", "/v1/customers/{customer}/payment_methods/{payment_method}"): _of_customer,
    ("POST", "/v1/payment_methods"): lambda at: at.client.v1.payment_methods.create(
        {"type": "card", "card": {"token": "tok_visa"}}
    ),
    ("GET", "/v1/payment_methods"): lambda at: at.client.v1.payment_methods.list({"customer": at.customer()}),
    ("GET", "/v1/payment_methods/{payment_method}"): lambda at: at.client.v1.payment_methods.retrieve(
        at.card()
    ),
    ("POST", "/v1/payment_methods/{payment_method}"): lambda at: at.client.v1.payment_methods.update(
        at.card(), {"card": {"exp_month": 3, "exp_year": 2031}}
    ),
    ("POST", "/v1/payment_methods/{payment_method}/attach"): lambda at: at.card(),
    ("POST", "/v1/payment_methods/{payment_method}/detach"): lambda at: at.client.v1.payment_methods.detach(
        at.card()
    ),
    ("POST", "/v1/payment_intents"): lambda at: at.payment(),
    ("GET", "/v1/payment_intents"): lambda at: at.client.v1.payment_intents.list({"limit": 1}),
    ("GET", "/v1/payment_intents/{intent}"): lambda at: at.client.v1.payment_intents.retrieve(
        at.payment().id
    ),
    ("POST", "/v1/payment_intents/{intent}"): lambda at: at.client.v1.payment_intents.update(
        at.payment().id, {"amount": 2000}
    ),
    ("POST", "/v1/payment_intents/{intent}/confirm"): lambda at: at.client.v1.payment_intents.confirm(
        at.payment().id, {"payment_method": KNOWN}
    ),
    ("POST", "/v1/payment_intents/{intent}/capture"): lambda at: at.client.v1.payment_intents.capture(
        at.payment(payment_method=KNOWN, confirm=True, capture_method="manual").id
    ),
    ("POST", "/v1/payment_intents/{intent}/cancel"): lambda at: at.client.v1.payment_intents.cancel(
        at.payment().id
    ),
    ("POST", "/v1/payment_intents/{intent}/verify_microdeposits"): lambda at: (
        at.client.v1.payment_intents.verify_microdeposits(at.bank_payment().id, VERIFIED)
    ),
    ("POST", "/v1/setup_intents"): lambda at: at.setup(),
    ("GET", "/v1/setup_intents"): lambda at: at.client.v1.setup_intents.list({"limit": 1}),
    ("GET", "/v1/setup_intents/{intent}"): lambda at: at.client.v1.setup_intents.retrieve(at.setup().id),
    ("POST", "/v1/setup_intents/{intent}"): lambda at: at.client.v1.setup_intents.update(
        at.setup().id, {"description": "for later"}
    ),
    ("POST", "/v1/setup_intents/{intent}/confirm"): lambda at: at.client.v1.setup_intents.confirm(
        at.setup().id, {"payment_method": KNOWN}
    ),
    ("POST", "/v1/setup_intents/{intent}/cancel"): lambda at: at.client.v1.setup_intents.cancel(
        at.setup().id
    ),
    ("POST", "/v1/setup_intents/{intent}/verify_microdeposits"): lambda at: (
        at.client.v1.setup_intents.verify_microdeposits(
            at.setup(payment_method_data=BANK_ACCOUNT, mandate_data=MANDATE, confirm=True).id, VERIFIED
        )
    ),
    ("GET", "/v1/charges"): lambda at: at.client.v1.charges.list({"limit": 1}),
    ("GET", "/v1/charges/{charge}"): lambda at: at.client.v1.charges.retrieve(
        str(at.payment(payment_method=KNOWN, confirm=True).latest_charge)
    ),
    ("GET", "/v1/mandates/{mandate}"): lambda at: at.client.v1.mandates.retrieve(
        str(at.setup(payment_method="pm_usBankAccount_success", mandate_data=MANDATE, confirm=True).mandate)
    ),
    ("GET", "/v1/events"): lambda at: at.client.v1.events.list({"types": ["customer.created"]}),
    ("GET", "/v1/events/{event}"): lambda at: at.client.v1.events.retrieve(at.event()),
    ("POST", "/v1/webhook_endpoints"): lambda at: at.endpoint(),
    ("GET", "/v1/webhook_endpoints"): lambda at: at.client.v1.webhook_endpoints.list(),
    ("GET", "/v1/webhook_endpoints/{webhook_endpoint}"): lambda at: at.client.v1.webhook_endpoints.retrieve(
        at.endpoint()
    ),
    ("POST", "/v1/webhook_endpoints/{webhook_endpoint}"): lambda at: at.client.v1.webhook_endpoints.update(
        at.endpoint(), {"disabled": True}
    ),
    ("DELETE", "/v1/webhook_endpoints/{webhook_endpoint}"): lambda at: at.client.v1.webhook_endpoints.delete(
        at.endpoint()
    ),
    ("GET", "/v2/core/events"): lambda at: at.client.v2.core.events.list({"types": ["v1.customer.created"]}),
    ("GET", "/v2/core/events/{event}"): lambda at: at.client.v2.core.events.retrieve(at.thin_event()),
    ("POST", "/v2/core/event_destinations"): lambda at: at.destination(),
    ("GET", "/v2/core/event_destinations"): lambda at: at.destinations.list(),
    ("GET", "/v2/core/event_destinations/{event_destination}"): lambda at: at.destinations.retrieve(
        at.destination()
    ),
    ("POST", "/v2/core/event_destinations/{event_destination}"): lambda at: at.destinations.update(
        at.destination(), {"name": "Somewhere"}
    ),
    ("DELETE", "/v2/core/event_destinations/{event_destination}"): lambda at: at.destinations.delete(
        at.destination()
    ),
    ("POST", "/v2/core/event_destinations/{event_destination}/disable"): lambda at: at.destinations.disable(
        at.destination()
    ),
    ("POST", "/v2/core/event_destinations/{event_destination}/enable"): lambda at: at.destinations.enable(
        at.destination()
    ),
    ("POST", "/v2/core/event_destinations/{event_destination}/ping"): lambda at: at.destinations.ping(
        at.destination()
    ),
}
"""How the client calls each route, and on the way some others."""


@pytest.fixture
def scene(client: stripe.StripeClient, account: str) -> Iterator[Scene]:
    """The platform and an account of this test's own; its webhook endpoints go with it."""
    yield Scene(client, account)
    for endpoint in client.v1.webhook_endpoints.list().data:
        client.v1.webhook_endpoints.delete(endpoint.id)
    for destination in client.v2.core.event_destinations.list():
        client.v2.core.event_destinations.delete(destination.id)


@pytest.mark.filterwarnings("ignore:We recommend building your integration using Accounts v2:UserWarning")
@pytest.mark.parametrize("route", ROUTES, ids=lambda route: f"{route.method} {route.template}")
def test_official_client_drives(route: Route, scene: Scene, web: httpx.Client) -> None:
    """Each line of `routes.py` has a call of the client's, and answers it."""
    drive = DRIVES.get((route.method, route.template))
    assert drive is not None, "no call of the official client drives this route"
    before = web.get("/_emulator/log").json()["calls"][-1]["n"]
    drive(scene)
    calls = web.get("/_emulator/log", params={"after": before, "path": route.template}).json()["calls"]
    assert (route.method, 200) in [(call["method"], call["status"]) for call in calls]


def test_no_drive_without_a_route() -> None:
    """The table above names nothing that is gone."""
    assert DRIVES.keys() - {(route.method, route.template) for route in ROUTES} == set()
