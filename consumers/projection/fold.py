"""The pure fold: a batch of what was seen, to one row per object.

The newest `as_of` wins; within one second Stripe's events have no order, so two that differ are a
contradiction, settled by reading. Detached, deleted are sticky.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

from consumers.projection.seen import AccountSeen, CustomerSeen, Hint, Kind, PaymentMethodSeen, Seen


@dataclass(slots=True)
class Projection:
    """One row per object, and the objects that must be read because what was heard is in doubt."""

    customers: dict[str, CustomerSeen] = field(default_factory=dict)
    payment_methods: dict[str, PaymentMethodSeen] = field(default_factory=dict)
    accounts: dict[str, AccountSeen] = field(default_factory=dict)
    doubtful: set[tuple[Kind, str]] = field(default_factory=set)

    def __bool__(self) -> bool:
        """Whether there is anything to write."""
        return bool(self.customers or self.payment_methods or self.accounts or self.doubtful)


def fold(batch: Iterable[Seen]) -> Projection:
    """Fold what was seen, in the order it arrived, to one row per object."""
    rows = Projection()
    hints: list[Hint] = []
    for seen in batch:
        match seen:
            case CustomerSeen():
                _customer(rows, seen)
            case PaymentMethodSeen():
                _payment_method(rows, seen)
            case AccountSeen():
                _account(rows, seen)
            case Hint():
                hints.append(seen)
    for hint in hints:
        arrived = _rows_of(rows, hint.kind).get(hint.id)
        if arrived is None or arrived.as_of < hint.as_of:
            rows.doubtful.add((hint.kind, hint.id))
    return rows


def _rows_of(
    rows: Projection, kind: Kind
) -> Mapping[str, CustomerSeen] | Mapping[str, PaymentMethodSeen] | Mapping[str, AccountSeen]:
    match kind:
        case Kind.CUSTOMER:
            return rows.customers
        case Kind.PAYMENT_METHOD:
            return rows.payment_methods
        case Kind.ACCOUNT:
            return rows.accounts


def _customer(rows: Projection, seen: CustomerSeen) -> None:
    had = rows.customers.get(seen.id)
    if had is None:
        rows.customers[seen.id] = seen
        return
    newer, older = (seen, had) if seen.as_of >= had.as_of else (had, seen)
    if seen.as_of == had.as_of and seen != had:
        rows.doubtful.add((Kind.CUSTOMER, seen.id))
    elif seen.as_of > had.as_of:
        rows.doubtful.discard((Kind.CUSTOMER, seen.id))
    rows.customers[seen.id] = replace(newer, deleted=newer.deleted or older.deleted)


def _payment_method(rows: Projection, seen: PaymentMethodSeen) -> None:
    had = rows.payment_methods.get(seen.id)
    if had is None:
        rows.payment_methods[seen.id] = seen
        return
    newer, older = (seen, had) if seen.as_of >= had.as_of else (had, seen)
    detached = newer.detached or older.detached
    same = replace(seen, detached=detached) == replace(had, detached=detached)
    if seen.as_of == had.as_of and not same:
        rows.doubtful.add((Kind.PAYMENT_METHOD, seen.id))
    elif seen.as_of > had.as_of:
        rows.doubtful.discard((Kind.PAYMENT_METHOD, seen.id))
    rows.payment_methods[seen.id] = replace(
        newer, detached=detached, customer_id=newer.customer_id or older.customer_id
    )


def _account(rows: Projection, seen: AccountSeen) -> None:
    """A whole account replaces, a part is laid over; both keep what only the other told."""
    had = rows.accounts.get(seen.id)
    if had is None:
        rows.accounts[seen.id] = seen
        return
    newer, older = (seen, had) if seen.as_of >= had.as_of else (had, seen)
    if seen.as_of == had.as_of and _contradict(seen, had):
        rows.doubtful.add((Kind.ACCOUNT, seen.id))
    rows.accounts[seen.id] = AccountSeen(
        id=seen.id,
        as_of=newer.as_of,
        capabilities=newer.capabilities if newer.whole else {**older.capabilities, **newer.capabilities},
        whole=newer.whole or older.whole,
        connected=older.connected if newer.connected is None else newer.connected,
    )


def _contradict(one: AccountSeen, other: AccountSeen) -> bool:
    shared = one.capabilities.keys() & other.capabilities.keys()
    if any(one.capabilities[name] != other.capabilities[name] for name in shared):
        return True
    return None not in (one.connected, other.connected) and one.connected != other.connected
