"""The decision, rule by rule as a table of facts and the action they call for; and that it always ends."""

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Final, assert_never

import pytest
from hypothesis import given
from hypothesis import strategies as st

from consumers.clone.actions import (
    Abandon,
    Action,
    Announce,
    CatchUp,
    Confirm,
    LookUpAccount,
    ReadClone,
    ReadCustomer,
    Repeat,
    Rest,
    Restart,
    Reuse,
    Write,
)
from consumers.clone.facts import (
    AccountFacts,
    CloneFacts,
    Connected,
    Intent,
    MethodFacts,
    RecoveryPoint,
    ShareFacts,
    Step,
)
from consumers.clone.gates import CAPABILITIES, why_absent
from consumers.clone.plan import next_action
from consumers.projection.seen import Kind
from schemas.records import REASONS, Reason, State
from tests.unit.consumers.shares import (
    ACTIVE,
    CUSTOMER,
    DELETED,
    NOW,
    POLICY,
    UNKNOWN,
    account,
    attached,
    cloned,
    intent,
    method,
    planned,
    share,
)

CARD: Final = method()
BANK: Final = method(kind="us_bank_account")
ATTACHED: Final = method(attached())
SECOND: Final = method(name="2")
CLONED: Final = method(cloned())
BLOCKED: Final = State.BLOCKED
ABSENT: Final = State.ABSENT
CAPABILITY: Final = Reason.CAPABILITY_INACTIVE
HAS_CUSTOMER: Final = "cus_C"
LONG: Final = timedelta(hours=73)

_ROWS: Final[dict[str, tuple[ShareFacts, Action]]] = {
    # Gates, for each type.
    "nothing to share": (share(), Rest()),
    "card, card_payments active": (share(CARD, on=account(card_payments="active")), Write(CARD, Step.CLONE)),
    "card, legacy_payments stands in": (
        share(CARD, on=account(legacy_payments="active")),
        Write(CARD, Step.CLONE),
    ),
    "card, card_payments inactive": (
        share(CARD, on=account(card_payments="inactive")),
        Announce(CARD, BLOCKED, CAPABILITY),
    ),
    "card, card_payments pending": (
        share(CARD, on=account(card_payments="pending")),
        Announce(CARD, BLOCKED, CAPABILITY),
    ),
    "card, never asked for": (share(CARD, on=account()), Announce(CARD, BLOCKED, CAPABILITY)),
    "card, only ACH active": (
        share(CARD, on=account(us_bank_account_ach_payments="active")),
        Announce(CARD, BLOCKED, CAPABILITY),
    ),
    "bank account, ACH active": (
        share(BANK, on=account(us_bank_account_ach_payments="active")),
        Write(BANK, Step.CLONE),
    ),
    "bank account, ACH by its v2 name": (
        share(BANK, on=account(ach_debit_payments="active")),
        Write(BANK, Step.CLONE),
    ),
    "bank account, only cards active": (
        share(BANK, on=account(card_payments="active", legacy_payments="active")),
        Announce(BANK, BLOCKED, CAPABILITY),
    ),
    "blocked already": (share(method(planned(BLOCKED, CAPABILITY)), on=account()), Rest()),
    "blocked, now active": (
        share(blocked := method(planned(BLOCKED, CAPABILITY))),
        Write(blocked, Step.CLONE),
    ),
    "blocked with a clone made, now active": (
        share(blocked_clone := method(cloned(BLOCKED, CAPABILITY))),
        Write(blocked_clone, Step.CREATE_CUSTOMER),
    ),
    "attached, then the capability goes": (
        share(ATTACHED, on=account(card_payments="inactive"), connected_customer=HAS_CUSTOMER),
        Announce(ATTACHED, BLOCKED, CAPABILITY),
    ),
    "attached, and the capability comes back": (
        share(back := method(attached(BLOCKED, CAPABILITY)), connected_customer=HAS_CUSTOMER),
        Announce(back, State.READY, None),
    ),
    "one type blocked holds up no other": (
        share(
            bank := method(planned(BLOCKED, CAPABILITY), name="2", kind="us_bank_account"),
            CARD,
            on=account(card_payments="active"),
        ),
        Write(CARD, Step.CLONE),
    ),
    # Customers.
    "a customer never seen is read before one is made of it": (
        share(CARD, of=replace(CUSTOMER, known=False, profile={})),
        Confirm(Kind.CUSTOMER, "cus_P"),
    ),
    "it was looked for, and Stripe does not know it": (
        share(CARD, of=replace(CUSTOMER, known=False, confirmed=True, profile={})),
        Write(CARD, Step.CLONE),
    ),
    "never seen, and its connected customer is there": (
        share(CARD, of=replace(CUSTOMER, known=False), connected_customer=HAS_CUSTOMER),
        Write(CARD, Step.CLONE),
    ),
    # Accounts.
    "account never seen": (share(CARD, on=UNKNOWN), LookUpAccount()),
    "account never seen whole, but the one capability was": (
        share(CARD, on=account(known=False, card_payments="active")),
        Write(CARD, Step.CLONE),
    ),
    "account never seen whole, the one capability inactive": (
        share(CARD, on=account(known=False, card_payments="inactive")),
        LookUpAccount(),
    ),
    "account never seen, nothing to clone there": (
        share(method(kind="link", clone=planned(ABSENT, Reason.TYPE_NOT_CLONEABLE)), on=UNKNOWN),
        Rest(),
    ),
    "account refused": (
        share(CARD, on=account(known=False, refused=True)),
        Announce(CARD, BLOCKED, Reason.ACCOUNT_UNKNOWN),
    ),
    "account disconnected": (
        share(CARD, on=replace(ACTIVE, disconnected=True)),
        Announce(CARD, BLOCKED, Reason.ACCOUNT_DISCONNECTED),
    ),
    "account disconnected, attached": (
        share(ATTACHED, on=replace(ACTIVE, disconnected=True), connected_customer=HAS_CUSTOMER),
        Announce(ATTACHED, BLOCKED, Reason.ACCOUNT_DISCONNECTED),
    ),
    "account disconnected, a write open": (
        share(
            method(planned(BLOCKED, Reason.ACCOUNT_DISCONNECTED)),
            on=replace(ACTIVE, disconnected=True),
            open_intent=intent(Step.CLONE),
        ),
        Rest(),
    ),
    "account connected again: what is there only Stripe knows": (
        share(
            away := method(attached(BLOCKED, Reason.ACCOUNT_DISCONNECTED)), connected_customer=HAS_CUSTOMER
        ),
        ReadClone(away, "pm_C1", None),
    ),
    # The steps.
    "the first clone makes the customer": (share(CLONED), Write(CLONED, Step.CREATE_CUSTOMER)),
    "a later one is attached": (
        share(CLONED, connected_customer=HAS_CUSTOMER),
        Write(CLONED, Step.ATTACH),
    ),
    "one after the other": (share(CLONED, SECOND), Write(CLONED, Step.CREATE_CUSTOMER)),
    "the second once the first is ready": (
        share(ATTACHED, SECOND, connected_customer=HAS_CUSTOMER),
        Write(SECOND, Step.CLONE),
    ),
    "all ready": (
        share(ATTACHED, method(attached(name="2"), name="2"), connected_customer=HAS_CUSTOMER),
        Rest(),
    ),
    "attached, not yet said": (
        share(silent := method(attached(State.PENDING)), connected_customer=HAS_CUSTOMER),
        Announce(silent, State.READY, None),
    ),
    # Not to be there.
    "type not cloneable": (
        share(link := method(kind="link")),
        Announce(link, ABSENT, Reason.TYPE_NOT_CLONEABLE),
    ),
    "type not cloneable, on an account that is away": (
        share(link, on=replace(ACTIVE, disconnected=True)),
        Announce(link, ABSENT, Reason.TYPE_NOT_CLONEABLE),
    ),
    "opted out": (share(out := method(opted_out=True)), Announce(out, ABSENT, Reason.OPTED_OUT)),
    "opted out after the clone was made": (
        share(out_late := method(cloned(), opted_out=True)),
        Announce(out_late, ABSENT, Reason.OPTED_OUT),
    ),
    "opted out no more": (
        share(in_again := method(planned(ABSENT, Reason.OPTED_OUT))),
        Write(in_again, Step.CLONE),
    ),
    "detached before anything was made: nothing to say": (share(method(detached=True)), Rest()),
    "detached, a row there": (
        share(gone := method(planned(), detached=True)),
        Announce(gone, ABSENT, Reason.DETACHED_ON_PLATFORM),
    ),
    "detached with the clone made, not attached": (
        share(gone_clone := method(cloned(), detached=True)),
        Announce(gone_clone, ABSENT, Reason.DETACHED_ON_PLATFORM),
    ),
    "detached and said so": (
        share(method(planned(ABSENT, Reason.DETACHED_ON_PLATFORM), detached=True)),
        Rest(),
    ),
    "customer deleted before anything was made": (share(CARD, of=DELETED), Rest()),
    "customer deleted, a row there": (
        share(planned_card := method(planned()), of=DELETED),
        Announce(planned_card, ABSENT, Reason.CUSTOMER_DELETED),
    ),
    "share revoked before anything was made": (share(CARD, wanted=False), Rest()),
    "share revoked while blocked": (
        share(blocked, on=account(), wanted=False),
        Announce(blocked, ABSENT, Reason.SHARE_REVOKED),
    ),
    "share granted again": (
        share(granted := method(planned(ABSENT, Reason.SHARE_REVOKED))),
        Write(granted, Step.CLONE),
    ),
    "the customer's end says more than the method's": (
        share(both := method(planned(), detached=True), of=DELETED, wanted=False),
        Announce(both, ABSENT, Reason.CUSTOMER_DELETED),
    ),
    # Writes whose outcome is not known.
    "open clone call, repeated": (
        share(CARD_PLANNED := method(planned()), open_intent=intent(Step.CLONE)),
        Repeat(CARD_PLANNED, intent(Step.CLONE)),
    ),
    "open just under 23 h, repeated": (
        share(CARD_PLANNED, open_intent=intent(Step.CLONE, hours_ago=22.99)),
        Repeat(CARD_PLANNED, intent(Step.CLONE, hours_ago=22.99)),
    ),
    "clone call open past 23 h": (
        share(CARD_PLANNED, open_intent=intent(Step.CLONE, hours_ago=23)),
        Abandon(intent(Step.CLONE, hours_ago=23)),
    ),
    "clone call, Stripe keeps a 500": (
        share(CARD_PLANNED, open_intent=intent(Step.CLONE, stored_error=True)),
        Abandon(intent(Step.CLONE, stored_error=True)),
    ),
    "open customer call, repeated": (
        share(CLONED, open_intent=intent(Step.CREATE_CUSTOMER)),
        Repeat(CLONED, intent(Step.CREATE_CUSTOMER)),
    ),
    "customer call open past 23 h: the clone tells": (
        share(CLONED, open_intent=intent(Step.CREATE_CUSTOMER, hours_ago=23)),
        ReadClone(CLONED, "pm_C1", intent(Step.CREATE_CUSTOMER, hours_ago=23)),
    ),
    "customer call, Stripe keeps a 500": (
        share(CLONED, open_intent=intent(Step.CREATE_CUSTOMER, stored_error=True)),
        ReadClone(CLONED, "pm_C1", intent(Step.CREATE_CUSTOMER, stored_error=True)),
    ),
    "open attach, repeated": (
        share(CLONED, connected_customer=HAS_CUSTOMER, open_intent=intent(Step.ATTACH)),
        Repeat(CLONED, intent(Step.ATTACH)),
    ),
    "attach open past 23 h: the clone tells": (
        share(CLONED, connected_customer=HAS_CUSTOMER, open_intent=intent(Step.ATTACH, hours_ago=30)),
        ReadClone(CLONED, "pm_C1", intent(Step.ATTACH, hours_ago=30)),
    ),
    "attach, Stripe keeps a 500": (
        share(CLONED, connected_customer=HAS_CUSTOMER, open_intent=intent(Step.ATTACH, stored_error=True)),
        ReadClone(CLONED, "pm_C1", intent(Step.ATTACH, stored_error=True)),
    ),
    "an open write is settled before anything else, whatever the order": (
        share(SECOND, CLONED, open_intent=intent(Step.CREATE_CUSTOMER)),
        Repeat(CLONED, intent(Step.CREATE_CUSTOMER)),
    ),
    "an open write is settled before anything is said of another": (
        share(method(name="2", kind="link"), CLONED, open_intent=intent(Step.CREATE_CUSTOMER)),
        Repeat(CLONED, intent(Step.CREATE_CUSTOMER)),
    ),
    "an open write is settled even if its method was detached meanwhile": (
        share(gone, open_intent=intent(Step.CLONE)),
        Repeat(gone, intent(Step.CLONE)),
    ),
    "an open write is settled even if the share was revoked meanwhile": (
        share(CLONED, wanted=False, open_intent=intent(Step.CREATE_CUSTOMER)),
        Repeat(CLONED, intent(Step.CREATE_CUSTOMER)),
    ),
    "one open write a share: another method waits for it": (
        share(
            method(planned(BLOCKED, CAPABILITY), kind="us_bank_account"),
            SECOND,
            on=account(card_payments="active"),
            open_intent=intent(Step.CLONE),
        ),
        Announce(SECOND, State.PENDING, None),
    ),
    "while a write is open others may still be spoken of": (
        share(
            method(planned(BLOCKED, CAPABILITY), kind="us_bank_account"),
            other_link := method(name="2", kind="link"),
            on=account(card_payments="active"),
            open_intent=intent(Step.CLONE),
        ),
        Announce(other_link, ABSENT, Reason.TYPE_NOT_CLONEABLE),
    ),
    # Failures.
    "transient failures for less than the limit": (
        share(CARD_PLANNED, open_intent=intent(Step.CLONE), failing_for=timedelta(hours=72)),
        Repeat(CARD_PLANNED, intent(Step.CLONE)),
    ),
    "transient failures for too long": (
        share(CARD_PLANNED, open_intent=intent(Step.CLONE), failing_for=LONG),
        Announce(CARD_PLANNED, State.FAILED, Reason.RETRIES_EXHAUSTED),
    ),
    "transient failures for too long, and said so": (
        share(
            method(planned(State.FAILED, Reason.RETRIES_EXHAUSTED)),
            open_intent=intent(Step.CLONE),
            failing_for=LONG,
        ),
        Rest(),
    ),
    "transient failures for too long say nothing of what is attached": (
        share(ATTACHED, connected_customer=HAS_CUSTOMER, failing_for=LONG),
        Rest(),
    ),
    "waiting for the account outlasts the limit": (
        share(blocked, on=account(), failing_for=LONG),
        Rest(),
    ),
    "failed is left alone": (share(method(planned(State.FAILED, Reason.CARD_DECLINED))), Rest()),
    "failed with a clone made is left alone": (
        share(method(cloned(State.FAILED, Reason.REFUSED)), connected_customer=HAS_CUSTOMER),
        Rest(),
    ),
    "failed holds up no other": (
        share(method(planned(State.FAILED, Reason.CARD_DECLINED)), SECOND),
        Write(SECOND, Step.CLONE),
    ),
    "failed and detached": (
        share(failed_gone := method(planned(State.FAILED, Reason.CARD_DECLINED), detached=True)),
        Announce(failed_gone, ABSENT, Reason.DETACHED_ON_PLATFORM),
    ),
    "failed, its write still open: settled, since it holds up the others": (
        share(
            late := method(planned(State.FAILED, Reason.RETRIES_EXHAUSTED)), open_intent=intent(Step.CLONE)
        ),
        Repeat(late, intent(Step.CLONE)),
    ),
    "detached by others stays so": (
        share(method(attached(ABSENT, Reason.DETACHED_ON_ACCOUNT)), connected_customer=HAS_CUSTOMER),
        Rest(),
    ),
}


@pytest.mark.parametrize(("facts", "action"), _ROWS.values(), ids=_ROWS.keys())
def test_what_to_do_next(facts: ShareFacts, action: Action) -> None:
    assert next_action(facts, POLICY, NOW) == action


# Arbitrary facts.

_TYPES: Final = (*CAPABILITIES, "link")
_STATUSES: Final = st.sampled_from(["active", "inactive", "pending"])
_accounts = st.builds(
    AccountFacts,
    id=st.just("acct_1"),
    known=st.booleans(),
    capabilities=st.dictionaries(st.sampled_from([n for ns in CAPABILITIES.values() for n in ns]), _STATUSES),
    refused=st.booleans(),
    disconnected=st.booleans(),
)


@st.composite
def _clones(draw: st.DrawFn, name: str, *, cloneable: bool) -> CloneFacts | None:
    points = list(RecoveryPoint) if cloneable else [RecoveryPoint.PLANNED]
    point = draw(st.sampled_from([None, *points]))
    if point is None:
        return None
    states = [state for state in State if state is not State.READY or point is RecoveryPoint.ATTACHED]
    state = draw(st.sampled_from(states))
    reason = draw(st.sampled_from(sorted(REASONS[state], key=str)))
    return CloneFacts(point, None if point is RecoveryPoint.PLANNED else f"pm_C{name}", state, reason)


@st.composite
def _methods(draw: st.DrawFn, name: str) -> MethodFacts:
    kind = draw(st.sampled_from(_TYPES))
    return MethodFacts(
        id=f"pm_P{name}",
        type=kind,
        generation=draw(st.integers(1, 3)),
        opted_out=draw(st.booleans()),
        detached=draw(st.booleans()),
        clone=draw(_clones(name, cloneable=kind in CAPABILITIES)),
    )


_STEPS_FROM: Final = {
    RecoveryPoint.PLANNED: (Step.CLONE,),
    RecoveryPoint.CLONED: (Step.CREATE_CUSTOMER, Step.ATTACH),
    RecoveryPoint.ATTACHED: (),
}


@st.composite
def _shares(draw: st.DrawFn) -> ShareFacts:
    """Any share that Postgres' constraints and the steps of a worker allow."""
    methods = tuple(draw(_methods(name)) for name in draw(st.sampled_from(["", "1", "12", "123"])))
    any_attached = any(
        m.clone is not None and m.clone.recovery_point is RecoveryPoint.ATTACHED for m in methods
    )
    has_customer = any_attached or draw(st.booleans())
    open_intent = None
    startable = [
        (m, step)
        for m in methods
        if m.type in CAPABILITIES and m.clone is not None
        for step in _STEPS_FROM[m.clone.recovery_point]
        if step is Step.CLONE or (step is Step.ATTACH) == has_customer
    ]
    at, step = draw(st.sampled_from([(None, Step.CLONE), *startable]))
    if at is not None:
        open_intent = intent(
            step,
            name=at.id.removeprefix("pm_P"),
            hours_ago=draw(st.sampled_from([0, 1, 22, 24, 100])),
            stored_error=draw(st.booleans()),
        )
    failing_for = draw(st.sampled_from([None, timedelta(hours=1), LONG]))
    return share(
        *methods,
        on=draw(_accounts),
        wanted=draw(st.booleans()),
        of=draw(st.sampled_from([CUSTOMER, DELETED])),
        connected_customer=HAS_CUSTOMER if has_customer else None,
        open_intent=open_intent,
        failing_for=failing_for,
    )


_ACTIONS: Final = (
    LookUpAccount,
    Confirm,
    Write,
    Repeat,
    Abandon,
    ReadClone,
    ReadCustomer,
    Reuse,
    CatchUp,
    Restart,
    Announce,
    Rest,
)


@given(_shares(), st.timedeltas(timedelta(), timedelta(days=400)))
def test_there_is_an_answer_for_every_share(facts: ShareFacts, later: timedelta) -> None:
    """Total; the same facts give the same answer; what is announced may be said."""
    action = next_action(facts, POLICY, NOW + later)

    assert isinstance(action, _ACTIONS)
    assert next_action(facts, POLICY, NOW + later) == action
    if isinstance(action, Announce):
        assert action.reason in REASONS[action.state]
    if isinstance(action, Write):
        assert facts.open_intent is None


# A world in which the actions have their effects.

_MOST_STEPS: Final = 120
_OUTCOMES: Final = st.sampled_from(
    ["succeeded", "refused", "lost before", "lost after", "kept 500 before", "kept 500 after"]
)


class _World:
    """A share, what is true at Stripe, and a list of what goes wrong; when that is used up all goes well."""

    def __init__(self, facts: ShareFacts, troubles: list[tuple[str, timedelta]], real: AccountFacts) -> None:
        self.facts = facts
        self.now: datetime = NOW
        self._troubles = troubles
        self._real = real
        self._done: dict[str, str] = {}
        self._customer_of: dict[str, str] = {
            m.clone.connected_payment_method_id: HAS_CUSTOMER
            for m in facts.methods
            if m.clone is not None
            and m.clone.connected_payment_method_id is not None
            and m.clone.recovery_point is RecoveryPoint.ATTACHED
            and (m.clone.state, m.clone.reason) != (ABSENT, Reason.DETACHED_ON_ACCOUNT)
        }
        self.customers_made = 0

    def do(self, action: Action) -> None:
        match action:
            case LookUpAccount():
                assert not self.facts.account.known
                self.facts = replace(self.facts, account=self._real)
            case Confirm(kind=kind):
                self._confirm(kind)
            case Write():
                self._begin(action)
            case Repeat(method=at, intent=opened):
                assert opened == self.facts.open_intent
                self._send(at, opened)
            case Abandon(intent=opened):
                assert opened.step is Step.CLONE, "what the others did is looked at"
                self.facts = replace(self.facts, open_intent=None)
            case ReadClone() | ReadCustomer():
                self._look(action)
            case Restart(method=at):
                self._change(at, planned(generation=at.generation))
            case Announce(method=at, state=state, reason=reason):
                assert at.clone is None or (at.clone.state, at.clone.reason) != (state, reason), (
                    "said already"
                )
                self._change(
                    at, replace(at.clone or planned(generation=at.generation), state=state, reason=reason)
                )
            case Rest() | Reuse() | CatchUp():
                raise AssertionError("there is nothing of the kind to do")
            case _:
                assert_never(action)

    def _begin(self, write: Write) -> None:
        at, step = write.method, write.step
        assert self.facts.open_intent is None, "one open write a share"
        assert step is not Step.DETACH or self._is_confirmed(at), "read before it is detached"
        if at.clone is None:
            at = self._change(at, planned(generation=at.generation))
        opened = replace(
            intent(step, name=at.id.removeprefix("pm_P")),
            target=write.detaching or _serving(at),
            generation=at.generation,
            first_tried_at=self.now,
            idempotency_key=f"{at.id}:{step}:{len(self._done)}:{self.now}",
        )
        self.facts = replace(self.facts, open_intent=opened)
        self._send(at, opened)

    def _confirm(self, kind: Kind) -> None:
        if kind is Kind.CUSTOMER:
            self.facts = replace(self.facts, customer=replace(self.facts.customer, confirmed=True))
        methods = tuple(replace(m, confirmed=kind is Kind.PAYMENT_METHOD) for m in self.facts.methods)
        self.facts = replace(self.facts, methods=methods)

    def _is_confirmed(self, at: MethodFacts) -> bool:
        of_customer = self.facts.customer.deleted or not (self.facts.wanted or at.detached)
        return self.facts.customer.confirmed if of_customer else at.confirmed

    def _gate_is_open(self, at: MethodFacts) -> bool:
        on = self.facts.account
        active = {name for name, status in on.capabilities.items() if status == "active"}
        return not on.disconnected and not on.refused and not active.isdisjoint(CAPABILITIES[at.type])

    def _send(self, at: MethodFacts, opened: Intent) -> None:
        assert self._gate_is_open(at) or opened.step is Step.DETACH, "no call through a closed gate"
        outcome, passes = self._troubles.pop() if self._troubles else ("succeeded", timedelta())
        self.now += passes
        key = opened.idempotency_key
        if outcome in {"lost before", "kept 500 before", "refused"} and key not in self._done:
            if outcome == "refused":
                self.facts = replace(self.facts, open_intent=None, failing_since=None)
                self._change(
                    at,
                    replace(
                        at.clone or planned(generation=at.generation),
                        state=State.FAILED,
                        reason=Reason.CARD_DECLINED,
                    ),
                )
                return
        elif key not in self._done:
            self._done[key] = self._effect(at, opened.step)
        if outcome.startswith(("lost", "kept")):
            stored = outcome.startswith("kept") or opened.stored_error
            self.facts = replace(
                self.facts,
                open_intent=replace(opened, stored_error=stored),
                failing_since=self.facts.failing_since or self.now,
            )
            return
        self.facts = replace(self.facts, open_intent=None, failing_since=None)
        if opened.step is Step.DETACH:
            self._record_detached(at)
        elif opened.step is Step.CLONE:
            self._record_cloned(at, self._done[key], opened.generation)
        else:
            self._record_attached(at, self._done[key])

    def _effect(self, at: MethodFacts, step: Step) -> str:
        """What Stripe does; the id of what it made, or of the customer."""
        if step is Step.CLONE:
            return f"{at.id}-clone-{len(self._done)}"
        assert at.clone is not None
        assert at.clone.connected_payment_method_id is not None
        if step is Step.DETACH:
            # Of one that others detached Stripe says so, which is as good.
            self._customer_of.pop(at.clone.connected_payment_method_id, None)
            return ""
        if step is Step.CREATE_CUSTOMER:
            assert self.facts.connected_customer_id is None
            self.customers_made += 1
            customer = f"cus_C{self.customers_made}"
        else:
            customer = self.facts.connected_customer_id or ""
            assert customer, "attached to a customer that is there"
        self._customer_of[_serving(at) or ""] = customer
        return customer

    def _look(self, action: ReadClone | ReadCustomer) -> None:
        match action:
            case ReadClone(method=at, connected_payment_method_id=clone_id, intent=opened):
                self._read(at, clone_id, opened)
            case ReadCustomer(intent=opened):
                assert opened.step is Step.SET_DEFAULT
                assert not self.facts.account.disconnected, "no call to an account that is away"
                self.facts = replace(self.facts, open_intent=None)

    def _read(self, at: MethodFacts, clone_id: str, opened: Intent | None) -> None:
        assert not self.facts.account.disconnected, "no call to an account that is away"
        customer = self._customer_of.get(clone_id)
        if opened is not None:
            self.facts = replace(self.facts, open_intent=None)
        if opened is not None and opened.step is Step.DETACH:
            if customer is None:
                self._record_detached(at)
        elif customer is not None:
            self._record_attached(at, customer)
        elif opened is None:
            assert at.clone is not None
            self._change(at, replace(at.clone, state=ABSENT, reason=Reason.DETACHED_ON_ACCOUNT))

    def _record_attached(self, at: MethodFacts, customer: str) -> None:
        assert at.clone is not None
        self.facts = replace(self.facts, connected_customer_id=self.facts.connected_customer_id or customer)
        now = at.clone.next or Connected(at.clone.connected_payment_method_id or "", at.clone.generation)
        self._change(
            at,
            replace(
                at.clone,
                recovery_point=RecoveryPoint.ATTACHED,
                connected_payment_method_id=now.id,
                generation=now.generation,
                next=None,
                state=State.READY,
                reason=None,
            ),
        )

    def _record_cloned(self, at: MethodFacts, clone_id: str, generation: int) -> None:
        clone = at.clone or planned(generation=at.generation)
        if clone.recovery_point is RecoveryPoint.ATTACHED:
            self._change(at, replace(clone, next=Connected(clone_id, generation)))
            return
        self._change(
            at,
            replace(
                clone,
                recovery_point=RecoveryPoint.CLONED,
                connected_payment_method_id=clone_id,
                generation=generation,
            ),
        )

    def _record_detached(self, at: MethodFacts) -> None:
        assert at.clone is not None
        reason = why_absent(self.facts, at)
        self._change(at, replace(at.clone, detached=True, state=ABSENT, reason=reason))

    def _change(self, at: MethodFacts, clone: CloneFacts) -> MethodFacts:
        changed = replace(at, clone=clone)
        methods = tuple(changed if m.id == at.id else m for m in self.facts.methods)
        self.facts = replace(self.facts, methods=methods)
        return changed


def _serving(at: MethodFacts) -> str | None:
    if at.clone is None:
        return None
    return at.clone.next.id if at.clone.next is not None else at.clone.connected_payment_method_id


def _run_to_rest(world: _World) -> None:
    for _ in range(_MOST_STEPS):
        action = next_action(world.facts, POLICY, world.now)
        if isinstance(action, Rest):
            return
        world.do(action)
    raise AssertionError(f"not at rest after {_MOST_STEPS} steps")


@given(
    _shares(),
    st.lists(st.tuples(_OUTCOMES, st.timedeltas(timedelta(), timedelta(hours=30))), max_size=6),
    st.sampled_from([ACTIVE, account(), account(known=False, refused=True)]),
)
def test_every_share_comes_to_rest(
    facts: ShareFacts, troubles: list[tuple[str, timedelta]], real: AccountFacts
) -> None:
    """Whatever is lost or refused on the way: no call through a closed gate, one open write, one customer."""
    world = _World(facts, troubles, real)

    _run_to_rest(world)

    assert world.customers_made <= 1
    assert world.customers_made == 0 or facts.connected_customer_id is None


@given(
    st.lists(st.sampled_from(["card", "us_bank_account"]), min_size=1, max_size=4),
    st.lists(
        st.tuples(
            _OUTCOMES.filter(lambda outcome: outcome != "refused"),
            st.timedeltas(timedelta(), timedelta(hours=5)),
        ),
        max_size=8,
    ),
)
def test_a_wanted_share_ends_ready(types: list[str], troubles: list[tuple[str, timedelta]]) -> None:
    """With the gate open and no refusal every method ends attached to the one customer, and ready."""
    methods = [method(name=str(index), kind=kind) for index, kind in enumerate(types)]
    world = _World(share(*methods, on=UNKNOWN), troubles, ACTIVE)

    _run_to_rest(world)

    ends = [(m.clone.recovery_point, m.clone.state) for m in world.facts.methods if m.clone is not None]
    assert ends == [(RecoveryPoint.ATTACHED, State.READY)] * len(types)
    assert world.customers_made == 1
    assert world.facts.open_intent is None
