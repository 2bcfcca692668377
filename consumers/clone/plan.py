"""The decision: given what is known of a share, the one thing to do next. Pure and total.

Level-triggered: it never asks what happened, only what should be and what is. In this order: a write whose
outcome is open; making (`making`); the connected default; breaking (`breaking`).
"""

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Final

from consumers.clone.actions import (
    Abandon,
    Action,
    Braked,
    LookUpAccount,
    ReadClone,
    ReadCustomer,
    Repeat,
    Rest,
    Said,
    Wait,
    Write,
)
from consumers.clone.breaking import say_absent, unmake
from consumers.clone.facts import Intent, MethodFacts, ShareFacts, Step
from consumers.clone.gates import (
    account_closed,
    is_attached,
    is_exhausted,
    must_look_up,
    type_closed,
    why_absent,
)
from consumers.clone.making import announce, make
from consumers.clone.policy import DefaultFollows, Policy
from schemas.records import Reason, State

KEY_GOOD_FOR: Final = timedelta(hours=23)
"""Stripe forgets an idempotency key after 24 h: past this a repeat might do it twice."""


def next_action(share: ShareFacts, policy: Policy, now: datetime) -> Action:
    """Say the one thing to do next for this share; total over every state.

    Args:
        share: what was loaded under the lease.
        policy: what the settings say.
        now: our clock, UTC.
    """
    until: datetime | None = None
    braked = False
    for said in _everything(share, policy, now):
        match said:
            case Wait(until=at):
                until = at if until is None else min(until, at)
            case Braked():
                braked = True
            case _:
                return said
    return Rest(until, braked)


def _everything(share: ShareFacts, policy: Policy, now: datetime) -> Iterator[Said]:
    for method in _in_order(share):
        intent = share.open_intent
        if intent is not None and intent.platform_payment_method_id == method.id:
            yield from _settle(share, method, intent, policy, now)
        elif (reason := why_absent(share, method)) is not None:
            yield from say_absent(share, method, reason)
        else:
            yield from make(share, method, policy, now)
    yield from _follow_default(share, policy)
    yield from unmake(share, policy, now)


def _in_order(share: ShareFacts) -> list[MethodFacts]:
    """A write whose outcome is open comes first: nothing else may be written before it is known."""
    first = share.open_intent.platform_payment_method_id if share.open_intent is not None else None
    return sorted(share.methods, key=lambda method: method.id != first)


def _settle(
    share: ShareFacts, method: MethodFacts, intent: Intent, policy: Policy, now: datetime
) -> Iterator[Said]:
    """Say what to do about a write whose outcome is not known."""
    past_its_key = intent.stored_error or now - intent.first_tried_at >= KEY_GOOD_FOR
    exhausted = is_exhausted(share, policy, now)
    if (closed := account_closed(share.account)) is not None:
        yield from announce(method, State.BLOCKED, closed)
    elif _needs_the_capability(method, intent) and (shut := type_closed(share, method)) is not None:
        if past_its_key and not exhausted:
            # It can be found out without a write: then the others of the share need not wait for it.
            yield _past_its_key(method, intent)
        else:
            yield from announce(method, State.BLOCKED, shut)
            if not past_its_key:
                yield Wait(intent.first_tried_at + KEY_GOOD_FOR)
    elif _needs_the_capability(method, intent) and must_look_up(share.account, method.type):
        yield LookUpAccount()
    elif exhausted:
        yield from _give_up(method, intent)
    elif not past_its_key:
        yield Repeat(method, intent)
    else:
        yield _past_its_key(method, intent)


def _needs_the_capability(method: MethodFacts, intent: Intent) -> bool:
    """Whether the write is of use only once the method can be charged: one that makes its first clone."""
    return intent.step in (Step.CLONE, Step.CREATE_CUSTOMER, Step.ATTACH) and not is_attached(method)


def _past_its_key(method: MethodFacts, intent: Intent) -> Said:
    """What was written to tells what the write did; what a clone call may have left is inert."""
    if intent.step is Step.SET_DEFAULT and intent.target is not None:
        return ReadCustomer(intent)
    target = intent.target or _made(method)
    if target is None or intent.step in (Step.CLONE, Step.SET_DEFAULT):
        return Abandon(intent)
    return ReadClone(method, target, intent)


def _made(method: MethodFacts) -> str | None:
    return method.clone.connected_payment_method_id if method.clone is not None else None


def _give_up(method: MethodFacts, intent: Intent) -> Iterator[Said]:
    if intent.step is Step.SET_DEFAULT or (intent.step is Step.DETACH and intent.object != _made(method)):
        return  # the clone that serves is as good as it was
    if is_attached(method) and intent.step is not Step.DETACH:
        yield from announce(method, State.READY, Reason.UPDATE_FAILED)
    else:
        yield from announce(method, State.FAILED, Reason.RETRIES_EXHAUSTED)


def _follow_default(share: ShareFacts, policy: Policy) -> Iterator[Said]:
    """Move the connected default, unless somebody else has set another meanwhile."""
    have = share.connected_default_id
    if (
        share.connected_customer_id is None
        or not share.connected_default_known
        or share.open_intent is not None
        or account_closed(share.account)
    ):
        return
    replaced = {each.id: each.platform_payment_method_id for each in share.superseded}
    is_ours = have is None or have in replaced or have in map(_made, share.methods)
    wanted = [replaced.get(have)] if have is not None else []
    if policy.default_follows is DefaultFollows.PLATFORM and is_ours:
        wanted.insert(0, share.customer.default_payment_method_id)
    able = {method.id: method for method in share.methods if _may_be_default(share, method)}
    chosen = next((able[id_] for id_ in wanted if id_ in able), None)
    if chosen is not None and _made(chosen) != have:
        yield Write(chosen, Step.SET_DEFAULT)


def _may_be_default(share: ShareFacts, method: MethodFacts) -> bool:
    clone = method.clone
    is_serving = clone is not None and clone.state is State.READY and not clone.default_refused
    return is_serving and why_absent(share, method) is None
