"""How what changed is spread over the shares: a few in the same transaction, many in chunks. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntEnum, StrEnum
from typing import Final

MOST_AT_ONCE: Final = 1_000
"""Shares of one customer or account that are marked with what changed; the size of a chunk, too."""

MOST_IN_ALL: Final = 5_000
"""Shares that one transaction marks, so that none grows long."""


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


@dataclass(frozen=True, slots=True)
class Subject:
    """A customer or an account whose shares are to be looked at; `kind` is `customer` or `account`."""

    kind: str
    id: str


def at_once(weights: Mapping[Subject, int], already: int = 0) -> set[Subject]:
    """Choose those whose shares are marked at once: the lightest first, as many as the transaction bears.

    Args:
        weights: how many shares each has.
        already: shares that are marked in the transaction anyhow.
    """
    chosen: set[Subject] = set()
    total = already
    for subject, weight in sorted(weights.items(), key=lambda each: (each[1], each[0].kind, each[0].id)):
        total += weight
        if weight > MOST_AT_ONCE or total > MOST_IN_ALL:
            break
        chosen.add(subject)
    return chosen
