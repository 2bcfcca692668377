"""Whether a method should be on an account at all, and whether a call may be made for it now. Pure."""

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
        (not share.wanted, Reason.SHARE_REVOKED),
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
    if _has_capability(share.account, method.type) or not share.account.known:
        return None
    return Reason.CAPABILITY_INACTIVE


def must_look_up(account: AccountFacts, method_type: str) -> bool:
    """Whether the account must be read before it can be said what may be made on it."""
    return not account.known and not _has_capability(account, method_type)


def is_exhausted(share: ShareFacts, policy: Policy, now: datetime) -> bool:
    """Whether transient failures have lasted longer than they are retried for."""
    return share.failing_since is not None and now - share.failing_since > policy.retry_for


def _has_capability(account: AccountFacts, method_type: str) -> bool:
    needed = CAPABILITIES.get(method_type)
    return needed is None or any(account.capabilities.get(name) == "active" for name in needed)


def is_attached(method: MethodFacts) -> bool:
    """Whether a method on the account serves as the clone, as far as known."""
    return method.clone is not None and method.clone.recovery_point is RecoveryPoint.ATTACHED


def has_failed(method: MethodFacts) -> bool:
    """Whether somebody must take it up."""
    return method.clone is not None and method.clone.state is State.FAILED
