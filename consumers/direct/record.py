"""What is announced of a method that was saved on an account without us, by ways A and B. Pure.

Such a method is `direct` unless it is one of our clones; what `offshoot.direct.save` attached is. A record
that was announced follows what becomes known, also where the method turns out to be a clone.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from consumers.clone.gates import has_capability, needs_mandate
from schemas.records import Reason, State


class RecordDirect(StrEnum):
    """Which methods are announced: of any customer, of those known on both sides, or none."""

    ALL = "all"
    MAPPED = "mapped"
    NONE = "none"


@dataclass(frozen=True, slots=True)
class Said:
    """What a record says that can change."""

    state: State
    reason: Reason | None
    default: bool


@dataclass(frozen=True, slots=True)
class DirectFacts:
    """A method on a connected account, what it rests on, and what its record last said: None for nothing.

    `unverified`: its account went away since Stripe last showed it. `mapped`: its customer is a share's.
    """

    type: str
    attached: bool
    is_clone: bool = False
    detached: bool = False
    customer_deleted: bool = False
    account_disconnected: bool = False
    account_known: bool = False
    capabilities: Mapping[str, str] | None = None
    unverified: bool = False
    blocked: bool = False
    mandate: bool = False
    default: bool = False
    mapped: bool = False
    said: Said | None = None


def to_say(method: DirectFacts, record: RecordDirect) -> Said | None:
    """Say what is to be announced now; None where that is nothing, or was said last."""
    if record is RecordDirect.NONE or (method.said is None and not _is_news(method, record)):
        return None
    state, reason = _present(method)
    says = Said(state, reason, method.default and state is not State.ABSENT)
    return says if says != method.said else None


def _is_news(method: DirectFacts, record: RecordDirect) -> bool:
    """Whether it is of those that are announced: saved, and known well enough."""
    return (
        method.attached
        and method.type != ""
        and not (method.is_clone or method.detached or method.customer_deleted)
        and (record is RecordDirect.ALL or method.mapped)
    )


def _present(method: DirectFacts) -> tuple[State, Reason | None]:
    lacks_capability = method.account_known and not has_capability(method.capabilities or {}, method.type)
    states = (
        (method.customer_deleted, State.ABSENT, Reason.CONNECTED_CUSTOMER_DELETED),
        # A clone has a record of its own, under the platform's id: this one ends.
        (method.detached or method.is_clone, State.ABSENT, Reason.DETACHED_ON_ACCOUNT),
        (method.account_disconnected or method.unverified, State.BLOCKED, Reason.ACCOUNT_DISCONNECTED),
        (lacks_capability, State.BLOCKED, Reason.CAPABILITY_INACTIVE),
        (method.blocked, State.BLOCKED, Reason.BANK_ACCOUNT_BLOCKED),
        (needs_mandate(method.type) and not method.mandate, State.READY, Reason.MANDATE_UNVERIFIED),
    )
    return next(((state, reason) for holds, state, reason in states if holds), (State.READY, None))
