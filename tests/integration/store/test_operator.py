"""What the command line reads and writes: lists, grants, retries, the brake."""

import asyncio
from typing import Any

import pytest

from consumers.projection.spread import Priority
from consumers.store.operator import (
    CloneFilter,
    CustomerDeletedError,
    ListedShare,
    OperatorStore,
    ShareFilter,
)
from schemas.records import REASONS, Reason, State
from tests.integration.store.world import World
from tests.unit.consumers.sightings import account, card, customer

RETRYABLE = {
    *((State.FAILED, reason) for reason in REASONS[State.FAILED]),
    (State.READY, Reason.UPDATE_FAILED),
    (State.ABSENT, Reason.DETACHED_ON_ACCOUNT),
    (State.ABSENT, Reason.CONNECTED_CUSTOMER_DELETED),
}


@pytest.fixture
def desk(world: World) -> OperatorStore:
    return OperatorStore(world.database)


async def _clone(
    world: World, state: State, reason: Reason | None, *, method: str = "pm_P", account_id: str = "acct_1"
) -> int:
    """Put a clone's row there."""
    share = await world.share(account_id=account_id)
    attached = state is State.READY
    return int(
        await world.sql.fetchval(
            "INSERT INTO offshoot.clone (share_id, platform_payment_method_id, generation, state, reason,"
            " version, recovery_point, connected_payment_method_id, failed_generation)"
            " VALUES ($1, $2, 1, $3, $4, 3, $5, $6, $7) RETURNING id",
            share["id"],
            method,
            state,
            reason,
            "attached" if attached else "planned",
            f"{method}-{account_id}" if attached else None,
            1 if state is State.FAILED else None,
        )
    )


async def _taken_up(world: World) -> list[int]:
    return [
        row[0] for row in await world.sql.fetch("SELECT id FROM offshoot.clone WHERE taken_up ORDER BY id")
    ]


async def _shares(desk: OperatorStore, **which: Any) -> list[tuple[str, str]]:
    return [(each.customer, each.account) async for each in desk.shares(ShareFilter(**which))]


async def _clones(desk: OperatorStore, **which: Any) -> list[str]:
    return [each.key async for each in desk.clones(CloneFilter(**which), livemode=False)]


# -- lists


async def test_shares_are_listed_with_every_grant(world: World, desk: OperatorStore) -> None:
    await world.see(account(1), customer(1, "acct_1", everywhere=True), customer(1, "acct_2", name="cus_Q"))
    await world.sql.execute("UPDATE offshoot.share SET granted_by_command = true WHERE account_id = 'acct_1'")
    await world.sql.execute(
        "UPDATE offshoot.share SET due_at = NULL, attempts = 3, failing_since = now()"
        " WHERE account_id = 'acct_2'"
    )

    first, second = [share async for share in desk.shares(ShareFilter())]

    assert first.due_at is not None
    assert first == ListedShare(
        "cus_P",
        "acct_1",
        wanted=True,
        granted_by=("metadata", "all", "command"),
        due_at=first.due_at,
        attempts=0,
    )
    assert second == ListedShare(
        "cus_Q", "acct_2", wanted=True, granted_by=("metadata",), due_at=None, attempts=3
    )


async def test_shares_are_narrowed(world: World, desk: OperatorStore) -> None:
    await world.see(customer(1, "acct_1", "acct_2"), customer(1, "acct_1", name="cus_Q"))
    await world.see(customer(2, "acct_1"))
    await world.sql.execute(
        "UPDATE offshoot.share SET attempts = 1, failing_since = now() WHERE customer_id = 'cus_Q'"
    )

    assert await _shares(desk, customer="cus_Q") == [("cus_Q", "acct_1")]
    assert await _shares(desk, account="acct_2") == [("cus_P", "acct_2")]
    assert await _shares(desk, wanted=False) == [("cus_P", "acct_2")]
    assert await _shares(desk, failing=True) == [("cus_Q", "acct_1")]
    assert await _shares(desk, customer="cus_Q", wanted=False) == []


@pytest.mark.parametrize("chunk", [1, 2, 5, 6])
async def test_any_number_is_listed_page_by_page(world: World, chunk: int) -> None:
    names = [f"acct_{number}" for number in range(5)]
    await world.see(customer(1, *names))

    assert sorted(await _shares(OperatorStore(world.database, chunk=chunk))) == [
        ("cus_P", name) for name in names
    ]


async def test_clones_are_listed_as_their_records(world: World, desk: OperatorStore) -> None:
    await world.see(account(1), customer(1, "acct_1", "acct_2"), card(1), card(1, name="pm_Q"))
    await _clone(world, State.FAILED, Reason.CARD_DECLINED)
    await _clone(world, State.READY, None, method="pm_Q", account_id="acct_2")

    failed, ready = [each async for each in desk.clones(CloneFilter(), livemode=True)]

    assert (failed.key, failed.state, failed.reason, failed.version) == (
        "acct_1:pm_P",
        "failed",
        "card_declined",
        3,
    )
    assert (failed.platform_customer, failed.type, failed.livemode) == ("cus_P", "card", True)
    assert (ready.key, ready.connected_payment_method) == ("acct_2:pm_Q", "pm_Q-acct_2")
    assert failed.occurred_at.endswith("Z")


@pytest.mark.parametrize(
    ("which", "expected"),
    [
        ({"states": [State.FAILED]}, ["acct_1:pm_P"]),
        ({"states": [State.FAILED, State.READY]}, ["acct_1:pm_P", "acct_2:pm_P"]),
        ({"states": []}, ["acct_1:pm_P", "acct_2:pm_P", "acct_1:pm_Q"]),
        ({"reason": Reason.SHARE_REVOKED}, ["acct_1:pm_Q"]),
        ({"account": "acct_2"}, ["acct_2:pm_P"]),
        ({"payment_method": "pm_P", "account": "acct_1"}, ["acct_1:pm_P"]),
        ({"customer": "cus_other"}, []),
    ],
    ids=str,
)
async def test_clones_are_narrowed(
    world: World, desk: OperatorStore, which: dict[str, Any], expected: list[str]
) -> None:
    await world.see(customer(1, "acct_1", "acct_2"), card(1), card(1, name="pm_Q"))
    await _clone(world, State.FAILED, Reason.CARD_DECLINED)
    await _clone(world, State.READY, None, account_id="acct_2")
    await _clone(world, State.ABSENT, Reason.SHARE_REVOKED, method="pm_Q")

    assert await _clones(desk, **which) == expected


# -- grants


async def test_a_grant_stands_beside_the_metadata(world: World, desk: OperatorStore) -> None:
    """Whichever goes first, the other holds; the share is urgent and due by each."""
    await world.see(account(1), customer(1, "acct_1"))
    await world.settle()

    granted = await desk.grant("cus_P", "acct_1")
    assert granted.granted_by == ("metadata", "command")
    assert await world.due() == [("cus_P", "acct_1")]
    await world.see(customer(2))
    assert (await world.share())["wanted"]

    await world.settle()
    revoked = await desk.revoke("cus_P", "acct_1")
    assert revoked is not None
    assert (revoked.wanted, revoked.granted_by) == (False, ())
    assert await world.due() == [("cus_P", "acct_1")]


async def test_what_commands_granted_of_some_methods_is_widened_and_revoked(
    world: World, desk: OperatorStore
) -> None:
    await world.see(customer(1))
    for change in ("command_methods = '{pm_P}'", "command_excluded_methods = '{pm_P}'"):
        await desk.grant("cus_P", "acct_1")
        await world.sql.execute(f"UPDATE offshoot.share SET {change}")  # noqa: S608
        await desk.grant("cus_P", "acct_1")
        share = await world.share()
        assert (share["command_methods"], share["command_excluded_methods"]) == (None, [])

        await world.sql.execute(f"UPDATE offshoot.share SET {change}")  # noqa: S608
        await desk.revoke("cus_P", "acct_1")
        assert not (await world.share())["wanted"]


async def test_what_is_not_known_is_read(world: World, desk: OperatorStore) -> None:
    """The account by the worker, before its first write; the customer by the reader."""
    await desk.grant("cus_P", "acct_1")

    assert (await world.row("customer", "cus_P"))["refresh_at"] is not None
    assert await world.due() == [("cus_P", "acct_1")]


async def test_what_is_known_is_not_read(world: World, desk: OperatorStore) -> None:
    await world.see(account(1, whole=True), customer(1))

    await desk.grant("cus_P", "acct_1")

    assert (await world.row("customer", "cus_P"))["refresh_at"] is None


async def test_a_deleted_customer_is_not_shared(world: World, desk: OperatorStore) -> None:
    await world.see(customer(1), customer(2, deleted=True))

    with pytest.raises(CustomerDeletedError):
        await desk.grant("cus_P", "acct_1")

    assert await _shares(desk) == []


@pytest.mark.parametrize("reason", [Reason.DETACHED_ON_ACCOUNT, Reason.CONNECTED_CUSTOMER_DELETED])
async def test_a_grant_takes_up_what_was_ended_on_the_account(
    world: World, desk: OperatorStore, reason: Reason
) -> None:
    """Also where it is granted already; what failed needs a retry."""
    await world.see(customer(1, "acct_1"), card(1), card(1, name="pm_Q"))
    ended = await _clone(world, State.ABSENT, reason)
    await _clone(world, State.FAILED, Reason.CARD_DECLINED, method="pm_Q")
    await world.sql.execute("UPDATE offshoot.share SET connected_customer_deleted_at = now()")

    await desk.grant("cus_P", "acct_1")

    assert await _taken_up(world) == [ended]
    assert (await world.share())["connected_customer_deleted_at"] is None


async def test_only_what_a_command_granted_is_revoked(world: World, desk: OperatorStore) -> None:
    assert await desk.revoke("cus_P", "acct_1") is None
    await world.see(customer(1, "acct_1"))
    await world.settle()

    share = await desk.revoke("cus_P", "acct_1")

    assert share is not None
    assert share.granted_by == ("metadata",)


async def test_a_grant_and_the_customers_event_do_not_deadlock(world: World, desk: OperatorStore) -> None:
    """Fifteen rounds of both at once: each share has both grants."""
    for number in range(15):
        name = f"cus_{number}"
        await asyncio.gather(
            desk.grant(name, "acct_1"), world.see(account(1), customer(1, "acct_1", name=name))
        )

    rows = await world.sql.fetch("SELECT granted_by_metadata AND granted_by_command FROM offshoot.share")
    assert [row[0] for row in rows] == [True] * 15


# -- retries


@pytest.mark.parametrize(
    ("state", "reason"),
    sorted((state, reason) for state, reasons in REASONS.items() for reason in reasons if reason is not None),
    ids=str,
)
async def test_what_waits_for_a_person_is_taken_up(
    world: World, desk: OperatorStore, state: State, reason: Reason
) -> None:
    """Each state and reason: what goes on by itself, or is so on purpose, is left alone."""
    await world.see(customer(1, "acct_1"), card(1))
    await _clone(world, state, reason)
    await world.settle()
    before = (await world.share())["mark"]
    waits = (state, reason) in RETRYABLE

    assert await desk.retry(None, None, lambda _: None) == int(waits)

    assert len(await _taken_up(world)) == int(waits)
    share = await world.share()
    assert (share["mark"] - before, share["due_at"] is not None) == (int(waits), waits)


async def test_a_retry_is_narrowed(world: World, desk: OperatorStore) -> None:
    await world.see(customer(1, "acct_1", "acct_2"), card(1), card(1, name="pm_Q"))
    first = await _clone(world, State.FAILED, Reason.REFUSED)
    second = await _clone(world, State.FAILED, Reason.REFUSED, account_id="acct_2")
    third = await _clone(world, State.FAILED, Reason.REFUSED, method="pm_Q")

    assert await desk.retry("acct_2", None, lambda _: None) == 1
    assert await _taken_up(world) == [second]
    assert await desk.retry(None, "pm_Q", lambda _: None) == 1
    assert await _taken_up(world) == [second, third]
    assert await desk.retry("acct_2", "pm_Q", lambda _: None) == 0
    assert await desk.retry(None, None, lambda _: None) == 3
    assert await _taken_up(world) == [first, second, third]


async def test_a_retry_lets_the_connected_customer_be_made_anew(world: World, desk: OperatorStore) -> None:
    await world.see(customer(1, "acct_1"), card(1))
    await _clone(world, State.ABSENT, Reason.CONNECTED_CUSTOMER_DELETED)
    await world.sql.execute("UPDATE offshoot.share SET connected_customer_deleted_at = now()")

    await desk.retry("acct_1", None, lambda _: None)

    assert (await world.share())["connected_customer_deleted_at"] is None


async def test_a_wide_retry_goes_in_chunks_behind_what_is_urgent(world: World) -> None:
    """The first chunk is urgent, the others bulk; it says how far it is."""
    accounts = [f"acct_{number}" for number in range(5)]
    await world.see(customer(1, *accounts), card(1))
    for name in accounts:
        await _clone(world, State.FAILED, Reason.REFUSED, account_id=name)
    await world.settle()
    told: list[int] = []

    assert await OperatorStore(world.database, chunk=2).retry(None, "pm_P", told.append) == 5

    assert told == [2, 4]
    rows = await world.sql.fetch("SELECT priority FROM offshoot.share WHERE due_at IS NOT NULL ORDER BY id")
    assert [row[0] for row in rows] == [Priority.URGENT] * 2 + [Priority.BULK] * 3


async def test_a_retry_waits_for_the_worker_that_records(world: World, desk: OperatorStore) -> None:
    """What the worker records meanwhile counts: a clone that is ready by then is not taken up."""
    lease = await world.see_share()
    clone = await _clone(world, State.FAILED, Reason.REFUSED)
    async with world.shares.fenced(lease):
        retrying = await world.start(desk.retry(None, None, lambda _: None))
        await world.sql.execute(
            "UPDATE offshoot.clone SET state = 'ready', reason = NULL, recovery_point = 'attached',"
            " connected_payment_method_id = 'pm_C' WHERE id = $1",
            clone,
        )

    assert await retrying == 0
    assert await _taken_up(world) == []


# -- the brake


async def _engage(world: World) -> None:
    await world.sql.execute("UPDATE offshoot.brake SET engaged_at = now()")


async def test_releasing_the_brake_makes_due_what_it_held_back(world: World, desk: OperatorStore) -> None:
    await _engage(world)
    lease = await world.see_share()
    await world.see_other_share()
    await world.shares.finish(lease, await world.mark_of(lease), braked=True)
    assert (await world.share())["due_at"] is None

    released = await desk.release_brake(lambda _: None)

    assert (released.engaged_at is not None, released.shares) == (True, 1)
    assert await world.sql.fetchval("SELECT engaged_at FROM offshoot.brake") is None
    share = await world.share()
    assert (share["due_at"] is not None, share["priority"]) == (True, Priority.BULK)


async def test_a_wide_release_goes_in_chunks(world: World) -> None:
    await _engage(world)
    await world.see(customer(1, *(f"acct_{number}" for number in range(5))))
    await world.settle()
    await world.sql.execute("UPDATE offshoot.share SET braked = true WHERE account_id <> 'acct_0'")
    told: list[int] = []

    released = await OperatorStore(world.database, chunk=2).release_brake(told.append)

    assert (released.shares, told) == (4, [2, 4])
    assert await world.due() == [("cus_P", f"acct_{number}") for number in range(1, 5)]


async def test_a_brake_that_is_not_engaged(desk: OperatorStore) -> None:
    released = await desk.release_brake(lambda _: None)

    assert (released.engaged_at, released.shares) == (None, 0)


async def test_a_share_that_came_to_rest_as_the_brake_was_released_is_due(
    world: World, desk: OperatorStore
) -> None:
    """Its facts were loaded before, and it is put to rest after: it does not rest for ever."""
    await _engage(world)
    lease = await world.see_share()
    mark = await world.mark_of(lease)

    await desk.release_brake(lambda _: None)
    await world.shares.finish(lease, mark, braked=True)

    assert await world.due() == [("cus_P", "acct_1")]


async def test_a_share_that_comes_to_rest_waits_for_a_release_under_way(world: World) -> None:
    """Neither can pass the other: it sees the brake as it will be."""
    await _engage(world)
    lease = await world.see_share()
    mark = await world.mark_of(lease)
    releasing = world.sql.transaction()
    await releasing.start()
    await world.sql.execute("UPDATE offshoot.brake SET engaged_at = NULL")

    resting = await world.start(world.shares.finish(lease, mark, braked=True))
    await releasing.commit()
    await resting

    assert await world.due() == [("cus_P", "acct_1")]
