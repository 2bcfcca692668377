"""Stripe's test bank accounts, and how debits of them end.

[doc] docs.stripe.com/payments/ach-direct-debit.
"""

from collections.abc import Mapping
from typing import Any

from deploy.stripe_emulator.behaviour import Behaviour, Decline
from deploy.stripe_emulator.cards import fingerprint
from deploy.stripe_emulator.shapes import JsonObject, us_bank_account

DEBITS = ("acss_debit", "au_becs_debit", "bacs_debit", "sepa_debit", "us_bank_account")
"""Types that need a mandate, and whose payments are `processing` until the bank has answered."""

TEST_ROUTING_NUMBER = "110000000"
TEST_ACCOUNTS: Mapping[str, str] = {
    "success": "000123456789",
    "accountClosed": "000111111113",
    "noAccount": "000111111116",
    "insufficientFunds": "000222222227",
    "debitNotAuthorized": "000333333335",
}
"""The number behind `pm_usBankAccount_<name>`."""

BEHAVIOURS: Mapping[str, Behaviour] = {
    "000111111113": Behaviour(
        declines_charge=Decline("account_closed", "The customer's bank account has been closed.")
    ),
    "000111111116": Behaviour(
        declines_charge=Decline("no_account", "The customer's bank account could not be located.")
    ),
    "000222222227": Behaviour(
        declines_charge=Decline("insufficient_funds", "The customer's account has insufficient funds.")
    ),
    "000333333335": Behaviour(
        declines_charge=Decline("debit_not_authorized", "The customer has not authorized this payment.")
    ),
}
"""Numbers whose debits fail ([doc] the rule and the codes, [infer] the texts)."""

AMOUNTS = (32, 45)
DESCRIPTOR_CODE = "SM11AA"
"""What verifies a test bank account ([doc] ach-direct-debit, "Test microdeposit verification")."""


def bank_account(parameters: Mapping[str, Any]) -> tuple[JsonObject, Behaviour]:
    """Give the bank account behind `us_bank_account[…]`, and how it behaves."""
    number, routing = parameters["account_number"], parameters["routing_number"]
    details = us_bank_account(
        holder=parameters.get("account_holder_type", "individual"),
        kind=parameters.get("account_type", "checking"),
        fingerprint=fingerprint(f"{routing}/{number}"),
        last4=number[-4:],
        routing=routing,
    )
    return details, BEHAVIOURS.get(number, Behaviour())


def bank_account_from_name(name: str) -> tuple[JsonObject, Behaviour] | None:
    """Give the test bank account called `name`; None for another."""
    number = TEST_ACCOUNTS.get(name)
    if number is None:
        return None
    return bank_account({"account_number": number, "routing_number": TEST_ROUTING_NUMBER})
