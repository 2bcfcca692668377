"""How what changed is spread over the shares: a few in the same transaction, many in chunks. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntEnum, StrEnum
from typing import Final

MOST_AT_ONCE: Final = 1_000
"""Shares of one customer or account that are marked with what changed; more are, in chunks."""

CHUNK: Final = 500
"""Shares that one transaction of a fan-out touches: some 20 ms, so that nobody waits for its locks."""

MOST_IN_ALL: Final = 5_000
"""Shares that one transaction marks, so that none grows long."""


FEW: Final = 100
"""Shares of one customer or account that may go before bulk work: more of them are bulk work themselves."""


class Priority(IntEnum):
    """Of a due share, as it stands in `share.priority`."""

    URGENT = 0
    BULK = 1


class Fanout(StrEnum):
    """What is done in chunks, as it stands in `fanout.kind`; the schema says what each is."""

    MARK_CUSTOMER = "mark_customer"
    MARK_ACCOUNT = "mark_account"
    GRANT_CUSTOMER = "grant_customer"
    GRANT_ACCOUNT = "grant_account"
    DIRECT_ACCOUNT = "direct_account"


@dataclass(frozen=True, slots=True)
class Subject:
    """A customer or an account whose shares are to be looked at; `kind` is `customer` or `account`."""

    kind: str
    id: str


def at_once(weights: Mapping[Subject, int], already: int = 0) -> dict[Subject, Priority]:
    """Choose those whose shares are marked at once: the lightest first, as many as the transaction bears.

    Args:
        weights: how many shares each has.
        already: shares that are marked in the transaction anyhow.

    Returns:
        The chosen, and how urgent the shares of each are.
    """
    chosen: dict[Subject, Priority] = {}
    total = already
    for subject, weight in sorted(weights.items(), key=lambda each: (each[1], each[0].kind, each[0].id)):
        total += weight
        if weight > MOST_AT_ONCE or total > MOST_IN_ALL:
            break
        chosen[subject] = priority_of(weight)
    return chosen


def priority_of(shares: int) -> Priority:
    """Say how urgent the shares are that something changed for, by how many they are."""
    return Priority.URGENT if shares <= FEW else Priority.BULK
