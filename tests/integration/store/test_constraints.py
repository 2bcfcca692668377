"""What the schema makes impossible."""

from typing import Any

import asyncpg
import pytest

from consumers.clone.facts import Outcome, RecoveryPoint, Step
from schemas.records import REASONS, Reason, State
from tests.integration.store.world import Connection, World


@pytest.fixture
async def share_id(world: World) -> int:
    return (await world.see_share()).share_id


async def _is_taken(sql: Connection, statement: str, *values: Any) -> bool:
    """Whether the schema takes it; nothing of it stays."""
    transaction = sql.transaction()
    await transaction.start()
    try:
        await sql.execute(statement, *values)
    except asyncpg.CheckViolationError:
        return False
    finally:
        await transaction.rollback()
    return True


async def test_the_states_and_reasons_are_those_of_the_records(sql: Connection, share_id: int) -> None:
    """Every pair of a state or none we have, with every reason or one we have not."""
    statement = """
        INSERT INTO offshoot.clone (
            share_id, platform_payment_method_id, generation, recovery_point, connected_payment_method_id,
            state, reason
        ) VALUES ($1, 'pm_P', 1, 'attached', 'pm_C', $2, $3)
    """
    taken = {
        (state, reason)
        for state in [*State, "gone", ""]
        for reason in [None, *Reason, "because", ""]
        if await _is_taken(sql, statement, share_id, state, reason)
    }

    assert taken == {(state, reason) for state, reasons in REASONS.items() for reason in reasons}


@pytest.mark.parametrize(
    ("point", "clone_id", "state", "allowed"),
    [
        ("planned", None, "pending", True),
        ("planned", "pm_C", "pending", False),
        ("cloned", "pm_C", "pending", True),
        ("cloned", None, "pending", False),
        ("attached", None, "pending", False),
        ("attached", "pm_C", "ready", True),
        ("cloned", "pm_C", "ready", False),
        ("planned", None, "ready", False),
        ("detached", "pm_C", "pending", False),
    ],
)
async def test_recovery_point_clone_and_state_agree(
    sql: Connection, share_id: int, point: str, clone_id: str | None, state: str, *, allowed: bool
) -> None:
    statement = """
        INSERT INTO offshoot.clone (
            share_id, platform_payment_method_id, generation, recovery_point, connected_payment_method_id,
            state
        ) VALUES ($1, 'pm_P', 1, $2, $3, $4)
    """
    assert await _is_taken(sql, statement, share_id, point, clone_id, state) is allowed


INTENT = """
    INSERT INTO offshoot.intent (
        share_id, platform_payment_method_id, step, object, epoch, idempotency_key, parameters,
        generation, first_tried_at, outcome
    ) VALUES ($1, 'pm_P', $2, 'pm_P.1', $3, $4, '{}', 1, now(), $5)
"""


async def test_the_words_are_those_of_the_code(sql: Connection, share_id: int) -> None:
    steps = [step for step in [*Step, "charge"] if await _is_taken(sql, INTENT, share_id, step, 1, "k", None)]
    outcomes = [
        outcome
        for outcome in [*Outcome, "lost"]
        if await _is_taken(sql, INTENT, share_id, "clone", 1, "k", outcome)
    ]
    words = await sql.fetchval(
        "SELECT pg_get_constraintdef(oid) FROM pg_constraint WHERE conname = 'clone_recovery_point_check'"
    )

    assert (steps, outcomes) == (list(Step), list(Outcome))
    assert sorted(part for part in words.split("'")[1::2]) == sorted(RecoveryPoint)


async def test_a_share_has_one_open_write(sql: Connection, share_id: int) -> None:
    await sql.execute(INTENT, share_id, "clone", 1, "k1", "refused")
    await sql.execute(INTENT, share_id, "clone", 2, "k2", None)

    with pytest.raises(asyncpg.UniqueViolationError, match="intent_open"):
        await sql.execute(INTENT, share_id, "clone", 3, "k3", None)


async def test_a_key_and_an_epoch_are_used_once(sql: Connection, share_id: int) -> None:
    await sql.execute(INTENT, share_id, "clone", 1, "k1", "refused")

    with pytest.raises(asyncpg.UniqueViolationError, match="idempotency_key"):
        await sql.execute(INTENT, share_id, "clone", 2, "k1", "refused")
    with pytest.raises(asyncpg.UniqueViolationError, match="epoch"):
        await sql.execute(INTENT, share_id, "clone", 1, "k2", "refused")


@pytest.mark.parametrize(("length", "allowed"), [(0, False), (1, True), (255, True), (256, False)])
async def test_a_key_is_as_long_as_stripe_takes(
    sql: Connection, share_id: int, length: int, *, allowed: bool
) -> None:
    assert await _is_taken(sql, INTENT, share_id, "clone", 1, "k" * length, None) is allowed


async def test_a_connected_customer_serves_one_platform_customer(world: World, sql: Connection) -> None:
    await world.see_share()
    await world.see_other_share()
    await sql.execute("UPDATE offshoot.share SET connected_customer_id = 'cus_C' WHERE customer_id = 'cus_P'")

    with pytest.raises(asyncpg.UniqueViolationError, match="connected_customer_id"):
        await sql.execute(
            "UPDATE offshoot.share SET connected_customer_id = 'cus_C' WHERE customer_id = 'cus_Q'"
        )
