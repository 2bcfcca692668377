"""Stripe's test cards, and how they behave ([doc] docs.stripe.com/testing)."""

import hashlib
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from deploy.stripe_emulator.behaviour import BEHAVIOURS, Behaviour
from deploy.stripe_emulator.errors import card_error
from deploy.stripe_emulator.shapes import JsonObject, card

TEST_CARDS: Mapping[str, str] = {
    "visa": "4242424242424242",
    "visa_debit": "4000056655665556",
    "mastercard": "5555555555554444",
    "mastercard_debit": "5200828282828210",
    "mastercard_prepaid": "5105105105105100",
    "amex": "378282246310005",
    "discover": "6011111111111117",
    "diners": "3056930009020004",
    "jcb": "3566002020360505",
    "unionpay": "6200000000000005",
    "bypassPending": "4000000000000077",
    "visa_chargeDeclined": "4000000000000002",
    "visa_chargeDeclinedInsufficientFunds": "4000000000009995",
    "visa_chargeDeclinedLostCard": "4000000000009987",
    "visa_chargeDeclinedStolenCard": "4000000000009979",
    "visa_chargeDeclinedVelocityLimitExceeded": "4000000000006975",
    "chargeDeclinedExpiredCard": "4000000000000069",
    "chargeDeclinedIncorrectCvc": "4000000000000127",
    "chargeDeclinedProcessingError": "4000000000000119",
    "chargeCustomerFail": "4000000000000341",
    "authenticationRequired": "4000002760003184",
    "authenticationRequiredOnSetup": "4000002500003155",
    "authenticationRequiredSetupForOffSession": "4000003800000446",
    "authenticationRequiredChargeDeclinedInsufficientFunds": "4000008260003178",
    "threeDSecure2Required": "4000000000003220",
}
"""The number behind `tok_<name>` and `pm_card_<name>`."""

FUNDING = {
    TEST_CARDS["visa_debit"]: "debit",
    TEST_CARDS["mastercard_debit"]: "debit",
    TEST_CARDS["mastercard_prepaid"]: "prepaid",
}
BRANDS = {
    "4": "visa",
    "5": "mastercard",
    "2": "mastercard",
    "34": "amex",
    "37": "amex",
    "30": "diners",
    "36": "diners",
    "35": "jcb",
    "62": "unionpay",
    "6": "discover",
}
"""The brand by how a number begins; the longer beginning stands first."""

OTHER_NAMES = {
    "chargeDeclined": "visa_chargeDeclined",
    "chargeDeclinedInsufficientFunds": "visa_chargeDeclinedInsufficientFunds",
    "chargeDeclinedLostCard": "visa_chargeDeclinedLostCard",
    "chargeDeclinedStolenCard": "visa_chargeDeclinedStolenCard",
    "us": "visa",
}
"""Names that Stripe's page and CLI also have for some of them."""


def card_from_number(parameters: Mapping[str, Any], now_s: float) -> tuple[JsonObject, Behaviour]:
    """Give the card behind `card[number|exp_month|exp_year|cvc]`, and how it behaves.

    A number that fails its check digit and an expiry in the past are StripeError 402, as Stripe answers them.
    """
    number = str(parameters["number"]).replace(" ", "")
    month, year = parameters["exp_month"], parameters["exp_year"]
    if not _check_digit_holds(number):
        raise card_error("incorrect_number", "Your card number is incorrect.", None, "number")
    check_expiry(month, year, now_s)
    details = card(
        brand=_brand(number),
        country="US",
        funding=FUNDING.get(number, "credit"),
        exp_month=month,
        exp_year=year,
        fingerprint=fingerprint(number),
        last4=number[-4:],
        cvc="cvc" in parameters,
    )
    return details, BEHAVIOURS.get(number, Behaviour())


def check_expiry(month: int, year: int, now_s: float) -> None:
    """Refuse a month that is none, and one that is over: StripeError 402."""
    today = datetime.fromtimestamp(now_s, UTC)
    if not 1 <= month <= 12:  # noqa: PLR2004 - months
        raise card_error(
            "invalid_expiry_month", "Your card's expiration month is invalid.", None, "exp_month"
        )
    if (year, month) < (today.year, today.month):
        raise card_error("invalid_expiry_year", "Your card's expiration year is invalid.", None, "exp_year")


def card_from_name(name: str, now_s: float) -> tuple[JsonObject, Behaviour] | None:
    """Give the test card called `name`: it expires in a year and has its security code; None for another."""
    number = TEST_CARDS.get(OTHER_NAMES.get(name, name))
    if number is None:
        return None
    today = datetime.fromtimestamp(now_s, UTC)
    expiry = {"exp_month": today.month, "exp_year": today.year + 1}
    return card_from_number({"number": number, "cvc": "123", **expiry}, now_s)


def fingerprint(number: str) -> str:
    """Name a number, without its expiry: the same on every account ([rec] clone-attached.yml)."""
    return hashlib.sha256(f"stripe-emulator/{number}".encode()).hexdigest()[:16]


def _brand(number: str) -> str:
    return next((brand for prefix, brand in BRANDS.items() if number.startswith(prefix)), "unknown")


def _check_digit_holds(number: str) -> bool:
    if not number.isascii() or not number.isdigit() or len(number) not in range(12, 20):
        return False
    doubled = "0246813579"
    digits = [doubled[int(d)] if place % 2 else d for place, d in enumerate(reversed(number))]
    return sum(map(int, digits)) % 10 == 0
