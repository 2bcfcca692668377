"""What the shop's server asks of Stripe, always on the connected account.

The three functions are docs.stripe.com/payments/payment-methods/connect, "Using the Payment Method API with
direct charges", from the server's side. Every write has an idempotency key of the order or of the payment
method, so that asking again does nothing twice.
"""

from dataclasses import dataclass
from typing import Any

import stripe

PRICE: Any = {"amount": 2000, "currency": "usd"}
CARDS: Any = {"allowed_payment_method_types": ["card"]}


@dataclass(frozen=True, slots=True)
class Buyer:
    """Who buys. A shop that knows its buyers keeps the id of each one's customer instead of asking again."""

    name: str
    email: str


@dataclass(frozen=True, slots=True)
class Shop:
    """A connected account, and the platform's client."""

    client: stripe.StripeClient
    account: str

    async def open_payment(self, order: str, buyer: Buyer) -> stripe.PaymentIntent:
        """Way A, first half: a payment that the page confirms with the client secret.

        `setup_future_usage` and the customer make Stripe save what it is paid with, for payments off session.
        """
        return await self.client.v1.payment_intents.create_async(
            await self._payment(order, buyer), self._there(f"checkout-{order}-payment")
        )

    async def charge(self, order: str, buyer: Buyer, payment_method: str) -> stripe.PaymentIntent:
        """Way A from the server alone: the payment is confirmed as it is made.

        `payment_method` is one of the connected account, or a test card such as `pm_card_visa`. A card that
        is declined is a stripe.CardError.
        """
        payment = {**await self._payment(order, buyer), "payment_method": payment_method, "confirm": True}
        return await self.client.v1.payment_intents.create_async(
            payment,  # type: ignore[arg-type]
            self._there(f"checkout-{order}-payment"),
        )

    async def save(self, buyer: Buyer, payment_method: str) -> stripe.Customer:
        """Way B, second half: what the page made on the account is attached to a customer there.

        One call makes the customer, attaches the method and makes it the default. A card that its issuer
        declines is a stripe.CardError.
        """
        return await self.client.v1.customers.create_async(
            {
                "name": buyer.name,
                "email": buyer.email,
                "payment_method": payment_method,
                "invoice_settings": {"default_payment_method": payment_method},
            },
            self._there(f"checkout-save-{payment_method}"),
        )

    async def _payment(self, order: str, buyer: Buyer) -> Any:
        customer = await self.client.v1.customers.create_async(
            {"name": buyer.name, "email": buyer.email}, self._there(f"checkout-{order}-customer")
        )
        return {
            **PRICE,
            **CARDS,
            "customer": customer.id,
            "setup_future_usage": "off_session",
            "metadata": {"order": order},
        }

    def _there(self, idempotency_key: str) -> stripe.RequestOptions:
        """Say on which account a call is made: the Stripe-Account header."""
        return {"stripe_account": self.account, "idempotency_key": idempotency_key}
