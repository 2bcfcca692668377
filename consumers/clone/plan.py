"""The decision: given what is known of a share, the one thing to do next. Pure and total.

Level-triggered: it never asks what happened, only what should be and what is.

    planned ──clone──> cloned ──create_customer──> attached    the account's first method: two writes
                              └────attach────────> attached    every later one: two writes

A method that waits is `blocked` with a reason and holds up no other; one that failed is left alone until
somebody takes it up.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from consumers.clone.facts import AccountFacts, Intent, MethodFacts, RecoveryPoint, ShareFacts, Step
from schemas.records import Reason, State

CAPABILITIES: Final[dict[str, tuple[str, ...]]] = {
    "card": ("card_payments", "legacy_payments"),
    "us_bank_account": ("us_bank_account_ach_payments", "ach_debit_payments"),
}
"""The types that can be cloned, and the capabilities any one of which must be active on the account.

https://docs.stripe.com/payments/payment-methods/connect and https://docs.stripe.com/connect/account-capabilities
"""

_AWAY: Final = Reason.ACCOUNT_DISCONNECTED

KEY_GOOD_FOR: Final = timedelta(hours=23)
"""Stripe forgets an idempotency key after 24 h: past this a repeat might do it twice."""


@dataclass(frozen=True, slots=True)
class Policy:
    """What the settings say of cloning."""

    retry_for: timedelta


@dataclass(frozen=True, slots=True)
class LookUpAccount:
    """Have the account read, since it was never seen whole; the share is due again once it was."""


@dataclass(frozen=True, slots=True)
class Write:
    """Record an intent for this step and send it."""

    method: MethodFacts
    step: Step


@dataclass(frozen=True, slots=True)
class Repeat:
    """Send a recorded intent again: its outcome is not known."""

    method: MethodFacts
    intent: Intent


@dataclass(frozen=True, slots=True)
class Abandon:
    """Give up a clone call whose key is of no use any more; what it may have left is unattached and inert."""

    intent: Intent


@dataclass(frozen=True, slots=True)
class ReadClone:
    """Read the clone at Stripe: its `customer` tells what a lost write did, and whether it is attached."""

    method: MethodFacts
    connected_payment_method_id: str
    intent: Intent | None


@dataclass(frozen=True, slots=True)
class Announce:
    """Record a state and tell the others."""

    method: MethodFacts
    state: State
    reason: Reason | None


@dataclass(frozen=True, slots=True)
class Rest:
    """Nothing to do until something changes."""


Action = LookUpAccount | Write | Repeat | Abandon | ReadClone | Announce | Rest


def next_action(share: ShareFacts, policy: Policy, now: datetime) -> Action:
    """Say the one thing to do next for this share; total over every state.

    Args:
        share: what was loaded under the lease.
        policy: what the settings say.
        now: our clock, UTC.
    """
    for action in _actions(share, policy, now):
        return action
    return Rest()


def _actions(share: ShareFacts, policy: Policy, now: datetime) -> Iterator[Action]:
    exhausted = share.failing_since is not None and now - share.failing_since > policy.retry_for
    for method in _in_order(share):
        intent = share.open_intent
        if intent is not None and intent.platform_payment_method_id != method.id:
            intent = None
        absent = None if intent is not None else _why_absent(share, method)
        if absent is not None:
            yield from _announce_absent(method, absent)
        elif _gone(method) or (_failed(method) and (intent is None or exhausted)):
            continue
        else:
            yield from _go_on(share, method, intent, now, exhausted=exhausted)


def _in_order(share: ShareFacts) -> list[MethodFacts]:
    """A write whose outcome is open comes first: nothing else may be written before it is known."""
    first = share.open_intent.platform_payment_method_id if share.open_intent is not None else None
    return sorted(share.methods, key=lambda method: method.id != first)


def _why_absent(share: ShareFacts, method: MethodFacts) -> Reason | None:
    """Why a method that is not attached should not be; None where it should, or is."""
    if _attached(method):
        return None
    reasons = (
        (share.customer.deleted, Reason.CUSTOMER_DELETED),
        (method.detached, Reason.DETACHED_ON_PLATFORM),
        (not share.wanted, Reason.SHARE_REVOKED),
        (method.opted_out, Reason.OPTED_OUT),
        (method.type not in CAPABILITIES, Reason.TYPE_NOT_CLONEABLE),
    )
    return next((reason for holds, reason in reasons if holds), None)


def _attached(method: MethodFacts) -> bool:
    return method.clone is not None and method.clone.recovery_point is RecoveryPoint.ATTACHED


def _gone(method: MethodFacts) -> bool:
    """Attached once, and found or told to be there no more: it stays so until somebody takes it up."""
    return _attached(method) and method.clone is not None and method.clone.state is State.ABSENT


def _unverified(method: MethodFacts) -> bool:
    """Attached when the account went away: what is there now only Stripe knows, and it is asked first."""
    return _attached(method) and method.clone is not None and method.clone.reason is _AWAY


def _failed(method: MethodFacts) -> bool:
    return method.clone is not None and method.clone.state is State.FAILED


def _go_on(
    share: ShareFacts, method: MethodFacts, intent: Intent | None, now: datetime, *, exhausted: bool
) -> Iterator[Action]:
    closed = _why_closed(share.account, method.type)
    if isinstance(closed, Reason):
        if not (closed is Reason.CAPABILITY_INACTIVE and _unverified(method)):
            yield from _announce(method, State.BLOCKED, closed)
    elif closed is LookUpAccount:
        yield LookUpAccount()
    elif exhausted and share.open_intent is not None and not _attached(method):
        # Its own write is given up, or the one that it waits for is.
        yield from _announce(method, State.FAILED, Reason.RETRIES_EXHAUSTED)
    elif intent is not None:
        yield _settle(method, intent, now)
    elif share.open_intent is not None:
        # Another's write is first: its outcome must be known before anything else is written.
        if not _attached(method) and (method.clone is None or method.clone.state is State.BLOCKED):
            yield Announce(method, State.PENDING, None)
    else:
        yield from _next_step(share, method)


def _why_closed(account: AccountFacts, method_type: str) -> Reason | type[LookUpAccount] | None:
    """The gate: why no call may be made for this type on this account; None where it is open."""
    if account.disconnected:
        return Reason.ACCOUNT_DISCONNECTED
    if account.refused:
        return Reason.ACCOUNT_UNKNOWN
    needed = CAPABILITIES.get(method_type)
    if needed is None or any(account.capabilities.get(name) == "active" for name in needed):
        return None
    return Reason.CAPABILITY_INACTIVE if account.known else LookUpAccount


def _settle(method: MethodFacts, intent: Intent, now: datetime) -> Action:
    """What to do about a write whose outcome is not known."""
    if not intent.stored_error and now - intent.first_tried_at < KEY_GOOD_FOR:
        return Repeat(method, intent)
    clone_id = method.clone.connected_payment_method_id if method.clone is not None else None
    if intent.step is Step.CLONE or clone_id is None:
        return Abandon(intent)
    return ReadClone(method, clone_id, intent)


def _next_step(share: ShareFacts, method: MethodFacts) -> Iterator[Action]:
    clone = method.clone
    if clone is None or clone.connected_payment_method_id is None:
        yield Write(method, Step.CLONE)
    elif clone.recovery_point is RecoveryPoint.CLONED:
        yield Write(method, Step.ATTACH if share.connected_customer_id is not None else Step.CREATE_CUSTOMER)
    elif _unverified(method):
        yield ReadClone(method, clone.connected_payment_method_id, None)
    elif clone.state in (State.PENDING, State.BLOCKED):
        yield Announce(method, State.READY, None)


_RECORDED_ANYHOW: Final = frozenset({Reason.TYPE_NOT_CLONEABLE, Reason.OPTED_OUT})
"""What is said of a method even if nothing was said of it before."""


def _announce_absent(method: MethodFacts, reason: Reason) -> Iterator[Action]:
    if method.clone is not None or reason in _RECORDED_ANYHOW:
        yield from _announce(method, State.ABSENT, reason)


def _announce(method: MethodFacts, state: State, reason: Reason) -> Iterator[Action]:
    if method.clone is None or (method.clone.state, method.clone.reason) != (state, reason):
        yield Announce(method, state, reason)
