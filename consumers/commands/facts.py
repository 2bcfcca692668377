"""What a worker loaded of one command: plain frozen values, all that the decision knows."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from consumers.clone.facts import AccountFacts
from schemas.commands import CloneOnce, CommandName, SaveDirect


class Step(StrEnum):
    """A kind of write to Stripe for a command; what begins with `direct` saves on the account itself."""

    ONCE = "once"
    """Clone a platform method, and leave the clone unattached."""
    DIRECT_CREATE = "direct_create"
    """Make a method of a token."""
    DIRECT_ATTACH = "direct_attach"
    """Attach a method to its customer."""
    DIRECT_CONFIRM = "direct_confirm"
    """Confirm a SetupIntent, which attaches a method and makes its mandate."""


@dataclass(frozen=True, slots=True)
class Looked:
    """The method that a command names, as a look at it showed: the platform's, or the account's.

    `customer` is None where it is on nobody. `owner_supported` as in `MethodFacts`. `given_away`: another
    command has made it unusable, or may have.
    """

    type: str
    customer: str | None
    blocked: bool = False
    owner_supported: bool = True
    given_away: bool = False


@dataclass(frozen=True, slots=True)
class Missing:
    """Stripe does not know the method that a command names."""

    request_id: str | None


@dataclass(frozen=True, slots=True)
class CommandIntent:
    """A write as it was recorded: a repeat sends exactly this. `consumes` is what it uses up."""

    step: Step
    epoch: int
    idempotency_key: str
    parameters: Mapping[str, Any]
    first_tried_at: datetime
    target: str | None = None
    consumes: str | None = None
    stored_error: bool = False


def idempotency_key(own_keys: str, account: str, name: CommandName, step: Step, epoch: int) -> str:
    """Build the key: its object is the command, by its name, so that rows may come and go.

    `own_keys` is how every key of this installation begins (`clone.intents`).
    """
    return f"{own_keys}{account}:{name.digest}:{step}:{epoch}"


@dataclass(frozen=True, slots=True)
class CommandFacts:
    """One command that needs Stripe.

    `account_asked`: what is said of the account is not older than the command. `made` is the method that a
    token became on the account.
    """

    id: int
    name: CommandName
    order: CloneOnce | SaveDirect
    account: AccountFacts
    account_asked: bool = False
    expires_at: datetime | None = None
    made: str | None = None
    open_intent: CommandIntent | None = None
    attempts: int = 0
    failing_since: datetime | None = None
