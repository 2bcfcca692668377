"""The rules for a clone once it is made, a row each: updates, replacements, defaults, ends, returns."""

from dataclasses import replace
from datetime import timedelta
from typing import Any, Final

import pytest

from consumers.clone.actions import (
    Action,
    Announce,
    CatchUp,
    Confirm,
    ReadClone,
    ReadCustomer,
    Repeat,
    Rest,
    Restart,
    Reuse,
    Write,
)
from consumers.clone.facts import CloneFacts, Connected, MethodFacts, ShareFacts, Step, Superseded
from consumers.clone.plan import next_action
from consumers.clone.policy import DefaultFollows, Leave, OnUpdate, Policy
from consumers.projection.seen import Kind
from schemas.records import Reason, State
from tests.unit.consumers.shares import (
    CUSTOMER,
    DELETED,
    NOW,
    POLICY,
    account,
    attached,
    cloned,
    intent,
    method,
    planned,
    share,
)

HOUR: Final = timedelta(hours=1)
AWAY: Final = account(disconnected=True)
NO_CARDS: Final = account(card_payments="inactive")
HAS: Final = "cus_C"
READY: Final = State.READY
ABSENT: Final = State.ABSENT


def content(fingerprint: str = "fp_1", expiry: tuple[int, int] = (2030, 1), **billing: str) -> dict[str, Any]:
    return {"fingerprint": fingerprint, "expiry": list(expiry), "billing_details": billing, "bank": {}}


WAS: Final = content()
RENEWED: Final = content(expiry=(2034, 1))
OTHER_CARD: Final = content("fp_2", (2034, 1))


def clone(**facts: Any) -> CloneFacts:
    """An attached clone of generation 1, of the card as it was."""
    return replace(attached(), **{"content": WAS, "source_fingerprint": "fp_1", **facts})


def card(its_clone: CloneFacts | None = None, **facts: Any) -> MethodFacts:
    return replace(method(its_clone), **{"content": WAS, **facts})


def changed(now: dict[str, Any], **facts: Any) -> MethodFacts:
    """A card of generation 2, whose clone is of generation 1."""
    return card(clone(**facts), generation=2, content=now)


def there(*methods: MethodFacts, **facts: Any) -> ShareFacts:
    """A share whose connected customer is there."""
    on = facts.pop("on", None)
    base = (
        share(*methods, connected_customer=HAS)
        if on is None
        else share(*methods, connected_customer=HAS, on=on)
    )
    return replace(base, **facts)


def policy(**choices: Any) -> Policy:
    return replace(POLICY, **choices)


REPLACING: Final = policy(on_update=OnUpdate.REPLACE)
KEEPING: Final = policy(on_detach=Leave.KEEP)
FOLLOWING: Final = policy(default_follows=DefaultFollows.PLATFORM)
DROPPING: Final = policy(on_superseded=Leave.DETACH)
OLD: Final = Superseded("pm_OLD", "pm_P1", None)
OLD_DUE: Final = Superseded("pm_OLD", "pm_P1", NOW - HOUR)
OLD_LATER: Final = Superseded("pm_OLD", "pm_P1", NOW + HOUR)
CONFIRMED: Final = replace(CUSTOMER, confirmed=True)

_ROWS: Final[dict[str, tuple[ShareFacts, Policy, Action]]] = {
    # Updates: the same card.
    "the same card, renewed: updated in place": (
        there(m := changed(RENEWED)),
        POLICY,
        Write(m, Step.UPDATE),
    ),
    "billing details alone are an update too": (
        there(m := changed(content(name="Jenny"))),
        POLICY,
        Write(m, Step.UPDATE),
    ),
    "the same card, where replacing is asked for": (
        there(m := changed(RENEWED)),
        REPLACING,
        Write(m, Step.CLONE),
    ),
    "an update that Stripe refused": (
        there(m := changed(RENEWED, update_refused_generation=2)),
        POLICY,
        Write(m, Step.CLONE),
    ),
    "an update that Stripe refused for an older change": (
        there(m := replace(changed(RENEWED, update_refused_generation=1))),
        POLICY,
        Write(m, Step.UPDATE),
    ),
    "Stripe's updater was there before us": (
        there(m := changed(RENEWED, content=RENEWED)),
        POLICY,
        CatchUp(m),
    ),
    "what the card was is not known": (
        there(m := changed(RENEWED, source_fingerprint=None)),
        POLICY,
        Write(m, Step.CLONE),
    ),
    "an update whose answer was lost": (
        there(m := changed(RENEWED), open_intent=(lost := replace(intent(Step.UPDATE), target="pm_C1"))),
        POLICY,
        Repeat(m, lost),
    ),
    "an update whose key is too old is looked at": (
        there(
            m := changed(RENEWED),
            open_intent=(old := replace(intent(Step.UPDATE, hours_ago=24), target="pm_C1")),
        ),
        POLICY,
        ReadClone(m, "pm_C1", old),
    ),
    "an update that was announced, and is done": (
        there(m := card(clone(reason=Reason.UPDATING))),
        POLICY,
        Announce(m, READY, None),
    ),
    "updates given up": (
        replace(
            there(
                m := changed(RENEWED, reason=Reason.UPDATING),
                open_intent=replace(intent(Step.UPDATE), target="pm_C1"),
            ),
            failing_since=NOW - timedelta(hours=73),
        ),
        POLICY,
        Announce(m, READY, Reason.UPDATE_FAILED),
    ),
    # Replacement: another card.
    "another card": (there(m := changed(OTHER_CARD)), POLICY, Write(m, Step.CLONE)),
    "the replacement is made": (
        there(m := changed(OTHER_CARD, next=Connected("pm_N", 2))),
        POLICY,
        Write(m, Step.ATTACH),
    ),
    "it changed again before the replacement was attached": (
        there(m := card(clone(next=Connected("pm_N", 2)), generation=3, content=OTHER_CARD)),
        POLICY,
        Write(m, Step.CLONE),
    ),
    "it changed before the first clone was attached": (
        there(m := card(cloned(), generation=2)),
        POLICY,
        Write(m, Step.CLONE),
    ),
    "the replacement failed": (
        there(changed(OTHER_CARD, failed_generation=2, reason=Reason.UPDATE_FAILED)),
        POLICY,
        Rest(),
    ),
    "the replacement failed, and is taken up": (
        there(m := changed(OTHER_CARD, failed_generation=2, reason=Reason.UPDATE_FAILED, taken_up=True)),
        POLICY,
        Write(m, Step.CLONE),
    ),
    "a later change than the one that failed": (
        there(
            m := card(
                clone(failed_generation=2, reason=Reason.UPDATE_FAILED), generation=3, content=OTHER_CARD
            )
        ),
        POLICY,
        Write(m, Step.CLONE),
    ),
    "nothing is renewed on an account that lost the capability": (
        there(m := changed(RENEWED), on=NO_CARDS),
        POLICY,
        Announce(m, State.BLOCKED, Reason.CAPABILITY_INACTIVE),
    ),
    # Billing details that did not carry over.
    "the clone lacks billing details": (
        there(m := card(clone(), content=content(email="j@example.org"))),
        POLICY,
        Write(m, Step.UPDATE),
    ),
    "billing details that Stripe will not take": (
        there(card(clone(update_refused_generation=1), content=content(email="j@example.org"))),
        POLICY,
        Rest(),
    ),
    "billing details that only the clone has": (
        there(card(clone(content=content(name="J")))),
        POLICY,
        Rest(),
    ),
    # Superseded.
    "a superseded clone is kept": (there(card(clone()), superseded=(OLD,)), POLICY, Rest()),
    "a superseded clone waits for its time": (
        there(card(clone()), superseded=(OLD_LATER,)),
        DROPPING,
        Rest(NOW + HOUR),
    ),
    "its time has come: the original is read first": (
        there(card(clone()), superseded=(OLD_DUE,)),
        DROPPING,
        Confirm(Kind.PAYMENT_METHOD, "pm_P1"),
    ),
    "its time has come, and the original was read": (
        there(m := card(clone(), confirmed=True), superseded=(OLD_DUE,)),
        DROPPING,
        Write(m, Step.DETACH, "pm_OLD"),
    ),
    "its time has come, and by now they are kept": (
        there(card(clone(), confirmed=True), superseded=(OLD_DUE,)),
        POLICY,
        Rest(),
    ),
    "one that was not ours is left alone": (
        there(card(clone(), confirmed=True), superseded=(replace(OLD_DUE, ours=False),)),
        DROPPING,
        Rest(),
    ),
    "one that could not be detached for too long harms no other": (
        replace(
            share(
                card(clone()),
                connected_customer=HAS,
                open_intent=replace(intent(Step.DETACH), object="pm_OLD", target="pm_OLD"),
                failing_for=73 * HOUR,
            ),
            superseded=(OLD_DUE,),
        ),
        DROPPING,
        Rest(),
    ),
    "an open write waits for the capability, and its share for no longer than its key is good": (
        share(
            card(planned(State.BLOCKED, Reason.CAPABILITY_INACTIVE)),
            on=NO_CARDS,
            open_intent=intent(Step.CLONE, hours_ago=1),
        ),
        POLICY,
        Rest(NOW + 22 * HOUR),
    ),
    "then it is found out without a write": (
        share(
            m := card(cloned(State.BLOCKED, Reason.CAPABILITY_INACTIVE)),
            on=NO_CARDS,
            open_intent=(tried := intent(Step.CREATE_CUSTOMER, hours_ago=23)),
        ),
        POLICY,
        ReadClone(m, "pm_C1", tried),
    ),
    # The connected default.
    "the default was replaced": (
        there(m := card(clone(announced_default=False)), superseded=(OLD,), connected_default_id="pm_OLD"),
        POLICY,
        Write(m, Step.SET_DEFAULT),
    ),
    "somebody else set another default": (
        there(card(clone()), superseded=(OLD,), connected_default_id="pm_THEIRS"),
        POLICY,
        Rest(),
    ),
    "the platform's default is another card, and nobody asked to follow": (
        there(
            card(clone(announced_default=True)),
            replace(card(clone(connected_payment_method_id="pm_C2")), id="pm_P2"),
            connected_default_id="pm_C1",
            customer=replace(CUSTOMER, default_payment_method_id="pm_P2"),
        ),
        POLICY,
        Rest(),
    ),
    "a default that Stripe refuses is not asked for again": (
        there(
            card(clone(announced_default=False, default_refused=True)),
            superseded=(OLD,),
            connected_default_id="pm_OLD",
        ),
        POLICY,
        Rest(),
    ),
    "a change of it whose key is too old is looked at": (
        there(
            card(clone(announced_default=False)),
            superseded=(OLD,),
            connected_default_id="pm_OLD",
            open_intent=(tried := replace(intent(Step.SET_DEFAULT, hours_ago=23), target=HAS)),
        ),
        POLICY,
        ReadCustomer(tried),
    ),
    "the platform's default is followed": (
        there(
            card(clone(announced_default=True)),
            m := replace(card(clone(connected_payment_method_id="pm_C2")), id="pm_P2"),
            connected_default_id="pm_C1",
            customer=replace(CUSTOMER, default_payment_method_id="pm_P2"),
        ),
        FOLLOWING,
        Write(m, Step.SET_DEFAULT),
    ),
    "nor before it is known what somebody chose for a customer that was adopted": (
        there(
            card(clone()),
            connected_default_known=False,
            customer=replace(CUSTOMER, default_payment_method_id="pm_P1"),
        ),
        FOLLOWING,
        Rest(),
    ),
    "where it cannot be followed, a replaced default still is": (
        there(
            m := card(clone()),
            superseded=(OLD,),
            connected_default_id="pm_OLD",
            customer=replace(CUSTOMER, default_payment_method_id="pm_LINK"),
        ),
        FOLLOWING,
        Write(m, Step.SET_DEFAULT),
    ),
    "where the platform has none, a replaced default still is": (
        there(m := card(clone()), superseded=(OLD,), connected_default_id="pm_OLD"),
        FOLLOWING,
        Write(m, Step.SET_DEFAULT),
    ),
    "a default that is detached is nobody's choice": (
        there(
            card(clone(state=ABSENT, reason=Reason.DETACHED_ON_PLATFORM, detached=True), detached=True),
            m := replace(card(clone(connected_payment_method_id="pm_C2")), id="pm_P2"),
            connected_default_id="pm_C1",
            customer=replace(CUSTOMER, default_payment_method_id="pm_P2"),
        ),
        FOLLOWING,
        Write(m, Step.SET_DEFAULT),
    ),
    "it is not followed over somebody else's choice": (
        there(
            card(clone()),
            connected_default_id="pm_THEIRS",
            customer=replace(CUSTOMER, default_payment_method_id="pm_P1"),
        ),
        FOLLOWING,
        Rest(),
    ),
    "the record says default no more": (
        there(m := card(clone(announced_default=True)), connected_default_id="pm_THEIRS"),
        POLICY,
        Announce(m, READY, None),
    ),
    # Reuse.
    "the same card is there already": (
        there(m := card(reusable=Connected("pm_SAVED", 1, WAS))),
        POLICY,
        Reuse(m),
    ),
    "it is there, and not to be reused": (
        there(m := card(reusable=Connected("pm_SAVED", 1, WAS))),
        policy(reuse_existing=False),
        Write(m, Step.CLONE),
    ),
    "a reused one is not ours to update": (
        there(m := changed(RENEWED, ours=False)),
        POLICY,
        Write(m, Step.CLONE),
    ),
    "a reused one is not ours to detach": (
        there(m := card(clone(ours=False, reason=Reason.REUSED), detached=True, confirmed=True)),
        POLICY,
        Announce(m, ABSENT, Reason.DETACHED_ON_PLATFORM),
    ),
    # Ends: the platform's wish is read once, then it is detached.
    "detached on the platform: read first": (
        there(card(clone(), detached=True)),
        POLICY,
        Confirm(Kind.PAYMENT_METHOD, "pm_P1"),
    ),
    "detached on the platform, read": (
        there(m := card(clone(), detached=True, confirmed=True)),
        POLICY,
        Write(m, Step.DETACH, "pm_C1"),
    ),
    "customer deleted: read first": (
        there(card(clone(), confirmed=True), customer=DELETED),
        POLICY,
        Confirm(Kind.CUSTOMER, "cus_P"),
    ),
    "customer deleted, read": (
        there(m := card(clone()), customer=replace(DELETED, confirmed=True)),
        POLICY,
        Write(m, Step.DETACH, "pm_C1"),
    ),
    "share revoked: read first": (
        there(card(clone()), wanted=False),
        POLICY,
        Confirm(Kind.CUSTOMER, "cus_P"),
    ),
    "share revoked, read": (
        there(m := card(clone()), wanted=False, customer=CONFIRMED),
        POLICY,
        Write(m, Step.DETACH, "pm_C1"),
    ),
    "opted out after it was cloned, read": (
        there(m := card(clone(), opted_out=True, confirmed=True)),
        POLICY,
        Write(m, Step.DETACH, "pm_C1"),
    ),
    "clones are to be kept": (there(card(clone(), detached=True, confirmed=True)), KEEPING, Rest()),
    "one that is kept is the connected default no more": (
        there(m := card(clone(announced_default=True), detached=True, confirmed=True)),
        KEEPING,
        Announce(m, State.READY, None),
    ),
    "superseded ones go with the original": (
        there(
            m := card(
                clone(detached=True, state=ABSENT, reason=Reason.DETACHED_ON_PLATFORM),
                detached=True,
                confirmed=True,
            ),
            superseded=(OLD,),
        ),
        POLICY,
        Write(m, Step.DETACH, "pm_OLD"),
    ),
    "the brake holds it back": (
        there(card(clone(), detached=True, confirmed=True), braked=True),
        POLICY,
        Rest(braked=True),
    ),
    "making goes on under the brake": (
        there(
            card(clone(), detached=True, confirmed=True),
            m := replace(card(), id="pm_P2"),
            braked=True,
        ),
        POLICY,
        Write(m, Step.CLONE),
    ),
    "making comes before breaking": (
        there(card(clone(), detached=True, confirmed=True), m := replace(card(), id="pm_P2")),
        POLICY,
        Write(m, Step.CLONE),
    ),
    "nothing is detached on an account that is away": (
        there(m := card(clone(), detached=True, confirmed=True), on=AWAY),
        POLICY,
        Announce(m, State.BLOCKED, Reason.ACCOUNT_DISCONNECTED),
    ),
    "it is detached where the capability is gone": (
        there(m := card(clone(), detached=True, confirmed=True), on=NO_CARDS),
        POLICY,
        Write(m, Step.DETACH, "pm_C1"),
    ),
    "a detach that failed is left to a person": (
        there(card(clone(state=State.FAILED, reason=Reason.REFUSED), detached=True, confirmed=True)),
        POLICY,
        Rest(),
    ),
    # Ends that others bring about.
    "detached by others": (
        there(m := card(clone(detached_by_others=True))),
        POLICY,
        Announce(m, ABSENT, Reason.DETACHED_ON_ACCOUNT),
    ),
    "it stays so": (
        there(card(clone(detached_by_others=True, state=ABSENT, reason=Reason.DETACHED_ON_ACCOUNT))),
        POLICY,
        Rest(),
    ),
    "until it is taken up": (
        there(
            m := card(
                clone(detached_by_others=True, state=ABSENT, reason=Reason.DETACHED_ON_ACCOUNT, taken_up=True)
            )
        ),
        POLICY,
        Restart(m),
    ),
    "the connected customer was deleted": (
        replace(share(m := card(clone())), connected_customer_deleted=True),
        POLICY,
        Announce(m, ABSENT, Reason.CONNECTED_CUSTOMER_DELETED),
    ),
    "it was granted anew before that was said": (share(m := card(clone())), POLICY, Restart(m)),
    "and no later card is made there": (
        replace(share(m := card()), connected_customer_deleted=True),
        POLICY,
        Announce(m, ABSENT, Reason.CONNECTED_CUSTOMER_DELETED),
    ),
    "until it is taken up, with a new customer": (
        share(m := card(clone(state=ABSENT, reason=Reason.CONNECTED_CUSTOMER_DELETED, taken_up=True))),
        POLICY,
        Restart(m),
    ),
    # Returns.
    "wanted again after we detached it": (
        there(m := card(clone(detached=True, state=ABSENT, reason=Reason.SHARE_REVOKED))),
        POLICY,
        Restart(m),
    ),
    "a reused one, wanted again": (
        there(m := card(clone(ours=False, state=ABSENT, reason=Reason.SHARE_REVOKED))),
        POLICY,
        Announce(m, READY, Reason.REUSED),
    ),
    "a failed one whose card was renewed": (
        share(
            m := card(replace(planned(State.FAILED, Reason.CARD_DECLINED), failed_generation=1), generation=2)
        ),
        POLICY,
        Restart(m),
    ),
    "a failed one that is taken up keeps its clone": (
        share(m := card(replace(cloned(State.FAILED, Reason.CARD_DECLINED), taken_up=True))),
        POLICY,
        Restart(m, keep=True),
    ),
    "a failed one that nobody took up": (
        share(card(replace(cloned(State.FAILED, Reason.CARD_DECLINED), failed_generation=1))),
        POLICY,
        Rest(),
    ),
    # Waiting.
    "a decline is tried again in its time": (
        share(card(replace(cloned(), declines=1, retry_at=NOW + HOUR))),
        POLICY,
        Rest(NOW + HOUR),
    ),
    "its time has come to be tried again": (
        share(m := card(replace(cloned(), declines=1, retry_at=NOW))),
        POLICY,
        Write(m, Step.CREATE_CUSTOMER),
    ),
    "a renewed card does not wait for the old one's time": (
        share(m := card(replace(cloned(), declines=1, retry_at=NOW + HOUR), generation=2)),
        POLICY,
        Write(m, Step.CLONE),
    ),
    "a card waits for its turn": (
        share(card(replace(planned(), paced_until=NOW + HOUR))),
        POLICY,
        Rest(NOW + HOUR),
    ),
    "the earliest of several times": (
        there(
            card(replace(planned(), paced_until=NOW + 2 * HOUR)),
            replace(card(clone()), id="pm_P2"),
            superseded=(replace(OLD_LATER, platform_payment_method_id="pm_P2"),),
        ),
        DROPPING,
        Rest(NOW + HOUR),
    ),
    # What cannot be cloned.
    "a blocked bank account": (
        share(
            m := replace(method(kind="us_bank_account"), blocked=True),
        ),
        POLICY,
        Announce(m, State.BLOCKED, Reason.BANK_ACCOUNT_BLOCKED),
    ),
    "owned by an account instead of a customer": (
        share(m := card(owner_supported=False)),
        POLICY,
        Announce(m, ABSENT, Reason.OWNER_NOT_SUPPORTED),
    ),
}


@pytest.mark.parametrize(("facts", "rules", "action"), _ROWS.values(), ids=_ROWS.keys())
def test_rule(facts: ShareFacts, rules: Policy, action: Action) -> None:
    assert next_action(facts, rules, NOW) == action
