"""Whether everything is as it should be at the end of the story: a comparison of values, without any I/O.

What Stripe holds is judged by Stripe's own words: a clone is told by its card's fingerprint, not by what we
say that it is a clone of. Then what was announced on Kafka is held against it.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

from schemas.records import PaymentMethodRecord, State


@dataclass(frozen=True, slots=True)
class Card:
    """A card saved on the platform."""

    id: str
    fingerprint: str


@dataclass(frozen=True, slots=True)
class Customer:
    """A customer on a connected account, and its default method."""

    id: str
    default: str | None


@dataclass(frozen=True, slots=True)
class Attached:
    """A method attached to a customer on a connected account."""

    id: str
    customer: str
    fingerprint: str | None


@dataclass(frozen=True, slots=True)
class Holding:
    """What one connected account holds at Stripe."""

    account: str
    customers: tuple[Customer, ...]
    methods: tuple[Attached, ...]

    @classmethod
    def of(cls, state: Mapping[str, Any]) -> Self:
        """Read what the emulator shows of an account; what is deleted or not attached is left out."""
        return cls(
            state["id"],
            tuple(
                Customer(each["id"], each["invoice_settings"]["default_payment_method"])
                for each in state["customers"]
                if not each["deleted"]
            ),
            tuple(
                Attached(each["id"], each["customer"], (each.get("card") or {}).get("fingerprint"))
                for each in state["payment_methods"]
                if each["customer"] is not None
            ),
        )


def differences(
    holding: Holding, cards: Sequence[Card], records: Mapping[str, PaymentMethodRecord]
) -> list[str]:
    """Say how an account differs from what it should be; nothing, if it is right.

    Right is: one customer, with one clone of each card attached and nothing else, the first card's clone its
    default; and the newest record of each card on this account says so.

    Args:
        holding: The account, at Stripe.
        cards: The platform customer's cards, the default one first.
        records: The newest record of each key.
    """
    if len(holding.customers) != 1:
        return [f"has {_counted(holding.customers)} customers, should have 1"]
    (customer,) = holding.customers
    found = []
    for place, card in enumerate(cards):
        clones = [method for method in holding.methods if method.fingerprint == card.fingerprint]
        if len(clones) != 1:
            found.append(f"has {_counted(clones)} clones of {card.id} attached, should have 1")
            continue
        (clone,) = clones
        if place == 0 and customer.default != clone.id:
            found.append(f"{customer.id} has the default {customer.default}, should have {clone.id}")
        if clone.customer != customer.id:
            found.append(f"{clone.id} is attached to {clone.customer}, should be to {customer.id}")
        record = records.get(f"{holding.account}:{card.id}")
        found += _of_record(record, card, clone, is_default=customer.default == clone.id)
    known = {card.fingerprint for card in cards}
    strangers = [method for method in holding.methods if method.fingerprint not in known]
    return found + [f"{each.id} is attached, but is no clone of the customer's cards" for each in strangers]


def _of_record(
    record: PaymentMethodRecord | None, card: Card, clone: Attached, *, is_default: bool
) -> Iterator[str]:
    if record is None:
        yield f"Kafka has no record of {card.id}"
        return
    told = {
        "state": (record.state, State.READY),
        "clone": (record.connected_payment_method, clone.id),
        "customer": (record.connected_customer, clone.customer),
        "default": (record.default, is_default),
    }
    for name, (is_said, should_be) in told.items():
        if is_said != should_be:
            yield f"the record of {card.id} says {name} {is_said}, should say {should_be}"


def _counted(found: Iterable[Customer | Attached]) -> str:
    ids = [each.id for each in found]
    return f"{len(ids)} ({', '.join(ids)})" if ids else "0"


@dataclass(frozen=True, slots=True)
class Tally:
    """The Stripe calls that were made for one connected account."""

    account: str
    clones: int
    writes: int
    without_key: int
    """Writes without an idempotency key: none, ever."""
    look_ups: int
    """Times the account itself was read."""
    other_reads: int


def tally(calls: Sequence[Mapping[str, Any]], account: str) -> Tally:
    """Count the calls of the emulator's log that were made on an account, or to read it."""
    mine = [call for call in calls if call["account"] == account]
    writes = [call for call in mine if call["method"] != "GET"]
    return Tally(
        account=account,
        clones=sum("payment_method.cloned" in call["effect"] for call in writes),
        writes=len(writes),
        without_key=sum(call["idempotency_key"] is None for call in writes),
        look_ups=sum(call["method"] == "GET" and call["path"] == f"/v1/accounts/{account}" for call in calls),
        other_reads=len(mine) - len(writes),
    )
