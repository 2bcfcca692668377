"""Commands of other services and what became of them: `offshoot.commands`, `offshoot.command-results`.

A command is a CloudEvent in Kafka's binary mode; (`ce_source`, `ce_id`) names it. One result follows, perhaps
repeated under the same `ce_id`. The descriptions are published.
"""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Annotated, Any, Final, TypeAlias

import msgspec
from msgspec import UNSET, Meta, Struct, UnsetType

from schemas.cloudevents import SOURCE, Headers, cloudevent_headers, rfc3339

_LONGEST_NAME: Final = 1024

# Python's `$` lets a line end follow; JSON Schema's does not, and has no `\Z`.
_END: Final = r"$(?!\n)"
_Account = Annotated[
    str, Meta(pattern=rf"^acct_[A-Za-z0-9]{{1,64}}{_END}", description="The connected account, `acct_…`.")
]
_Customer = Annotated[str, Meta(pattern=rf"^cus_[A-Za-z0-9_]{{1,250}}{_END}")]
_Method = Annotated[str, Meta(pattern=rf"^(pm|card|ba|src)_[A-Za-z0-9_]{{1,250}}{_END}")]
_Token = Annotated[str, Meta(pattern=rf"^tok_[A-Za-z0-9_]{{1,250}}{_END}")]


class CommandType(StrEnum):
    """What can be asked for: the `ce_type` of a command."""

    GRANT = "offshoot.share.grant"
    REVOKE = "offshoot.share.revoke"
    CLONE_ONCE = "offshoot.clone.once"
    DIRECT_SAVE = "offshoot.direct.save"


class GrantShare(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """Share a platform customer with a connected account. It stands beside a grant by metadata."""

    customer: Annotated[_Customer, Meta(description="The platform's customer, `cus_…`.")]
    account: _Account
    connected_customer: (
        Annotated[_Customer, Meta(description="A customer that is on the account already, to be adopted.")]
        | None
    ) = None
    payment_methods: (
        Annotated[
            tuple[_Method, ...],
            Meta(
                min_length=1, description="Only these of the customer's methods, beside those granted before."
            ),
        ]
        | None
    ) = None


class RevokeShare(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """Take back what commands granted. What metadata grants stays granted."""

    customer: Annotated[_Customer, Meta(description="The platform's customer, `cus_…`.")]
    account: _Account
    connected_customer: (
        Annotated[_Customer, Meta(description="Not looked at: an adopted customer stays adopted.")] | None
    ) = None
    payment_methods: (
        Annotated[tuple[_Method, ...], Meta(min_length=1, description="Only these; the others stay granted.")]
        | None
    ) = None


class CloneOnce(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """Clone a platform method for one charge: the clone is not attached to anybody."""

    payment_method: Annotated[_Method, Meta(description="The platform's method.")]
    account: _Account
    customer: (
        Annotated[_Customer, Meta(description="Whose it is on the platform; checked where given.")] | None
    ) = None
    consume: Annotated[
        bool, Meta(description="Allow an original without a customer, which the clone makes unusable.")
    ] = False


class SaveDirect(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """Save a method that was made on the connected account itself on a customer there.

    Exactly one of `payment_method` and `token`.
    """

    account: _Account
    customer: Annotated[_Customer, Meta(description="The customer on the account, `cus_…`.")]
    payment_method: (
        Annotated[_Method, Meta(description="A method made on the account, e.g. by Stripe.js.")] | None
    ) = None
    token: Annotated[_Token, Meta(description="A card's token made on the account.")] | None = None
    mandate_data: (
        Annotated[
            dict[str, Any],
            Meta(description="As Stripe's SetupIntent takes it: the customer's acceptance of a bank debit."),
        ]
        | None
    ) = None

    def __post_init__(self) -> None:
        """Refuse a command that says what to save twice, or not at all."""
        if (self.payment_method is None) == (self.token is None):
            raise ValueError("needs either payment_method or token")


Order: TypeAlias = GrantShare | RevokeShare | CloneOnce | SaveDirect
"""A command's value."""

ORDERS: Final[dict[CommandType, type[Order]]] = {
    CommandType.GRANT: GrantShare,
    CommandType.REVOKE: RevokeShare,
    CommandType.CLONE_ONCE: CloneOnce,
    CommandType.DIRECT_SAVE: SaveDirect,
}
"""What the value of each type of command is."""


class RejectReason(StrEnum):
    """Why a command was not carried out: a closed list."""

    INVALID = "invalid"
    UNKNOWN_COMMAND = "unknown_command"
    EXPIRED = "expired"
    ACCOUNT_UNKNOWN = "account_unknown"
    ACCOUNT_DISCONNECTED = "account_disconnected"
    CAPABILITY_INACTIVE = "capability_inactive"
    NOT_FOUND = "not_found"
    UNATTACHED_ORIGINAL = "unattached_original"
    ORIGINAL_CONSUMED = "original_consumed"
    CUSTOMER_TAKEN = "customer_taken"
    CARD_DECLINED = "card_declined"
    REFUSED = "refused"
    RETRIES_EXHAUSTED = "retries_exhausted"


class Share(Struct, frozen=True, kw_only=True):
    """One platform customer on one connected account."""

    customer: str
    account: str
    wanted: Annotated[bool, Meta(description="Whether anything grants it now: a command, metadata, or all.")]


class ShareSettled(Struct, frozen=True, kw_only=True):
    """A grant or a revocation is recorded; what comes of it is told on `offshoot.payment-methods`."""

    share: Share


class MethodMade(Struct, frozen=True, kw_only=True):
    """The method is on the account."""

    connected_payment_method: str


class Rejected(Struct, frozen=True, kw_only=True):
    """The command was not carried out, and is not going to be."""

    reason: RejectReason
    message: Annotated[str, Meta(description="For people; its wording may change.")]
    stripe_request_id: Annotated[str, Meta(description="Of the call that Stripe refused.")] | UnsetType = (
        UNSET
    )
    decline_code: Annotated[str, Meta(description="The issuer's, where it declined.")] | UnsetType = UNSET


Result: TypeAlias = ShareSettled | MethodMade | Rejected
"""The value of a result."""

COMPLETED: Final = "offshoot.command.completed"
REJECTED: Final = "offshoot.command.rejected"


@dataclass(frozen=True, slots=True)
class CommandName:
    """What names a command, and the key of its record, which is its result's too."""

    source: str
    id: str
    key: str

    @property
    def digest(self) -> str:
        """Stands for source and id where there is little room: 32 hexadecimal digits."""
        return hashlib.sha256(f"{self.source}\0{self.id}".encode()).hexdigest()[:32]


@dataclass(frozen=True, slots=True)
class Command:
    """A command that was understood. `expires_at`: nothing is begun from then on."""

    name: CommandName
    type: CommandType
    order: Order
    expires_at: datetime | None


@dataclass(frozen=True, slots=True)
class RefusedCommand:
    """A command that has a name and cannot be carried out; `type` is what it said."""

    name: CommandName
    type: str
    rejected: Rejected


@dataclass(frozen=True, slots=True)
class NamelessCommand:
    """A record without a usable `ce_id`: it can have no result. `why` holds nothing of the record."""

    why: str


def read_command(
    headers: Iterable[tuple[str, bytes]], key: bytes | None, value: bytes, now: datetime
) -> Command | RefusedCommand | NamelessCommand:
    """Read a record of `offshoot.commands`; `now` (UTC) says what has expired. No bytes make it raise."""
    attributes = {name: _text(raw) for name, raw in headers}
    id_, source = attributes.get("ce_id"), attributes.get("ce_source")
    if not id_:
        return NamelessCommand("no usable ce_id")
    name = CommandName(source or "", id_, _text(key or b"") or id_)
    said = attributes.get("ce_type") or ""
    read = _read(said, source, attributes, value, now)
    if isinstance(read, Rejected):
        return RefusedCommand(name, said, read)
    type_, order, expires_at = read
    return Command(name, type_, order, expires_at)


def _read(
    said: str, source: str | None, attributes: dict[str, str | None], value: bytes, now: datetime
) -> Rejected | tuple[CommandType, Order, datetime | None]:
    if said not in set(CommandType):
        return Rejected(reason=RejectReason.UNKNOWN_COMMAND, message="ce_type names no command")
    if not source:
        return _invalid("needs a ce_source")
    type_ = CommandType(said)
    expires_at: datetime | None = None
    try:
        order = msgspec.json.decode(value, type=ORDERS[type_])
        if "ce_expirytime" in attributes:
            expires_at = msgspec.convert(attributes["ce_expirytime"], _Moment)
    except msgspec.ValidationError as error:
        # msgspec names the field and what is wrong with it, never the value.
        return _invalid(str(error))
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return _invalid("the value is not JSON in UTF-8")
    if expires_at is not None and expires_at <= now:
        return Rejected(reason=RejectReason.EXPIRED, message="ce_expirytime had passed when it was read")
    return type_, order, expires_at


_Moment = Annotated[datetime, Meta(tz=True)]


def _invalid(message: str) -> Rejected:
    return Rejected(reason=RejectReason.INVALID, message=message)


def _text(raw: bytes) -> str | None:
    """A header as text: UTF-8, not longer than a name may be, and nothing that a database cannot hold."""
    if len(raw) > _LONGEST_NAME or b"\0" in raw:
        return None
    try:
        return raw.decode()
    except UnicodeDecodeError:
        return None


def result_id(name: CommandName) -> str:
    """Give the `ce_id` of a command's result: the same on a repeat."""
    return f"result-{name.digest}"


def result_headers(name: CommandName, result_type: str, finished_at: datetime) -> Headers:
    """Give the headers of a command's result; `result_type` is `COMPLETED` or `REJECTED`."""
    return cloudevent_headers(
        id=result_id(name),
        type=result_type,
        source=SOURCE,
        subject=name.key,
        time=finished_at,
        partition_key=name.key,
        extensions={"commandid": name.id},
    )


def command_record(
    name: CommandName, order: Order, *, now: datetime, expires_at: datetime | None = None
) -> tuple[Headers, bytes]:
    """Write a command as a producer sends it: headers and value."""
    type_ = next(type_ for type_, shape in ORDERS.items() if isinstance(order, shape))
    headers = cloudevent_headers(
        id=name.id,
        type=type_,
        source=name.source,
        subject=None,
        time=now,
        partition_key=name.key,
        extensions={"expirytime": rfc3339(expires_at) if expires_at is not None else None},
    )
    return headers, msgspec.json.encode(order)


def key_of(order: Order) -> str:
    """Give the key of a command's record: its account, and the customer or method that it is about."""
    match order:
        case CloneOnce(account=account, payment_method=about):
            return f"{account}:{about}"
        case GrantShare(account=account, customer=about) | RevokeShare(account=account, customer=about):
            return f"{account}:{about}"
        case SaveDirect(account=account, payment_method=method, customer=customer):
            return f"{account}:{method or customer}"
