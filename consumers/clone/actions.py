"""What the decision can say: the one thing to do next for a share."""

from dataclasses import dataclass
from datetime import datetime

from consumers.clone.facts import Intent, MethodFacts, Step
from consumers.projection.seen import Kind
from schemas.records import Reason, State


@dataclass(frozen=True, slots=True)
class LookUpAccount:
    """Have the account read, since it was never seen whole; the share is due again once it was."""


@dataclass(frozen=True, slots=True)
class Confirm:
    """Have a platform object read: it justifies a detach, or was never seen. Then the share is due again."""

    kind: Kind
    id: str


@dataclass(frozen=True, slots=True)
class Write:
    """Record an intent for this step and send it; `detaching` is which connected method to detach."""

    method: MethodFacts
    step: Step
    detaching: str | None = None


@dataclass(frozen=True, slots=True)
class Repeat:
    """Send a recorded intent again: its outcome is not known."""

    method: MethodFacts
    intent: Intent


@dataclass(frozen=True, slots=True)
class Abandon:
    """Give up a write whose key is of no use any more: what it may have done is inert, or done again."""

    intent: Intent


@dataclass(frozen=True, slots=True)
class ReadClone:
    """Read the connected method at Stripe: it tells what a lost write did, and whether it is attached."""

    method: MethodFacts
    connected_payment_method_id: str
    intent: Intent | None


@dataclass(frozen=True, slots=True)
class ReadCustomer:
    """Read the connected customer at Stripe: it tells whether a lost change of its default was done."""

    intent: Intent


@dataclass(frozen=True, slots=True)
class Reuse:
    """Let the same card that is saved on the connected customer already serve as the clone: no call."""

    method: MethodFacts


@dataclass(frozen=True, slots=True)
class CatchUp:
    """The clone is already what is wanted: note the generation, no call."""

    method: MethodFacts


@dataclass(frozen=True, slots=True)
class Restart:
    """Begin a clone anew; `keep`: go on with the one that is made and not attached."""

    method: MethodFacts
    keep: bool = False


@dataclass(frozen=True, slots=True)
class Announce:
    """Record a state and tell the others."""

    method: MethodFacts
    state: State
    reason: Reason | None


@dataclass(frozen=True, slots=True)
class Rest:
    """Nothing to do until something changes, or until that time; `braked`: until the brake is released."""

    until: datetime | None = None
    braked: bool = False


Deed = Write | Repeat | Abandon | ReadClone | ReadCustomer | Reuse | CatchUp | Restart | Announce
"""What changes something, here or at Stripe."""

Action = LookUpAccount | Confirm | Deed | Rest


@dataclass(frozen=True, slots=True)
class Wait:
    """Nothing to do for this clone before that time."""

    until: datetime


@dataclass(frozen=True, slots=True)
class Braked:
    """Something to detach, which the brake holds back."""


Said = LookUpAccount | Confirm | Deed | Wait | Braked
"""What the rules for one method say."""
