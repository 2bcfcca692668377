"""The decision about a command, as a table; and what a refusal of Stripe's means for it."""

from dataclasses import replace
from datetime import datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from consumers.commands import verdicts
from consumers.commands.facts import CommandFacts, CommandIntent, Looked, Missing, Step, idempotency_key
from consumers.commands.plan import (
    Abandon,
    Action,
    AskAccount,
    Complete,
    Look,
    LookUpAccount,
    ReadBack,
    Reject,
    Repeat,
    Write,
    next_action,
)
from consumers.stripe_errors import RefusedError
from schemas.commands import CloneOnce, CommandName, RejectReason, SaveDirect
from tests.unit.consumers.shares import ACTIVE, NOW, UNKNOWN, account

RETRY_FOR = timedelta(hours=72)
NAME = CommandName("/shop", "7", "acct_1:pm_P")
ONCE = CommandFacts(1, NAME, CloneOnce(payment_method="pm_P", account="acct_1"), ACTIVE)
CONSUME = replace(ONCE, order=CloneOnce(payment_method="pm_P", account="acct_1", consume=True))
OF_CUSTOMER = replace(ONCE, order=CloneOnce(payment_method="pm_P", account="acct_1", customer="cus_P"))
SAVE = CommandFacts(1, NAME, SaveDirect(account="acct_1", customer="cus_C", payment_method="pm_C"), ACTIVE)
TOKEN = replace(SAVE, order=SaveDirect(account="acct_1", customer="cus_C", token="tok_1"))
MANDATE = {"customer_acceptance": {"type": "offline"}}
WITH_MANDATE = replace(
    SAVE,
    order=SaveDirect(account="acct_1", customer="cus_C", payment_method="pm_C", mandate_data=MANDATE),
)
CARD, LOOSE = Looked("card", "cus_P"), Looked("card", None)
BANK = Looked("us_bank_account", "cus_P")
GONE = Missing("req_1")


def _intent(
    step: Step, *, hours_ago: float = 0.1, stored: bool = False, consumes: bool = False
) -> CommandIntent:
    return CommandIntent(
        step,
        1,
        "key",
        {},
        NOW - timedelta(hours=hours_ago),
        target=None if step in (Step.ONCE, Step.DIRECT_CREATE) else "pm_C",
        consumes="pm_P" if consumes else None,
        stored_error=stored,
    )


def _next(command: CommandFacts, looked: Looked | Missing | None = None, now: datetime = NOW) -> Action:
    return next_action(command, looked, RETRY_FOR, now)


def _reason(action: Action) -> str | None:
    return action.reason.value if isinstance(action, Reject) else None


CLONED = Write(Step.ONCE, {"customer": "cus_P", "payment_method": "pm_P"})


@pytest.mark.parametrize(
    ("command", "looked", "action"),
    [
        (ONCE, None, Look("pm_P")),
        (ONCE, CARD, CLONED),
        (CONSUME, CARD, CLONED),
        (OF_CUSTOMER, CARD, CLONED),
        (CONSUME, LOOSE, Write(Step.ONCE, {"payment_method": "pm_P"}, consumes="pm_P")),
        (replace(ONCE, account=UNKNOWN), CARD, LookUpAccount()),
        (SAVE, None, Look("pm_C")),
        (SAVE, LOOSE, Write(Step.DIRECT_ATTACH, {"customer": "cus_C"}, target="pm_C")),
        (SAVE, Looked("card", "cus_C"), Complete("pm_C")),
        (SAVE, Looked("link", None), Write(Step.DIRECT_ATTACH, {"customer": "cus_C"}, target="pm_C")),
        (TOKEN, None, Write(Step.DIRECT_CREATE, {"type": "card", "card": {"token": "tok_1"}})),
        (
            replace(TOKEN, made="pm_T"),
            None,
            Write(Step.DIRECT_ATTACH, {"customer": "cus_C"}, target="pm_T"),
        ),
        (replace(SAVE, account=UNKNOWN), LOOSE, LookUpAccount()),
        (replace(SAVE, account=UNKNOWN), None, LookUpAccount()),
        (replace(TOKEN, account=UNKNOWN), None, LookUpAccount()),
        (replace(ONCE, account=account(card_payments="inactive")), CARD, AskAccount()),
        (replace(TOKEN, account=account(card_payments="inactive")), None, AskAccount()),
        (
            WITH_MANDATE,
            Looked("us_bank_account", None),
            Write(
                Step.DIRECT_CONFIRM,
                {
                    "customer": "cus_C",
                    "payment_method": "pm_C",
                    "allowed_payment_method_types": ["us_bank_account"],
                    "usage": "off_session",
                    "confirm": True,
                    "mandate_data": MANDATE,
                },
                target="pm_C",
            ),
        ),
    ],
)
def test_what_is_done_next(command: CommandFacts, looked: Looked | Missing | None, action: Action) -> None:
    assert _next(command, looked) == action


INCAPABLE = account(card_payments="inactive")


def _asked(command: CommandFacts, card_payments: str = "inactive") -> CommandFacts:
    return replace(command, account=account(card_payments=card_payments), account_asked=True)


@pytest.mark.parametrize(
    ("command", "looked", "reason"),
    [
        (ONCE, LOOSE, "unattached_original"),
        (CONSUME, replace(LOOSE, given_away=True), "original_consumed"),
        (ONCE, GONE, "not_found"),
        (SAVE, GONE, "not_found"),
        (OF_CUSTOMER, replace(CARD, customer="cus_Q"), "refused"),
        (ONCE, Looked("link", "cus_P"), "refused"),
        (ONCE, replace(CARD, owner_supported=False), "refused"),
        (ONCE, replace(BANK, blocked=True), "refused"),
        (SAVE, Looked("card", "cus_D"), "refused"),
        (_asked(ONCE), CARD, "capability_inactive"),
        (_asked(ONCE), LOOSE, "unattached_original"),
        (
            _asked(ONCE, card_payments="active"),
            BANK,
            "capability_inactive",
        ),
        (_asked(SAVE), LOOSE, "capability_inactive"),
        (_asked(TOKEN), None, "capability_inactive"),
        (replace(ONCE, account=account(known=False, refused=True)), None, "account_unknown"),
        (replace(ONCE, account=account(disconnected=True)), None, "account_disconnected"),
        (replace(ONCE, expires_at=NOW), CARD, "expired"),
        (replace(ONCE, expires_at=NOW + timedelta(seconds=1)), CARD, None),
        (replace(ONCE, failing_since=NOW - RETRY_FOR - timedelta(seconds=1)), CARD, "retries_exhausted"),
        (replace(ONCE, failing_since=NOW - RETRY_FOR), CARD, None),
    ],
)
def test_what_is_rejected(command: CommandFacts, looked: Looked | Missing | None, reason: str | None) -> None:
    assert _reason(_next(command, looked)) == reason


LOST = _intent(Step.ONCE)


@pytest.mark.parametrize(
    ("intent", "action"),
    [
        (LOST, Repeat(LOST)),
        (_intent(Step.ONCE, hours_ago=22.9), Repeat(_intent(Step.ONCE, hours_ago=22.9))),
        (_intent(Step.ONCE, hours_ago=23), Abandon()),
        (_intent(Step.ONCE, stored=True), Abandon()),
        (_intent(Step.DIRECT_CREATE, stored=True), Abandon()),
        (_intent(Step.DIRECT_ATTACH, hours_ago=23), ReadBack("pm_C")),
        (_intent(Step.DIRECT_ATTACH, stored=True), ReadBack("pm_C")),
        (_intent(Step.DIRECT_CONFIRM, stored=True), ReadBack("pm_C")),
    ],
)
def test_a_write_whose_outcome_is_open_comes_first(intent: CommandIntent, action: Action) -> None:
    """Also past the command's end: whether it was done is found out."""
    command = replace(ONCE, open_intent=intent, expires_at=NOW - timedelta(hours=1))

    assert _next(command, CARD) == action


@pytest.mark.parametrize("lost", [{"stored": True}, {"hours_ago": 23}])
def test_what_may_have_used_up_its_original_is_never_tried_under_another_key(
    lost: dict[str, float],
) -> None:
    intent = _intent(Step.ONCE, consumes=True, **lost)  # type: ignore[arg-type]

    assert _reason(_next(replace(CONSUME, open_intent=intent), LOOSE)) == "original_consumed"


def test_no_call_is_made_to_an_account_that_is_closed_whatever_is_open() -> None:
    command = replace(ONCE, open_intent=LOST, account=account(disconnected=True))

    assert _reason(_next(command)) == "account_disconnected"


def test_the_key_names_installation_account_command_step_and_epoch() -> None:
    key = idempotency_key("offshoot:i:", "acct_1", NAME, Step.DIRECT_ATTACH, 2)

    assert key == f"offshoot:i:acct_1:{NAME.digest}:direct_attach:2"
    assert ":" not in NAME.digest


_LOOKED = st.one_of(
    st.none(),
    st.just(GONE),
    st.builds(
        Looked,
        st.sampled_from(["card", "us_bank_account", "link"]),
        st.sampled_from([None, "cus_P", "cus_C"]),
        st.booleans(),
        st.booleans(),
        st.booleans(),
    ),
)
_COMMANDS = st.builds(
    replace,
    st.sampled_from([ONCE, CONSUME, OF_CUSTOMER, SAVE, TOKEN, WITH_MANDATE]),
    account=st.sampled_from([ACTIVE, UNKNOWN, INCAPABLE, account(disconnected=True)]),
    expires_at=st.sampled_from([None, NOW, NOW + timedelta(days=1)]),
    made=st.sampled_from([None, "pm_T"]),
    failing_since=st.sampled_from([None, NOW, NOW - timedelta(days=9)]),
    open_intent=st.none()
    | st.builds(
        _intent,
        st.sampled_from(Step),
        hours_ago=st.sampled_from([0, 24]),
        stored=st.booleans(),
        consumes=st.booleans(),
    ),
)


@given(_COMMANDS, _LOOKED, st.timedeltas(timedelta(), timedelta(days=30)))
def test_there_is_an_answer_for_every_command(
    command: CommandFacts, looked: Looked | Missing | None, later: timedelta
) -> None:
    """Total; no write while the outcome of another is open, and none through a closed gate."""
    action = _next(command, looked, NOW + later)

    assert action == _next(command, looked, NOW + later)
    if isinstance(action, Write):
        assert command.open_intent is None
        assert not command.account.disconnected
        assert looked is not GONE or command.made is not None or command.order == TOKEN.order
    if isinstance(action, Repeat):
        assert not action.intent.stored_error


def _refused(status: int = 400, **said: object) -> RefusedError:
    fields: dict[str, object] = {"code": None, "decline_code": None, "consumed": False, **said}
    return RefusedError("x", "req_1", status=status, **fields)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("refused", "reason", "decline_code"),
    [
        (_refused(402, code="card_declined", decline_code="lost_card"), "card_declined", "lost_card"),
        (_refused(402, code="expired_card"), "card_declined", None),
        (_refused(404, code="resource_missing"), "not_found", None),
        (_refused(code="resource_missing", param="customer"), "not_found", None),
        (_refused(code="token_already_used"), "original_consumed", None),
        (_refused(consumed=True), "original_consumed", None),
        (_refused(code="customer_max_payment_methods"), "refused", None),
        (_refused(), "refused", None),
    ],
)
def test_what_a_refusal_means(refused: RefusedError, reason: str, decline_code: str | None) -> None:
    reject = verdicts.of(refused)

    assert (reject.reason, reject.decline_code, reject.stripe_request_id) == (reason, decline_code, "req_1")
    assert reject.reason in RejectReason
