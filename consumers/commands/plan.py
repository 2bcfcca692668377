"""The decision: given what is known of a command, the one thing to do next. Pure and total.

    offshoot.clone.once     look at the original ──once──> completed
    offshoot.direct.save    token ──direct_create──> made ─┬─direct_attach───> completed
                            look at the method ────────────┴─direct_confirm──> completed

A write whose outcome is open comes first. A command does not wait for an account as a share does: who sent it
waits for its result.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from consumers.clone.gates import CAPABILITIES, account_closed, has_capability
from consumers.clone.plan import KEY_GOOD_FOR
from consumers.commands.facts import CommandFacts, CommandIntent, Looked, Missing, Step
from schemas.commands import CloneOnce, RejectReason, SaveDirect
from schemas.records import Reason

_CARD: Final = Looked("card", None)
"""What a card's token becomes."""


@dataclass(frozen=True, slots=True)
class LookUpAccount:
    """Have the account read, since it was never seen whole."""


@dataclass(frozen=True, slots=True)
class AskAccount:
    """Ask the account itself what it can charge: the event that says so may be on its way."""


@dataclass(frozen=True, slots=True)
class Look:
    """Look at the method that the command names, on the platform or on its account."""

    payment_method: str


@dataclass(frozen=True, slots=True)
class Write:
    """Record an intent for this step and send it. `consumes` is the original that it makes unusable."""

    step: Step
    parameters: Mapping[str, Any]
    target: str | None = None
    consumes: str | None = None


@dataclass(frozen=True, slots=True)
class Repeat:
    """Send a recorded intent again: its outcome is not known."""

    intent: CommandIntent


@dataclass(frozen=True, slots=True)
class Abandon:
    """Give up a write whose key is of no use any more: what it may have made is inert."""


@dataclass(frozen=True, slots=True)
class ReadBack:
    """Read the method on the account: it tells what a lost write did."""

    payment_method: str


@dataclass(frozen=True, slots=True)
class Complete:
    """The method is where it should be already: no call."""

    payment_method: str


@dataclass(frozen=True, slots=True)
class Reject:
    """Tell that the command is not going to be carried out."""

    reason: RejectReason
    message: str
    stripe_request_id: str | None = None
    decline_code: str | None = None


Action = LookUpAccount | AskAccount | Look | Write | Repeat | Abandon | ReadBack | Complete | Reject


def next_action(
    command: CommandFacts, looked: Looked | Missing | None, retry_for: timedelta, now: datetime
) -> Action:
    """Say the one thing to do next for this command; total over every state.

    Args:
        command: what was loaded under the lease.
        looked: what a look at the method showed; None where nobody looked yet.
        retry_for: how long transient failures are repeated.
        now: our clock, UTC.
    """
    if (closed := account_closed(command.account)) is not None:
        return _closed(closed)
    if (intent := command.open_intent) is not None:
        return _settle(command, intent, retry_for, now)
    if command.expires_at is not None and command.expires_at <= now:
        return Reject(RejectReason.EXPIRED, "ce_expirytime passed before it could be done")
    if _is_exhausted(command, retry_for, now):
        return _EXHAUSTED
    match command.order:
        case CloneOnce() as order:
            return _clone_once(command, order, looked)
        case SaveDirect() as order:
            return _save_direct(command, order, looked)


USED_UP: Final = Reject(RejectReason.ORIGINAL_CONSUMED, "another command has used the method up")
_EXHAUSTED: Final = Reject(
    RejectReason.RETRIES_EXHAUSTED, "Stripe could not be reached, or failed, for too long"
)


def _closed(closed: Reason) -> Reject:
    if closed is Reason.ACCOUNT_DISCONNECTED:
        return Reject(RejectReason.ACCOUNT_DISCONNECTED, "the account has taken the platform's access away")
    return Reject(RejectReason.ACCOUNT_UNKNOWN, "Stripe knows of no such account of this platform")


def _is_exhausted(command: CommandFacts, retry_for: timedelta, now: datetime) -> bool:
    return command.failing_since is not None and now - command.failing_since > retry_for


def _settle(command: CommandFacts, intent: CommandIntent, retry_for: timedelta, now: datetime) -> Action:
    """Say what to do about a write whose outcome is not known."""
    if _is_exhausted(command, retry_for, now):
        return _EXHAUSTED
    if not intent.stored_error and now - intent.first_tried_at < KEY_GOOD_FOR:
        return Repeat(intent)
    if intent.consumes is not None:
        # Tried under another key, it might be a second clone of a method that may be used once.
        return Reject(
            RejectReason.ORIGINAL_CONSUMED,
            "Stripe's answer was lost: the original counts as consumed, and the clone as lost",
        )
    if intent.step in (Step.DIRECT_ATTACH, Step.DIRECT_CONFIRM):
        return ReadBack(intent.target or "")
    return Abandon()


def _clone_once(command: CommandFacts, order: CloneOnce, looked: Looked | Missing | None) -> Action:
    match looked:
        case None:
            return Look(order.payment_method)
        case Missing(request_id=request_id):
            return _not_found(request_id)
        case Looked():
            barred = _why_not(order, looked) or _gate(command, looked.type, blocked=looked.blocked)
            return barred or _once(order, looked.customer)


def _why_not(order: CloneOnce, original: Looked) -> Reject | None:
    """Give what forbids a clone of this original, on whatever account."""
    if original.type not in CAPABILITIES:
        return Reject(RejectReason.REFUSED, f"a method of type {original.type} cannot be cloned")
    if not original.owner_supported:
        return Reject(RejectReason.REFUSED, "a method of a v2 account cannot be cloned")
    if original.customer is not None and order.customer not in (None, original.customer):
        return Reject(RejectReason.REFUSED, "the method belongs to another customer")
    if original.customer is None and not order.consume:
        return Reject(
            RejectReason.UNATTACHED_ORIGINAL,
            "the method has no customer, so that a clone makes it unusable: allow that with consume",
        )
    return USED_UP if original.customer is None and original.given_away else None


def _once(order: CloneOnce, owner: str | None) -> Write:
    """The clone call carries these and nothing else, as in `clone.intents`."""
    if owner is None:
        return Write(Step.ONCE, {"payment_method": order.payment_method}, consumes=order.payment_method)
    return Write(Step.ONCE, {"customer": owner, "payment_method": order.payment_method})


def _save_direct(command: CommandFacts, order: SaveDirect, looked: Looked | Missing | None) -> Action:
    made = command.made or order.payment_method
    if made is None:
        return _gate(command, _CARD.type) or Write(
            Step.DIRECT_CREATE, {"type": _CARD.type, "card": {"token": order.token}}
        )
    match _CARD if command.made is not None else looked:
        case None:
            # Of an account that was never heard of, first whether there is one.
            return Look(made) if command.account.known or command.account.capabilities else LookUpAccount()
        case Missing(request_id=request_id):
            return _not_found(request_id)
        case Looked(customer=str(owner)) if owner == order.customer:
            return Complete(made)
        case Looked(customer=str()):
            return Reject(RejectReason.REFUSED, "the method is saved on another customer of the account")
        case Looked(type=type_, blocked=blocked):
            return _gate(command, type_, blocked=blocked) or _save(order, made, type_)


def _save(order: SaveDirect, made: str, type_: str) -> Write:
    """A mandate is made by a SetupIntent (https://docs.stripe.com/api/setup_intents/create)."""
    if order.mandate_data is None:
        return Write(Step.DIRECT_ATTACH, {"customer": order.customer}, target=made)
    parameters = {
        "customer": order.customer,
        "payment_method": made,
        "allowed_payment_method_types": [type_],
        "usage": "off_session",
        "confirm": True,
        "mandate_data": order.mandate_data,
    }
    return Write(Step.DIRECT_CONFIRM, parameters, target=made)


def _gate(
    command: CommandFacts, type_: str, *, blocked: bool = False
) -> LookUpAccount | AskAccount | Reject | None:
    """Give what keeps a method of this type from being charged on the account, or from being known to."""
    account = command.account
    if blocked:
        return Reject(RejectReason.REFUSED, "Stripe has blocked the bank account")
    if has_capability(account.capabilities, type_):
        return None
    if not account.known:
        return LookUpAccount()
    if not command.account_asked:
        return AskAccount()
    return Reject(RejectReason.CAPABILITY_INACTIVE, f"the account cannot charge a method of type {type_}")


def _not_found(request_id: str | None) -> Reject:
    return Reject(RejectReason.NOT_FOUND, "Stripe does not find the method", request_id)
