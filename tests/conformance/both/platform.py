"""A platform with one connected account at either Stripe, which leaves nothing behind."""

import asyncio
import warnings
from dataclasses import dataclass, field
from typing import Any, Self

import stripe

from tests.conformance.both.stripes import Leg
from tests.support.waiting import until

CARD = "pm_card_visa"


@dataclass
class Platform:
    """Makes what a test needs, and on leaving deletes it: the platform's customers and the account."""

    leg: Leg
    client: stripe.StripeClient
    account: str = ""
    _customers: list[str] = field(default_factory=list)

    def __enter__(self) -> Self:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "We recommend building your integration using Accounts v2")
            self.account = self.client.v1.accounts.create({"type": "standard", "country": "US"}).id
        return self

    def __exit__(self, *_: object) -> None:
        for customer in self._customers:
            self.client.v1.customers.delete(customer)
        self.client.v1.accounts.delete(self.account)

    @property
    def there(self) -> stripe.RequestOptions:
        """The options of a call on the connected account."""
        return {"stripe_account": self.account}

    def customer(self, **parameters: Any) -> str:
        """Make a platform customer."""
        return self.adopt(self.client.v1.customers.create(parameters).id)  # type: ignore[arg-type]

    def adopt(self, customer: str) -> str:
        """Take a platform customer in, to be deleted with the others."""
        self._customers.append(customer)
        return customer

    def connected_customer(self) -> str:
        """Make a customer of the account; it goes when the account goes."""
        return self.client.v1.customers.create({}, self.there).id

    def saved_card(self) -> tuple[str, stripe.PaymentMethod]:
        """Make a platform customer with a card."""
        customer = self.customer()
        return customer, self.client.v1.payment_methods.attach(CARD, {"customer": customer})

    def loose_card(self) -> stripe.PaymentMethod:
        """Make a card on the platform that belongs to nobody."""
        return self.client.v1.payment_methods.create({"type": "card", "card": {"token": "tok_visa"}})

    def clone(self, original: str, customer: str | None = None, **more: Any) -> stripe.PaymentMethod:
        """Clone a method of the platform to the account."""
        named: Any = {"payment_method": original, **({"customer": customer} if customer else {}), **more}
        return self.client.v1.payment_methods.create(named, self.there)

    def attached_clone(self) -> tuple[str, stripe.PaymentMethod]:
        """Clone a saved card, and attach the clone to a customer of the account."""
        customer, card = self.saved_card()
        clone = self.clone(card.id, customer)
        owner = self.connected_customer()
        return owner, self.client.v1.payment_methods.attach(clone.id, {"customer": owner}, self.there)

    async def events_about(self, object_id: str, kind: str) -> list[stripe.Event]:
        """Give the account's events about an object, oldest first, once one of that kind is among them."""

        async def ask() -> list[stripe.Event]:
            listed = await asyncio.to_thread(self.client.v1.events.list, {"limit": 100}, self.there)
            about = [event for event in listed.data[::-1] if event.data.object["id"] == object_id]
            return about if kind in [event.type for event in about] else []

        return await until(ask, within_s=self.leg.event_within_s, what=f"{kind} of {object_id}")
