"""Facts of shares, made short: a test names only what it is about."""

from datetime import UTC, datetime, timedelta

from consumers.clone.facts import (
    AccountFacts,
    CloneFacts,
    CustomerFacts,
    Intent,
    MethodFacts,
    RecoveryPoint,
    ShareFacts,
    Step,
)
from consumers.clone.policy import Policy
from schemas.records import Reason, State

NOW = datetime(2026, 1, 10, tzinfo=UTC)
POLICY = Policy(retry_for=timedelta(hours=72))
CUSTOMER = CustomerFacts(id="cus_P", deleted=False, profile={"name": "Jenny"})
DELETED = CustomerFacts(id="cus_P", deleted=True, profile={})


def account(
    *, known: bool = True, refused: bool = False, disconnected: bool = False, **capabilities: str
) -> AccountFacts:
    return AccountFacts("acct_1", known, capabilities, refused=refused, disconnected=disconnected)


ACTIVE = account(card_payments="active", us_bank_account_ach_payments="active")
UNKNOWN = account(known=False)


def planned(state: State = State.PENDING, reason: Reason | None = None, *, generation: int = 1) -> CloneFacts:
    return CloneFacts(RecoveryPoint.PLANNED, None, state, reason, generation)


def cloned(state: State = State.PENDING, reason: Reason | None = None, *, name: str = "1") -> CloneFacts:
    return CloneFacts(RecoveryPoint.CLONED, f"pm_C{name}", state, reason)


def attached(state: State = State.READY, reason: Reason | None = None, *, name: str = "1") -> CloneFacts:
    return CloneFacts(RecoveryPoint.ATTACHED, f"pm_C{name}", state, reason)


def method(  # what a method may be told to be
    clone: CloneFacts | None = None,
    *,
    name: str = "1",
    kind: str = "card",
    detached: bool = False,
    opted_out: bool = False,
) -> MethodFacts:
    return MethodFacts(
        id=f"pm_P{name}", type=kind, generation=1, opted_out=opted_out, detached=detached, clone=clone
    )


def intent(step: Step, *, name: str = "1", hours_ago: float = 0.1, stored_error: bool = False) -> Intent:
    about = "cus_P" if step is Step.CREATE_CUSTOMER else f"pm_P{name}.1"
    return Intent(
        platform_payment_method_id=f"pm_P{name}",
        step=step,
        object=about,
        epoch=1,
        idempotency_key=f"offshoot:i:acct_1:{about}:{step}:1",
        parameters={},
        first_tried_at=NOW - timedelta(hours=hours_ago),
        stored_error=stored_error,
    )


def share(
    *methods: MethodFacts,
    on: AccountFacts = ACTIVE,
    wanted: bool = True,
    of: CustomerFacts = CUSTOMER,
    connected_customer: str | None = None,
    open_intent: Intent | None = None,
    failing_for: timedelta | None = None,
) -> ShareFacts:
    return ShareFacts(
        id=1,
        mark=1,
        wanted=wanted,
        account=on,
        customer=of,
        connected_customer_id=connected_customer,
        methods=methods,
        open_intent=open_intent,
        attempts=0 if failing_for is None else 5,
        failing_since=None if failing_for is None else NOW - failing_for,
    )
