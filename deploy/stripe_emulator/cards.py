"""Stripe's test cards and bank accounts, and how they behave ([doc] docs.stripe.com/testing)."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from deploy.stripe_emulator.errors import StripeError, card_error
from deploy.stripe_emulator.shapes import JsonObject, card, us_bank_account

TEST_CARDS: Mapping[str, str] = {
    "visa": "4242424242424242",
    "visa_debit": "4000056655665556",
    "mastercard": "5555555555554444",
    "amex": "378282246310005",
    "discover": "6011111111111117",
    "visa_chargeDeclined": "4000000000000002",
    "visa_chargeDeclinedInsufficientFunds": "4000000000009995",
    "visa_chargeDeclinedLostCard": "4000000000009987",
    "visa_chargeDeclinedStolenCard": "4000000000009979",
    "chargeDeclinedExpiredCard": "4000000000000069",
    "chargeDeclinedProcessingError": "4000000000000119",
}
"""The number behind `tok_<name>` and `pm_card_<name>`."""

TEST_BANK_ACCOUNT = {
    "account_holder_type": "individual",
    "account_number": "000123456789",
    "account_type": "checking",
    "routing_number": "110000000",
}
"""The account behind `pm_usBankAccount_success`."""


@dataclass(frozen=True, slots=True)
class Decline:
    """What the issuer answers when a card is attached: only `card_declined` carries a decline code."""

    code: str
    message: str
    decline_code: str | None = None
    param: str | None = None

    def error(self) -> StripeError:
        """Give the answer."""
        return card_error(self.code, self.message, self.decline_code, self.param)


DECLINES: Mapping[str, Decline] = {
    "4000000000000002": Decline("card_declined", "Your card was declined.", "generic_decline"),
    "4000000000009995": Decline("card_declined", "Your card has insufficient funds.", "insufficient_funds"),
    "4000000000009987": Decline("card_declined", "Your card was declined.", "lost_card"),
    "4000000000009979": Decline("card_declined", "Your card was declined.", "stolen_card"),
    "4000000000000069": Decline("expired_card", "Your card has expired.", param="exp_month"),
    "4000000000000119": Decline(
        "processing_error", "An error occurred while processing your card. Try again in a little bit."
    ),
}
"""Numbers that are refused when they are attached.

Source: [doc] testing: expired and processing errors have their own code.
"""


def card_from_number(parameters: Mapping[str, Any], now_s: float) -> tuple[JsonObject, Decline | None]:
    """Give the card behind `card[number|exp_month|exp_year|cvc]`, and the decline that waits for it.

    A number that fails its check digit and an expiry in the past are StripeError 402, as Stripe answers them.
    """
    number = str(parameters["number"]).replace(" ", "")
    month, year = parameters["exp_month"], parameters["exp_year"]
    today = datetime.fromtimestamp(now_s, UTC)
    if not _check_digit_holds(number):
        raise card_error("incorrect_number", "Your card number is incorrect.", None, "number")
    if not 1 <= month <= 12:  # noqa: PLR2004 - months
        raise card_error(
            "invalid_expiry_month", "Your card's expiration month is invalid.", None, "exp_month"
        )
    if (year, month) < (today.year, today.month):
        raise card_error("invalid_expiry_year", "Your card's expiration year is invalid.", None, "exp_year")
    details = card(
        brand=_brand(number),
        country="US",
        funding="debit" if number == TEST_CARDS["visa_debit"] else "credit",
        exp_month=month,
        exp_year=year,
        fingerprint=fingerprint(number),
        last4=number[-4:],
        cvc="cvc" in parameters,
    )
    return details, DECLINES.get(number)


def card_from_name(name: str, now_s: float) -> tuple[JsonObject, Decline | None] | None:
    """Give the test card called `name`: it expires in a year and has its security code; None for another."""
    number = TEST_CARDS.get(name)
    if number is None:
        return None
    today = datetime.fromtimestamp(now_s, UTC)
    expiry = {"exp_month": today.month, "exp_year": today.year + 1}
    return card_from_number({"number": number, "cvc": "123", **expiry}, now_s)


def bank_account(parameters: Mapping[str, Any]) -> JsonObject:
    """Give the bank account behind `us_bank_account[…]`."""
    number, routing = parameters["account_number"], parameters["routing_number"]
    return us_bank_account(
        holder=parameters.get("account_holder_type", "individual"),
        kind=parameters.get("account_type", "checking"),
        fingerprint=fingerprint(f"{routing}/{number}"),
        last4=number[-4:],
        routing=routing,
    )


def fingerprint(number: str) -> str:
    """Name a number, without its expiry: the same on every account ([rec] clone-attached.yml)."""
    return hashlib.sha256(f"stripe-emulator/{number}".encode()).hexdigest()[:16]


def _brand(number: str) -> str:
    brands = {"4": "visa", "5": "mastercard", "2": "mastercard", "3": "amex", "6": "discover"}
    return brands.get(number[:1], "unknown")


def _check_digit_holds(number: str) -> bool:
    if not number.isascii() or not number.isdigit() or len(number) not in range(12, 20):
        return False
    doubled = "0246813579"
    digits = [doubled[int(d)] if place % 2 else d for place, d in enumerate(reversed(number))]
    return sum(map(int, digits)) % 10 == 0
