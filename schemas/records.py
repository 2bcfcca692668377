"""The records of `offshoot.payment-methods`: what other services read about one method on one account.

The states and reasons are closed lists, and which reasons go with which state stands here once: the
database's CHECKs repeat it (a test compares them) and nothing else does.
"""

from enum import StrEnum
from typing import Final

import msgspec


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


class Origin(StrEnum):
    """How a method came to be on the account."""

    CLONE = "clone"
    DIRECT = "direct"


class PaymentMethodRecord(msgspec.Struct, frozen=True, kw_only=True):
    """The present state of one method on one connected account.

    A consumer that keeps the record with the highest `version` of each key is right whatever it reads
    twice. What is absent is null; `generation` and the `platform_` fields are null for `direct` records.
    `default` says whether the method is its connected customer's default; `occurred_at` is RFC 3339.
    """

    account: str
    origin: Origin
    state: State
    reason: Reason | None
    platform_customer: str | None
    platform_payment_method: str | None
    connected_customer: str | None
    connected_payment_method: str | None
    type: str | None
    default: bool
    generation: int | None
    version: int
    livemode: bool
    occurred_at: str

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
