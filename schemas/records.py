"""The records of `offshoot.payment-methods`: what other services read about one method on one account.

The states and reasons are closed lists, and which reasons go with which state stands here once: the
database's CHECKs repeat it (a test compares them) and nothing else does. The descriptions are published, see
`schemas/contract`.
"""

from datetime import datetime
from enum import StrEnum
from typing import Annotated, Final

import msgspec
from msgspec import Meta

from schemas.cloudevents import SOURCE, Headers, cloudevent_headers


class State(StrEnum):
    """What can be said of a method on an account."""

    PENDING = "pending"
    READY = "ready"
    BLOCKED = "blocked"
    FAILED = "failed"
    ABSENT = "absent"


class Reason(StrEnum):
    """Why a method is in its state."""

    REUSED = "reused"
    UPDATING = "updating"
    UPDATE_FAILED = "update_failed"
    MANDATE_UNVERIFIED = "mandate_unverified"

    CAPABILITY_INACTIVE = "capability_inactive"
    ACCOUNT_DISCONNECTED = "account_disconnected"
    ACCOUNT_UNKNOWN = "account_unknown"
    BANK_ACCOUNT_BLOCKED = "bank_account_blocked"

    CARD_DECLINED = "card_declined"
    CUSTOMER_FULL = "customer_full"
    ORIGINAL_CONSUMED = "original_consumed"
    NOT_FOUND = "not_found"
    PERMISSION = "permission"
    REFUSED = "refused"
    RETRIES_EXHAUSTED = "retries_exhausted"

    DETACHED_ON_PLATFORM = "detached_on_platform"
    DETACHED_ON_ACCOUNT = "detached_on_account"
    SHARE_REVOKED = "share_revoked"
    CUSTOMER_DELETED = "customer_deleted"
    CONNECTED_CUSTOMER_DELETED = "connected_customer_deleted"
    TYPE_NOT_CLONEABLE = "type_not_cloneable"
    OPTED_OUT = "opted_out"
    OWNER_NOT_SUPPORTED = "owner_not_supported"


REASONS: Final[dict[State, frozenset[Reason | None]]] = {
    State.PENDING: frozenset({None}),
    State.READY: frozenset(
        {None, Reason.REUSED, Reason.UPDATING, Reason.UPDATE_FAILED, Reason.MANDATE_UNVERIFIED}
    ),
    State.BLOCKED: frozenset(
        {
            Reason.CAPABILITY_INACTIVE,
            Reason.ACCOUNT_DISCONNECTED,
            Reason.ACCOUNT_UNKNOWN,
            Reason.BANK_ACCOUNT_BLOCKED,
        }
    ),
    State.FAILED: frozenset(
        {
            Reason.CARD_DECLINED,
            Reason.CUSTOMER_FULL,
            Reason.ORIGINAL_CONSUMED,
            Reason.NOT_FOUND,
            Reason.PERMISSION,
            Reason.REFUSED,
            Reason.RETRIES_EXHAUSTED,
        }
    ),
    State.ABSENT: frozenset(
        {
            Reason.DETACHED_ON_PLATFORM,
            Reason.DETACHED_ON_ACCOUNT,
            Reason.SHARE_REVOKED,
            Reason.CUSTOMER_DELETED,
            Reason.CONNECTED_CUSTOMER_DELETED,
            Reason.TYPE_NOT_CLONEABLE,
            Reason.OPTED_OUT,
            Reason.OWNER_NOT_SUPPORTED,
        }
    ),
}
"""The reasons that each state may have; `None` is "no reason"."""


def _published_reasons() -> dict[str, list[str | None]]:
    return {
        state.value: [reason.value if reason is not None else None for reason in _in_order(reasons)]
        for state, reasons in REASONS.items()
    }


def _in_order(reasons: frozenset[Reason | None]) -> list[Reason | None]:
    ranks: list[Reason | None] = [None, *Reason]
    return sorted(reasons, key=ranks.index)


class Origin(StrEnum):
    """How a method came to be on the account."""

    CLONE = "clone"
    DIRECT = "direct"


class PaymentMethodRecord(msgspec.Struct, frozen=True, kw_only=True):
    """The present state of one method on one connected account.

    A consumer that keeps the record with the highest `version` of each key is right whatever it reads twice.
    What is absent is null.
    """

    account: Annotated[str, Meta(description="The connected account, `acct_…`.")]
    origin: Annotated[
        Origin,
        Meta(
            description="`clone`: Offshoot made it of a method of the platform's; "
            "`direct`: it was saved on the account itself."
        ),
    ]
    state: Annotated[
        State,
        Meta(
            description="`pending`: Offshoot has something to do. `ready`: attached on the account, can be "
            "charged. `blocked`: waits for something outside and goes on by itself. `failed`: a person is "
            "needed. `absent`: deliberately not there. A new state would be a new major version."
        ),
    ]
    reason: Annotated[
        Reason | None,
        Meta(
            description="Why it is in its state. More reasons may come without a new major version: at one "
            "that you do not know, go by `state` alone.",
            extra_json_schema={"x-reasons-by-state": _published_reasons()},
        ),
    ]
    platform_customer: Annotated[
        str | None, Meta(description="The platform's customer, `cus_…`; null for `direct`.")
    ]
    platform_payment_method: Annotated[
        str | None, Meta(description="The platform's method that this is a clone of; null for `direct`.")
    ]
    connected_customer: Annotated[
        str | None, Meta(description="The customer on the account; null until there is one.")
    ]
    connected_payment_method: Annotated[
        str | None,
        Meta(description="The method on the account: what to charge while `ready`. Null until there is one."),
    ]
    type: Annotated[str | None, Meta(description="Stripe's type of the method: `card`, `us_bank_account` …")]
    default: Annotated[bool, Meta(description="Whether it is the connected customer's default.")]
    generation: Annotated[
        int | None,
        Meta(description="Which generation of the platform's method the clone is of; null for `direct`."),
    ]
    version: Annotated[
        int, Meta(description="Rises with each change of the key and never repeats: keep the highest.")
    ]
    livemode: Annotated[bool, Meta(description="Whether it is of Stripe's live mode.")]
    occurred_at: Annotated[
        str,
        Meta(
            description="When the state was last changed, RFC 3339.",
            extra_json_schema={"format": "date-time"},
        ),
    ]

    @property
    def key(self) -> str:
        """The record's key: the platform's id for a clone, the method's own id for a direct one."""
        own = self.platform_payment_method or self.connected_payment_method
        return f"{self.account}:{own}"

    @property
    def event_id(self) -> str:
        """The CloudEvents id: the same on a repeat, another for each version."""
        return f"{self.key}:{self.version}"

    @property
    def event_type(self) -> str:
        """The CloudEvents type."""
        return f"offshoot.payment_method.{self.state}"

    def to_json(self) -> bytes:
        """The record's value."""
        return msgspec.json.encode(self)

    def headers(self, occurred_at: datetime) -> Headers:
        """The record's headers; `occurred_at` is that of the record, as a moment."""
        return cloudevent_headers(
            id=self.event_id,
            type=self.event_type,
            source=SOURCE,
            subject=self.key,
            time=occurred_at,
            partition_key=self.key,
        )
