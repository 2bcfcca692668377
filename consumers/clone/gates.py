"""Whether a method should be on an account at all, and whether a call may be made for it now. Pure."""

from collections.abc import Mapping
from datetime import datetime
from typing import Final

from consumers.clone.facts import AccountFacts, MethodFacts, RecoveryPoint, ShareFacts
from consumers.clone.policy import Policy
from schemas.records import Reason, State

CAPABILITIES: Final[dict[str, tuple[str, ...]]] = {
    "card": ("card_payments", "legacy_payments"),
    "us_bank_account": ("us_bank_account_ach_payments", "ach_debit_payments"),
}
"""The types that can be cloned, and the capabilities any one of which must be active on the account.

https://docs.stripe.com/payments/payment-methods/connect and https://docs.stripe.com/connect/account-capabilities
"""


def why_absent(share: ShareFacts, method: MethodFacts) -> Reason | None:
    """Why a method should not be on the account; None where it should."""
    reasons = (
        (share.customer.deleted, Reason.CUSTOMER_DELETED),
        (method.detached, Reason.DETACHED_ON_PLATFORM),
        (not (share.wanted and method.wanted), Reason.SHARE_REVOKED),
        (method.opted_out, Reason.OPTED_OUT),
        (method.type not in CAPABILITIES, Reason.TYPE_NOT_CLONEABLE),
        (not method.owner_supported, Reason.OWNER_NOT_SUPPORTED),
    )
    return next((reason for holds, reason in reasons if holds), None)


def account_closed(account: AccountFacts) -> Reason | None:
    """Why no call at all may be made on the account; None where one may."""
    if account.disconnected:
        return Reason.ACCOUNT_DISCONNECTED
    return Reason.ACCOUNT_UNKNOWN if account.refused else None


def type_closed(share: ShareFacts, method: MethodFacts) -> Reason | None:
    """Why the method cannot be charged on an open account; None where it can, or where nobody looked yet."""
    if method.blocked:
        return Reason.BANK_ACCOUNT_BLOCKED
    if has_capability(share.account.capabilities, method.type) or not share.account.known:
        return None
    return Reason.CAPABILITY_INACTIVE


def must_look_up(account: AccountFacts, method_type: str) -> bool:
    """Whether the account must be read before it can be said what may be made on it."""
    return not account.known and not has_capability(account.capabilities, method_type)


def is_exhausted(share: ShareFacts, policy: Policy, now: datetime) -> bool:
    """Whether transient failures have lasted longer than they are retried for."""
    return share.failing_since is not None and now - share.failing_since > policy.retry_for


def has_capability(capabilities: Mapping[str, str], method_type: str) -> bool:
    """Whether a method of the type can be charged; nothing is asked of types that are not cloned."""
    needed = CAPABILITIES.get(method_type)
    return needed is None or any(capabilities.get(name) == "active" for name in needed)


def needs_mandate(method_type: str) -> bool:
    """Whether its holder must have agreed to debits (https://docs.stripe.com/payments/ach-direct-debit)."""
    return method_type == "us_bank_account"


def is_attached(method: MethodFacts) -> bool:
    """Whether a method on the account serves as the clone, as far as known."""
    return method.clone is not None and method.clone.recovery_point is RecoveryPoint.ATTACHED


def has_failed(method: MethodFacts) -> bool:
    """Whether somebody must take it up."""
    return method.clone is not None and method.clone.state is State.FAILED


def standing(method: MethodFacts, connected_id: str | None = None) -> Reason | None:
    """Say what is to be said of a clone that is ready and as it should be.

    `connected_id` is the method on the account that is meant, where it is not the one that served so far.
    """
    clone = method.clone
    is_known = clone is not None and connected_id in (None, clone.connected_payment_method_id)
    if is_known and clone is not None and not clone.ours:
        return Reason.REUSED
    has_mandate = is_known and clone is not None and clone.mandate
    return Reason.MANDATE_UNVERIFIED if needs_mandate(method.type) and not has_mandate else None
