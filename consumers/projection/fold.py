"""The pure fold: a batch of what was seen, to one row per object.

The newest `as_of` wins; within one second Stripe's events have no order, so two that differ are a
contradiction, settled by reading. Detached, deleted are sticky.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Final, TypeVar

from consumers.projection.seen import (
    AccountSeen,
    ConnectedCustomerSeen,
    ConnectedHint,
    ConnectedKind,
    ConnectedMethodSeen,
    CustomerSeen,
    Hint,
    Kind,
    PaymentMethodSeen,
    Seen,
)

ONE_SECOND: Final = timedelta(seconds=1)
"""How finely Stripe tells the time of an event."""


@dataclass(slots=True)
class Projection:
    """One row per object; and the objects in doubt, each with the second after which an event settles it."""

    customers: dict[str, CustomerSeen] = field(default_factory=dict)
    payment_methods: dict[str, PaymentMethodSeen] = field(default_factory=dict)
    accounts: dict[str, AccountSeen] = field(default_factory=dict)
    connected_methods: dict[str, ConnectedMethodSeen] = field(default_factory=dict)
    connected_customers: dict[tuple[str, str], ConnectedCustomerSeen] = field(default_factory=dict)
    """By account and customer."""
    connected_hints: dict[tuple[str, ConnectedKind, str], ConnectedHint] = field(default_factory=dict)
    """By account, kind and object."""
    doubtful: dict[tuple[Kind, str], datetime] = field(default_factory=dict)

    def __bool__(self) -> bool:
        """Whether there is anything to write."""
        return bool(
            self.customers
            or self.payment_methods
            or self.accounts
            or self.connected_methods
            or self.connected_customers
            or self.connected_hints
            or self.doubtful
        )

    def doubt(self, kind: Kind, id_: str, as_of: datetime) -> None:
        """Put an object in doubt, unless it is by something later already."""
        self.doubtful[kind, id_] = max(as_of, self.doubtful.get((kind, id_), as_of))

    def settle(self, kind: Kind, id_: str, as_of: datetime) -> None:
        """Take the doubt back if what was seen is later."""
        if (doubted := self.doubtful.get((kind, id_))) is not None and doubted < as_of:
            del self.doubtful[kind, id_]


def fold(batch: Iterable[Seen]) -> Projection:
    """Fold what was seen to one row per object: by seconds, and within one as it arrived."""
    rows = Projection()
    for seen in sorted(batch, key=lambda each: each.as_of):
        match seen:
            case CustomerSeen():
                _take(rows, Kind.CUSTOMER, rows.customers, seen, _customer)
            case PaymentMethodSeen():
                _take(rows, Kind.PAYMENT_METHOD, rows.payment_methods, seen, _payment_method)
            case AccountSeen():
                _take(rows, Kind.ACCOUNT, rows.accounts, seen, _account)
            case ConnectedMethodSeen() | ConnectedCustomerSeen() | ConnectedHint():
                _take_connected(rows, seen)
            case Hint(kind=kind, id=id_, as_of=as_of):
                if id_ not in _seen_in(rows, kind, as_of):
                    # Its snapshot twin is of the same second, and settles it.
                    rows.doubt(kind, id_, as_of - ONE_SECOND)
    return rows


def _take_connected(
    rows: Projection, seen: ConnectedMethodSeen | ConnectedCustomerSeen | ConnectedHint
) -> None:
    match seen:
        case ConnectedMethodSeen():
            had = rows.connected_methods.get(seen.id)
            rows.connected_methods[seen.id] = seen if had is None else _connected_method(had, seen)
        case ConnectedCustomerSeen(account_id=account, id=id_):
            known = rows.connected_customers.get((account, id_))
            if known is None or not known.deleted:
                rows.connected_customers[account, id_] = seen
        case ConnectedHint(kind=kind, id=id_, account_id=account):
            rows.connected_hints[account, kind, id_] = seen


def _seen_in(rows: Projection, kind: Kind, as_of: datetime) -> set[str]:
    tables: dict[Kind, Mapping[str, CustomerSeen | PaymentMethodSeen | AccountSeen]] = {
        Kind.CUSTOMER: rows.customers,
        Kind.PAYMENT_METHOD: rows.payment_methods,
        Kind.ACCOUNT: rows.accounts,
    }
    return {id_ for id_, row in tables[kind].items() if row.as_of >= as_of}


_Row = TypeVar("_Row", CustomerSeen, PaymentMethodSeen, AccountSeen)


def _take(
    rows: Projection,
    kind: Kind,
    table: dict[str, _Row],
    seen: _Row,
    merged: Callable[[_Row, _Row], tuple[_Row, bool]],
) -> None:
    had = table.get(seen.id)
    if had is None:
        table[seen.id] = seen
    else:
        table[seen.id], contradicts = merged(had, seen)
        if contradicts and had.as_of == seen.as_of:
            rows.doubt(kind, seen.id, seen.as_of)
    rows.settle(kind, seen.id, seen.as_of)


def _customer(had: CustomerSeen, seen: CustomerSeen) -> tuple[CustomerSeen, bool]:
    row = replace(seen, deleted=seen.deleted or had.deleted)
    return row, row != replace(had, deleted=row.deleted)


def _payment_method(had: PaymentMethodSeen, seen: PaymentMethodSeen) -> tuple[PaymentMethodSeen, bool]:
    row = replace(
        seen, detached=seen.detached or had.detached, customer_id=seen.customer_id or had.customer_id
    )
    return row, row != replace(had, detached=row.detached)


def _account(had: AccountSeen, seen: AccountSeen) -> tuple[AccountSeen, bool]:
    """A whole account replaces, a part is laid over; both keep what only the other told."""
    shared = had.capabilities.keys() & seen.capabilities.keys()
    contradicts = any(had.capabilities[name] != seen.capabilities[name] for name in shared)
    turns = None not in (had.connected, seen.connected) and had.connected != seen.connected
    row = AccountSeen(
        id=seen.id,
        as_of=seen.as_of,
        capabilities=seen.capabilities if seen.whole else {**had.capabilities, **seen.capabilities},
        whole=seen.whole or had.whole,
        connected=had.connected if seen.connected is None else seen.connected,
        access_in_doubt=had.access_in_doubt
        if seen.connected is None
        else had.as_of == seen.as_of and (turns or had.access_in_doubt),
    )
    return row, contradicts or turns


def _connected_method(had: ConnectedMethodSeen, seen: ConnectedMethodSeen) -> ConnectedMethodSeen:
    """The later one; detached is sticky, and with it whose doing it was. Two doings are nobody's."""
    ended = had if had.detached else seen
    told = ended.detached or had.idempotency_key == seen.idempotency_key
    return replace(
        seen,
        type=seen.type or had.type,
        content=had.content if seen.content is None else seen.content,
        blocked=had.blocked if seen.content is None else seen.blocked,
        mandate=seen.mandate or had.mandate,
        customer_id=seen.customer_id or had.customer_id,
        detached=ended.detached,
        idempotency_key=ended.idempotency_key if told else None,
    )
