"""The rules for what should not be on the account any more. Pure.

Slow on purpose: the platform object that justifies a detach is read first, once for all shares that it
matters to, and the brake bounds how much is detached in an hour.
"""

from collections.abc import Iterator
from datetime import datetime
from typing import Final

from consumers.clone.actions import Announce, Braked, Confirm, ReadClone, Said, Wait, Write
from consumers.clone.facts import MethodFacts, ShareFacts, Step, Superseded
from consumers.clone.gates import account_closed, has_failed, is_attached, why_absent
from consumers.clone.making import announce, announce_default, is_unverified
from consumers.clone.policy import Leave, Policy
from consumers.projection.seen import Kind
from schemas.records import Reason, State

_RECORDED_ANYHOW: Final = frozenset({Reason.TYPE_NOT_CLONEABLE, Reason.OPTED_OUT, Reason.OWNER_NOT_SUPPORTED})
"""What is said of a method even if nothing was said of it before."""

_OF_THE_CUSTOMER: Final = frozenset({Reason.CUSTOMER_DELETED, Reason.SHARE_REVOKED})
"""What the customer says; the rest, its method does."""


def say_absent(share: ShareFacts, method: MethodFacts, reason: Reason) -> Iterator[Said]:
    """Announce a method that should not be there, where it is not, or is not ours to take away."""
    clone = method.clone
    if clone is None:
        if reason in _RECORDED_ANYHOW:
            yield Announce(method, State.ABSENT, reason)
    elif is_attached(method) and clone.ours and not (clone.detached or clone.detached_by_others):
        if (closed := account_closed(share.account)) is not None:
            yield from announce(method, State.BLOCKED, closed)
        elif is_unverified(method) and share.open_intent is None:
            yield ReadClone(method, clone.connected_payment_method_id or "", None)
        elif clone.state is State.READY:
            yield from announce_default(share, method, clone)
    else:
        yield from announce(method, State.ABSENT, reason)


def unmake(share: ShareFacts, policy: Policy, now: datetime) -> Iterator[Said]:
    """Say what is to be detached: clones that should not be there, superseded ones whose time has come."""
    if account_closed(share.account) is not None or share.open_intent is not None:
        return
    for method in share.methods:
        reason = why_absent(share, method)
        clone = method.clone
        if (
            reason is not None
            and policy.on_detach is Leave.DETACH
            and clone is not None
            and is_attached(method)
            and clone.ours
            and not (clone.detached or clone.detached_by_others)
            and (not has_failed(method) or clone.taken_up)
        ):
            yield from _detach(share, method, clone.connected_payment_method_id or "", reason)
    for superseded in share.superseded:
        yield from _superseded(share, superseded, policy, now)


def _superseded(share: ShareFacts, superseded: Superseded, policy: Policy, now: datetime) -> Iterator[Said]:
    method = next((each for each in share.methods if each.id == superseded.platform_payment_method_id), None)
    if method is None or not superseded.ours:
        return
    reason = why_absent(share, method)
    # It was given a time when it was replaced; that they are kept may have been chosen since.
    detach_at = superseded.detach_at if policy.on_superseded is Leave.DETACH else None
    if reason is not None and policy.on_detach is Leave.DETACH:
        yield from _detach(share, method, superseded.id, reason)
    elif detach_at is not None and now >= detach_at:
        yield from _detach(share, method, superseded.id, None)
    elif detach_at is not None:
        yield Wait(detach_at)


def _detach(
    share: ShareFacts, method: MethodFacts, connected_id: str, reason: Reason | None
) -> Iterator[Said]:
    if reason in _OF_THE_CUSTOMER and not share.customer.confirmed:
        yield Confirm(Kind.CUSTOMER, share.customer.id)
    elif reason not in _OF_THE_CUSTOMER and not method.confirmed:
        yield Confirm(Kind.PAYMENT_METHOD, method.id)
    elif share.braked:
        yield Braked()
    else:
        yield Write(method, Step.DETACH, connected_id)
