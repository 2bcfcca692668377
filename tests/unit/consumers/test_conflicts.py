"""Transactions that were in each other's way are done again, not for ever."""

import pytest

from consumers.store.database import CONFLICTS_AT_MOST, ConflictError, UnavailableError, past_conflicts


@pytest.mark.parametrize("conflicts", [0, 1, CONFLICTS_AT_MOST - 1])
async def test_a_conflict_is_followed_by_another_try(conflicts: int) -> None:
    tries = iter([*[ConflictError("deadlock")] * conflicts, None])

    async def work() -> str:
        if (error := next(tries)) is not None:
            raise error
        return "done"

    assert await past_conflicts(work) == "done"


@pytest.mark.parametrize(
    ("error", "tries"),
    [(ConflictError("deadlock"), CONFLICTS_AT_MOST), (UnavailableError("gone"), 1)],
    ids=str,
)
async def test_conflict_after_conflict_and_anything_else_is_told(error: Exception, tries: int) -> None:
    tried = 0

    async def work() -> None:
        nonlocal tried
        tried += 1
        raise error

    with pytest.raises(type(error)):
        await past_conflicts(work)
    assert tried == tries
