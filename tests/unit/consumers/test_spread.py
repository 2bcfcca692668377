"""Which shares are marked with what changed, and which in chunks."""

import pytest

from consumers.projection.spread import FEW as FEW_SHARES
from consumers.projection.spread import MOST_AT_ONCE, MOST_IN_ALL, Priority, Subject, at_once, priority_of

WIDE = Subject("customer", "cus_wide")
FEW = Subject("customer", "cus_few")
ACCOUNT = Subject("account", "acct_1")


def test_few_are_marked_at_once_and_many_are_not() -> None:
    chosen = at_once({FEW: MOST_AT_ONCE, WIDE: MOST_AT_ONCE + 1, ACCOUNT: 0})

    assert chosen == {FEW: Priority.BULK, ACCOUNT: Priority.URGENT}


@pytest.mark.parametrize(
    ("shares", "priority"),
    [(0, Priority.URGENT), (FEW_SHARES, Priority.URGENT), (FEW_SHARES + 1, Priority.BULK)],
)
def test_few_are_urgent_and_many_are_bulk(shares: int, priority: Priority) -> None:
    assert priority_of(shares) is priority


def test_a_transaction_bears_only_so_many_and_takes_the_lightest() -> None:
    many = {Subject("customer", f"cus_{n}"): MOST_AT_ONCE - n for n in range(MOST_IN_ALL // MOST_AT_ONCE + 2)}

    chosen = at_once({**many, FEW: 3})

    assert FEW in chosen
    assert sum({**many, FEW: 3}[subject] for subject in chosen) <= MOST_IN_ALL
    assert len(chosen) == MOST_IN_ALL // MOST_AT_ONCE + 1


def test_what_is_marked_anyhow_counts() -> None:
    assert at_once({FEW: 3}, already=MOST_IN_ALL) == {}
