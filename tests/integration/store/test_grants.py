"""Sharing with every account: `*` and SHARE_WITH=all, accounts that join, and grants that come back."""

import asyncio

import pytest

from consumers.projection.seen import Hint, Kind, Seen
from tests.integration.store.world import World
from tests.unit.consumers.sightings import (
    account,
    at,
    card,
    connected_card,
    connected_customer,
    customer,
)


async def _grants(world: World) -> dict[tuple[str, str], tuple[bool, bool, bool]]:
    """By customer and account: named, by all, wanted."""
    rows = await world.sql.fetch(
        "SELECT customer_id, account_id, granted_by_metadata, granted_by_all, wanted FROM offshoot.share"
    )
    return {(row[0], row[1]): (row[2], row[3], row[4]) for row in rows}


async def test_everything_is_every_account_that_was_heard_of(world: World) -> None:
    """Not one that was only named, nor one that was first heard of as taken away."""
    await world.see(
        account(1, name="acct_1", whole=True),
        account(1, name="acct_2", card_payments="active"),
        account(1, name="acct_gone", connected=False),
        customer(1, "acct_named", name="cus_other"),
    )

    await world.see(customer(2, everywhere=True))

    shared = {account for customer, account in await _grants(world) if customer == "cus_P"}
    assert shared == {"acct_1", "acct_2"}
    assert await world.due() == [("cus_P", "acct_1"), ("cus_P", "acct_2"), ("cus_other", "acct_named")]


async def test_what_is_named_and_what_all_mean_stand_side_by_side(world: World) -> None:
    await world.see(account(1, name="acct_1"), account(1, name="acct_2"))
    await world.see(customer(2, "acct_1", everywhere=True))
    assert await _grants(world) == {
        ("cus_P", "acct_1"): (True, True, True),
        ("cus_P", "acct_2"): (False, True, True),
    }
    await world.settle()

    await world.see(customer(3, "acct_1"))

    assert await _grants(world) == {
        ("cus_P", "acct_1"): (True, False, True),
        ("cus_P", "acct_2"): (False, False, False),
    }
    assert await world.due() == [("cus_P", "acct_1"), ("cus_P", "acct_2")]


async def test_a_deleted_customer_is_shared_with_nobody(world: World) -> None:
    await world.see(account(1), customer(1, everywhere=True))

    await world.see(customer(2, everywhere=True, deleted=True))
    await world.see(account(3, name="acct_2"))
    await world.expand()

    assert await _grants(world) == {("cus_P", "acct_1"): (False, False, False)}


@pytest.mark.parametrize(
    "first",
    [
        account(2, name="acct_new", card_payments="active"),
        account(2, name="acct_new", connected=True),
        connected_card(2, on="acct_new"),
        connected_customer(2, on="acct_new"),
    ],
    ids=["capability", "access", "a method on it", "a customer on it"],
)
async def test_a_new_account_joins_with_its_first_event(world: World, first: Seen) -> None:
    """Each customer that shares with all gets a share with it; another one gets none."""
    await world.see(customer(1, everywhere=True), customer(1, name="cus_Q", everywhere=True))
    await world.see(customer(1, "acct_named", name="cus_other"))

    await world.see(first)
    await world.expand()

    shared = {pair for pair, grants in (await _grants(world)).items() if grants == (False, True, True)}
    assert shared == {("cus_P", "acct_new"), ("cus_Q", "acct_new")}
    assert {("cus_P", "acct_new"), ("cus_Q", "acct_new")} < set(await world.due())


@pytest.mark.parametrize(
    "event",
    [account(2, name="acct_new", connected=False), Hint(Kind.ACCOUNT, "acct_new", at(2))],
    ids=["taken away", "a hint"],
)
async def test_what_only_doubts_an_account_does_not_join_it(world: World, event: Seen) -> None:
    """A thin event of Accounts v2 may tell of one that is no connected account: its reading says so."""
    await world.see(customer(1, everywhere=True))

    await world.see(event)
    await world.expand()

    assert await _grants(world) == {}


async def test_a_reading_joins_an_account(world: World) -> None:
    await world.see(customer(1, everywhere=True), Hint(Kind.ACCOUNT, "acct_1", at(1)))

    await world.read(await world.doubt(Kind.ACCOUNT, "acct_1"), account(9, card_payments="active"))
    await world.expand()

    assert await _grants(world) == {("cus_P", "acct_1"): (False, True, True)}


async def test_an_account_joins_once(world: World) -> None:
    """What is heard of it later starts nothing."""
    await world.see(account(1), connected_customer(1), customer(1, everywhere=True))
    await world.expand()

    await world.see(account(2, card_payments="active"), connected_customer(2, default="pm_C"))

    assert await world.expand() == 0


async def test_a_new_account_and_a_grant_of_everything_never_miss_each_other(world: World) -> None:
    """Twenty rounds of both at once, in two transactions: each pair becomes a share."""
    for n in range(20):
        await asyncio.gather(
            world.see(account(1, name=f"acct_{n}", card_payments="active")),
            world.see(customer(1, name=f"cus_{n}", everywhere=True)),
        )
    await world.expand()

    wanted = {pair for pair, (_, by_all, _) in (await _grants(world)).items() if by_all}
    assert wanted == {(f"cus_{c}", f"acct_{a}") for c in range(20) for a in range(20)}


@pytest.mark.parametrize("commanded", [False, True], ids=["", "granted by command all along"])
@pytest.mark.parametrize("reason", ["detached_on_account", "connected_customer_deleted", "share_revoked"])
async def test_a_grant_that_comes_back_takes_up_what_others_ended(
    world: World, reason: str, *, commanded: bool
) -> None:
    await world.see(customer(1, "acct_1"), card(1))
    await world.sql.execute("UPDATE offshoot.share SET granted_by_command = $1", commanded)
    share = await world.share()
    await world.sql.execute(
        "INSERT INTO offshoot.clone (share_id, platform_payment_method_id, generation, state, reason)"
        " VALUES ($1, 'pm_P', 1, 'absent', $2)",
        share["id"],
        reason,
    )
    await world.sql.execute("UPDATE offshoot.share SET connected_customer_deleted_at = now()")
    await world.see(customer(2, "acct_1", default="pm_P"))
    assert (await world.share())["connected_customer_deleted_at"] is not None, "it was wanted all along"
    await world.see(customer(3))
    assert (await world.share())["connected_customer_deleted_at"] is not None, (
        "taken back, it is no new grant"
    )

    await world.see(customer(4, "acct_1"))

    assert (await world.share())["connected_customer_deleted_at"] is None
    assert await world.sql.fetchval("SELECT taken_up FROM offshoot.clone")


@pytest.mark.parametrize("by_us", [False, True])
async def test_a_grant_that_comes_back_takes_up_what_nobody_has_said_was_detached(
    world: World, *, by_us: bool
) -> None:
    """What we detached ourselves is made again without that."""
    await world.see(customer(1, "acct_1"), card(1))
    await world.sql.execute(
        "INSERT INTO offshoot.clone (share_id, platform_payment_method_id, generation, recovery_point,"
        " connected_payment_method_id, state) VALUES ($1, 'pm_P', 1, 'attached', 'pm_C', 'ready')",
        (await world.share())["id"],
    )
    position = await world.sql.fetchval("SELECT position FROM offshoot.cursor WHERE name = 'installation'")
    key = f"offshoot:{position}:acct_1:pm_C:detach:1" if by_us else None
    await world.see(connected_card(2, detached=True, key=key))

    await world.see(customer(3))
    await world.see(customer(4, "acct_1"))

    assert await world.sql.fetchval("SELECT taken_up FROM offshoot.clone") is not by_us


async def test_a_grant_does_not_lose_to_a_share_that_a_command_makes_meanwhile(world: World) -> None:
    """The command's transaction is open when the customer's event comes."""
    await world.see(customer(1), account(1))
    command = world.sql.transaction()
    await command.start()
    await world.sql.execute(
        "INSERT INTO offshoot.share (customer_id, account_id, granted_by_command, mark, due_at)"
        " VALUES ('cus_P', 'acct_1', true, 1, now())"
    )
    named = await world.start(world.see(customer(2, "acct_1")))
    await command.commit()
    await named

    share = await world.share()
    assert (share["granted_by_metadata"], share["granted_by_command"]) == (True, True)
