"""The rules for a method that should be on the account: making its clone, and keeping it right. Pure.

    planned ──clone──> cloned ──create_customer──> attached ─┬──────update──────────> attached, newer
                              └────attach────────>           └─clone──> next ─attach─> attached, newer

A method that waits is `blocked` with a reason and holds up no other; one that failed is left alone until
somebody takes it up, or its original changes.
"""

from collections.abc import Iterator
from datetime import datetime
from typing import Final

from consumers.clone.actions import (
    Announce,
    CatchUp,
    Confirm,
    LookUpAccount,
    ReadClone,
    Restart,
    Reuse,
    Said,
    Wait,
    Write,
)
from consumers.clone.content import is_same_card, is_up_to_date, lacks_billing_details
from consumers.clone.facts import CloneFacts, MethodFacts, RecoveryPoint, ShareFacts, Step
from consumers.clone.gates import (
    account_closed,
    has_failed,
    is_attached,
    is_exhausted,
    must_look_up,
    standing,
    type_closed,
)
from consumers.clone.policy import OnUpdate, Policy
from consumers.projection.seen import Kind
from schemas.records import Reason, State

_STAYS_ABSENT: Final = frozenset({Reason.DETACHED_ON_ACCOUNT, Reason.CONNECTED_CUSTOMER_DELETED})
"""Somebody on the account did it: it stays so until a retry or a new grant."""

_CLONE_IS_GOOD: Final = frozenset({Reason.CARD_DECLINED, Reason.CUSTOMER_FULL, Reason.RETRIES_EXHAUSTED})
"""What failed was the attaching: the clone that is made can be attached yet."""


def make(share: ShareFacts, method: MethodFacts, policy: Policy, now: datetime) -> Iterator[Said]:
    """Say what is to be done for a method that should be there and has no write of its own open."""
    clone = method.clone
    if (closed := account_closed(share.account)) is not None:
        if not _is_absent(clone) and not has_failed(method):
            yield from announce(method, State.BLOCKED, closed)
    elif clone is not None and _is_over(share, method, clone):
        yield from _begin_again(share, method, clone)
    elif share.connected_customer_deleted:
        yield from announce(method, State.ABSENT, Reason.CONNECTED_CUSTOMER_DELETED)
    elif must_look_up(share.account, method.type):
        yield LookUpAccount()
    elif (shut := type_closed(share, method)) is not None:
        if not is_unverified(method):
            yield from announce(method, State.BLOCKED, shut)
    elif share.open_intent is not None:
        yield from _behind_another(share, method, policy, now)
    elif clone is None or not is_attached(method):
        yield from _first(share, method, policy, now)
    else:
        yield from _keep_right(share, method, clone, policy, now)


def _behind_another(share: ShareFacts, method: MethodFacts, policy: Policy, now: datetime) -> Iterator[Said]:
    """Another's write is first: its outcome must be known before anything else is written."""
    if is_attached(method):
        return
    if is_exhausted(share, policy, now):
        yield from announce(method, State.FAILED, Reason.RETRIES_EXHAUSTED)
    elif method.clone is None or method.clone.state is State.BLOCKED:
        yield Announce(method, State.PENDING, None)


def is_unverified(method: MethodFacts) -> bool:
    """Whether it was attached when the account went away: what is there now only Stripe knows."""
    clone = method.clone
    return is_attached(method) and clone is not None and clone.reason is Reason.ACCOUNT_DISCONNECTED


def announce(method: MethodFacts, state: State, reason: Reason | None) -> Iterator[Said]:
    """Announce it, unless that was the last that was said."""
    if method.clone is None or (method.clone.state, method.clone.reason) != (state, reason):
        yield Announce(method, state, reason)


def announce_default(share: ShareFacts, method: MethodFacts, clone: CloneFacts) -> Iterator[Said]:
    """Announce that the clone is the connected default now, or is it no more."""
    if clone.announced_default != (clone.connected_payment_method_id == share.connected_default_id):
        yield Announce(method, clone.state, clone.reason)


def _is_absent(clone: CloneFacts | None) -> bool:
    return clone is not None and clone.state is State.ABSENT and clone.reason in _STAYS_ABSENT


def _is_over(share: ShareFacts, method: MethodFacts, clone: CloneFacts) -> bool:
    """Whether the row tells of something that ended, well or badly."""
    if has_failed(method) or _is_absent(clone):
        return True
    return is_attached(method) and (
        clone.detached or clone.detached_by_others or share.connected_customer_id is None
    )


def _begin_again(share: ShareFacts, method: MethodFacts, clone: CloneFacts) -> Iterator[Said]:
    renewed = method.generation > (clone.failed_generation or clone.generation)
    if clone.taken_up and has_failed(method) and is_attached(method):
        yield ReadClone(method, clone.connected_payment_method_id or "", None)
    elif clone.taken_up or (clone.detached and not _is_absent(clone)) or (has_failed(method) and renewed):
        made = clone.recovery_point is RecoveryPoint.CLONED
        yield Restart(method, keep=made and not renewed and clone.reason in _CLONE_IS_GOOD)
    elif share.connected_customer_deleted:
        yield from announce(method, State.ABSENT, Reason.CONNECTED_CUSTOMER_DELETED)
    elif is_attached(method) and clone.detached_by_others and not _is_absent(clone):
        yield from announce(method, State.ABSENT, Reason.DETACHED_ON_ACCOUNT)
    elif is_attached(method) and not has_failed(method) and not _is_absent(clone):
        # Its customer was deleted there, and it was granted anew before anybody said so.
        yield Restart(method)


def _first(share: ShareFacts, method: MethodFacts, policy: Policy, now: datetime) -> Iterator[Said]:
    clone, customer = method.clone, share.customer
    if share.connected_customer_id is None and not (customer.known or customer.confirmed):
        # A command may grant one that nobody told of yet: the connected customer is given what it is.
        yield Confirm(Kind.CUSTOMER, customer.id)
    elif (
        clone is None or clone.recovery_point is RecoveryPoint.PLANNED or clone.generation < method.generation
    ):
        if policy.reuse_existing and method.reusable is not None:
            yield Reuse(method)
        else:
            yield from _clone_in_turn(method, now)
    elif clone.retry_at is not None and now < clone.retry_at:
        yield Wait(clone.retry_at)
    else:
        yield Write(method, Step.ATTACH if share.connected_customer_id is not None else Step.CREATE_CUSTOMER)


def _clone_in_turn(method: MethodFacts, now: datetime) -> Iterator[Said]:
    """Clone, unless the card was given a later turn."""
    turn = method.clone.paced_until if method.clone is not None else None
    yield Wait(turn) if turn is not None and now < turn else Write(method, Step.CLONE)


def _keep_right(
    share: ShareFacts, method: MethodFacts, clone: CloneFacts, policy: Policy, now: datetime
) -> Iterator[Said]:
    if is_unverified(method):
        yield ReadClone(method, clone.connected_payment_method_id or "", None)
    elif clone.generation < method.generation:
        yield from _renew(method, clone, policy, now)
    elif (clone.state, clone.reason) != (State.READY, standing(method)):
        yield Announce(method, State.READY, standing(method))
    elif (
        clone.ours
        and clone.update_refused_generation != clone.generation
        and lacks_billing_details(method, clone)
    ):
        yield Write(method, Step.UPDATE)
    else:
        yield from announce_default(share, method, clone)


def _renew(method: MethodFacts, clone: CloneFacts, policy: Policy, now: datetime) -> Iterator[Said]:
    """Bring an attached clone to what its original has become."""
    if is_up_to_date(method, clone):
        yield CatchUp(method)
    elif clone.failed_generation == method.generation and not clone.taken_up:
        return
    elif (
        policy.on_update is OnUpdate.UPDATE
        and clone.ours
        and clone.update_refused_generation != method.generation
        and is_same_card(method, clone)
    ):
        yield Write(method, Step.UPDATE)
    elif clone.next is None or clone.next.generation < method.generation:
        yield from _clone_in_turn(method, now)
    elif clone.retry_at is not None and now < clone.retry_at:
        yield Wait(clone.retry_at)
    else:
        yield Write(method, Step.ATTACH)
