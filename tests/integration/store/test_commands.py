"""Commands in Postgres: named once, held by one worker, and grants that are carried out with them."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from consumers.clone.facts import Outcome
from consumers.commands.facts import CommandIntent, Step
from consumers.projection.seen import Kind
from consumers.store.commands import CommandLease, CommandStore
from consumers.store.grants import Grants
from consumers.store.shares import LeaseLostError
from schemas.commands import (
    CloneOnce,
    Command,
    CommandName,
    CommandType,
    GrantShare,
    MethodMade,
    Order,
    RefusedCommand,
    Rejected,
    RejectReason,
    RevokeShare,
    SaveDirect,
    key_of,
)
from tests.integration.store.world import LEASE_S, World
from tests.unit.consumers.sightings import account, connected_card, connected_customer, customer

ONCE = CloneOnce(payment_method="pm_P", account="acct_1")
CONSUME = CloneOnce(payment_method="pm_P", account="acct_1", consume=True)
GRANT = GrantShare(customer="cus_P", account="acct_1")
MADE = MethodMade(connected_payment_method="pm_C")


def _command(order: Order, name: str = "one", *, source: str = "/shop") -> Command:
    return Command(CommandName(source, name, key_of(order)), CommandType.CLONE_ONCE, order, None)


@pytest.fixture
def store(world: World) -> CommandStore:
    return CommandStore(
        world.database, world.outbox, world.projections, Grants(world.direct), lease_s=LEASE_S
    )


async def _held(store: CommandStore, *orders: Order) -> list[CommandLease]:
    await store.receive([_command(order, f"command-{n}") for n, order in enumerate(orders)])
    return sorted(await store.claim(10), key=lambda lease: lease.command_id)


async def _results(world: World) -> int:
    found: int = await world.sql.fetchval(
        "SELECT count(*) FROM offshoot.outbox WHERE topic = 'offshoot.command-results'"
    )
    return found


def _intent(lease: CommandLease, *, consumes: str | None = None) -> CommandIntent:
    return CommandIntent(Step.ONCE, 1, f"key-{lease.command_id}", {}, datetime.now(UTC), consumes=consumes)


async def test_two_members_that_note_the_same_command(world: World, store: CommandStore) -> None:
    """Redelivered while the first is at it: one row, one effect."""
    orders: list[Order] = [GRANT, ONCE, SaveDirect(account="acct_1", customer="cus_C", payment_method="pm_C")]
    batch = [_command(order, f"c{n}") for n, order in enumerate(orders)]

    new = await asyncio.gather(*[store.receive(batch) for _ in range(4)])

    assert sorted(new) == [0, 0, 0, 3]
    assert await world.sql.fetchval("SELECT count(*) FROM offshoot.command") == 3
    assert (await world.share())["mark"] == 1
    assert len(await store.claim(10)) == 2
    assert await store.claim(10) == []


async def test_a_refused_command_is_told_so_and_not_worked_on(world: World, store: CommandStore) -> None:
    rejected = Rejected(reason=RejectReason.INVALID, message="x")
    await store.receive([RefusedCommand(CommandName("", "one", "one"), "", rejected)])

    assert await _results(world) == 1
    assert await store.claim(10) == []


async def test_who_lost_a_command_records_nothing(world: World, store: CommandStore) -> None:
    (first,) = await _held(store, ONCE)
    await world.sql.execute("UPDATE offshoot.command SET lease_end = now() - interval '1 s'")
    (second,) = await store.claim(10)
    assert (second.command_id, second.taken_over) == (first.command_id, True)

    with pytest.raises(LeaseLostError):
        await store.load(first)
    with pytest.raises(LeaseLostError):
        async with store.fenced(first) as recording:
            await recording.finish(MADE)
    await store.postpone(first, 60, counts=True)
    await store.release(first)
    async with store.fenced(second) as recording:
        await recording.finish(MADE)

    assert await _results(world) == 1
    with pytest.raises(LeaseLostError):
        await store.load(second)


async def test_a_failure_counts_and_a_wait_does_not(store: CommandStore) -> None:
    (lease,) = await _held(store, ONCE)
    await store.postpone(lease, 0, counts=False)
    (lease,) = await store.claim(10)
    assert (await store.load(lease)).failing_since is None
    await store.postpone(lease, 0, counts=True)
    (lease,) = await store.claim(10)
    command = await store.load(lease)
    assert (command.attempts, command.failing_since is not None) == (1, True)
    await store.postpone(lease, 60, counts=True)
    assert await store.claim(10) == []
    next_s = await store.next_due_s()
    assert next_s is not None
    assert 50 < next_s <= 60


async def test_an_original_is_given_to_one_of_two_at_once(world: World, store: CommandStore) -> None:
    """Unless Stripe refused the first: then nothing was used up."""
    first, second = await _held(store, CONSUME, CONSUME)

    async def take(lease: CommandLease) -> bool:
        async with store.fenced(lease) as recording:
            return not await recording.is_given_away("pm_P")

    async with store.fenced(first) as recording:
        assert not await recording.is_given_away("pm_P")
        other = await world.start(take(second))
        await recording.open_intent(_intent(first, consumes="pm_P"))
    assert await other is False

    assert await store.is_given_away(second.command_id, "pm_P")
    assert not await store.is_given_away(first.command_id, "pm_P"), "its own write is no other's"
    async with store.fenced(first) as recording:
        await recording.conclude_intent(Outcome.REFUSED, None)
    assert not await store.is_given_away(second.command_id, "pm_P")


async def test_at_most_four_in_flight_on_an_account(world: World, store: CommandStore) -> None:
    """Shares and commands together."""
    await world.see_share()  # and leased
    leases = await _held(store, *[ONCE] * 6)
    assert len(leases) == 3
    assert await store.claim(10) == []

    await world.see(customer(1, "acct_1", name="cus_Q"))
    assert await world.shares.claim(10) == []
    await store.release(leases[0])
    assert len(await world.shares.claim(10)) == 1


async def test_an_account_that_stripe_wants_slower_waits(world: World, store: CommandStore) -> None:
    await world.see(account(1, whole=True))
    await world.sql.execute("UPDATE offshoot.account SET paused_until = now() + interval '5 s'")

    assert await _held(store, ONCE) == []


async def _granted(world: World) -> tuple[Any, ...]:
    share = await world.share()
    return tuple(
        share[name]
        for name in ("wanted", "granted_by_command", "command_methods", "command_excluded_methods")
    )


def _some(kind: type[GrantShare] | type[RevokeShare], *methods: str) -> Order:
    return kind(customer="cus_P", account="acct_1", payment_methods=methods or None)


@pytest.mark.parametrize(
    ("orders", "granted"),
    [
        ([_some(GrantShare)], (True, True, None, [])),
        ([_some(GrantShare, "pm_2", "pm_1", "pm_2")], (True, True, ["pm_1", "pm_2"], [])),
        ([_some(GrantShare, "pm_2"), _some(GrantShare, "pm_1")], (True, True, ["pm_1", "pm_2"], [])),
        ([_some(GrantShare, "pm_1"), _some(GrantShare)], (True, True, None, [])),
        ([_some(GrantShare), _some(GrantShare, "pm_1")], (True, True, None, [])),
        ([_some(GrantShare), _some(RevokeShare, "pm_1")], (True, True, None, ["pm_1"])),
        (
            [_some(GrantShare), _some(RevokeShare, "pm_2", "pm_1"), _some(GrantShare, "pm_1")],
            (True, True, None, ["pm_2"]),
        ),
        ([_some(GrantShare), _some(RevokeShare, "pm_1"), _some(GrantShare)], (True, True, None, [])),
        ([_some(GrantShare, "pm_1"), _some(RevokeShare, "pm_1")], (False, False, None, [])),
        ([_some(GrantShare, "pm_1"), _some(RevokeShare, "pm_2")], (True, True, ["pm_1"], [])),
        ([_some(GrantShare), _some(RevokeShare)], (False, False, None, [])),
        ([_some(GrantShare, "pm_1"), _some(RevokeShare)], (False, False, None, [])),
        ([_some(GrantShare), _some(RevokeShare, "pm_1"), _some(RevokeShare)], (False, False, None, [])),
        (
            [_some(GrantShare), _some(RevokeShare), _some(RevokeShare, "pm_1"), _some(GrantShare, "pm_1")],
            (True, True, ["pm_1"], []),
        ),
    ],
)
async def test_what_is_granted(
    world: World, store: CommandStore, orders: list[Order], granted: tuple[Any, ...]
) -> None:
    """Grants add, revocations take away."""
    await store.receive([_command(order, f"c{n}") for n, order in enumerate(orders)])

    assert await _granted(world) == granted


async def test_which_methods_a_share_is_for(world: World, store: CommandStore) -> None:
    """What metadata grants is for all of them, whatever commands say."""
    lease = await world.see_share()
    await world.sql.execute("UPDATE offshoot.share SET granted_by_metadata = false")
    for orders, wanted in [
        ([], False),
        ([_some(GrantShare, "pm_other")], False),
        ([_some(GrantShare, "pm_P")], True),
        ([_some(GrantShare), _some(RevokeShare, "pm_P")], False),
    ]:
        name = f"{wanted}{len(orders)}{orders}"
        await store.receive([_command(order, f"{name}{n}") for n, order in enumerate(orders)])
        assert (await world.method(lease)).wanted is wanted, orders
    await world.sql.execute("UPDATE offshoot.share SET granted_by_metadata = true")
    assert (await world.method(lease)).wanted


async def test_a_grant_takes_up_what_nobody_has_said_was_detached(world: World, store: CommandStore) -> None:
    lease = await world.see_share()
    await world.sql.execute(
        "INSERT INTO offshoot.clone (share_id, platform_payment_method_id, generation, recovery_point,"
        " connected_payment_method_id, state) VALUES ($1, 'pm_P', 1, 'attached', 'pm_C', 'ready')",
        lease.share_id,
    )
    await world.see(connected_card(2, detached=True))

    await store.receive([_command(GRANT)])

    assert await world.sql.fetchval("SELECT taken_up FROM offshoot.clone")


async def test_what_was_read_before_a_revocation_does_not_justify_its_detaches(
    world: World, store: CommandStore
) -> None:
    await world.see_share()
    await world.read(await world.doubt(Kind.CUSTOMER, "cus_P"), customer(2, "acct_1"))
    assert (await world.row("customer", "cus_P"))["confirmed"]

    await store.receive([_command(_some(GrantShare), "grant"), _command(_some(RevokeShare), "revoke")])

    assert not (await world.row("customer", "cus_P"))["confirmed"]


async def test_a_customer_that_was_made_for_another_is_taken_before_that_is_recorded(
    world: World, store: CommandStore
) -> None:
    """Our answer was lost, and the event of its clone tells whose it is."""
    lease = await world.see_share()
    await world.sql.execute(
        "INSERT INTO offshoot.clone (share_id, platform_payment_method_id, generation, recovery_point,"
        " connected_payment_method_id, state) VALUES ($1, 'pm_P', 1, 'cloned', 'pm_C', 'pending')",
        lease.share_id,
    )
    await world.see(connected_card(2))

    await store.receive(
        [_command(GrantShare(customer="cus_Q", account="acct_1", connected_customer="cus_C"))]
    )

    assert '"customer_taken"' in await world.sql.fetchval("SELECT result FROM offshoot.command")


async def test_an_adopted_customer_brings_its_default_and_its_direct_methods_count_as_mapped(
    world: World, store: CommandStore
) -> None:
    await world.see(connected_card(1), connected_customer(2, default="pm_C"))
    order = GrantShare(customer="cus_P", account="acct_1", connected_customer="cus_C")

    await store.receive([_command(order)])

    share = await world.share()
    assert (share["connected_customer_id"], share["connected_default_id"]) == ("cus_C", "pm_C")
    await world.see(connected_customer(1, default="pm_old"))
    assert (await world.share())["connected_default_id"] == "pm_C", "an older event comes late"


async def test_a_grant_while_the_customer_is_being_made(world: World, store: CommandStore) -> None:
    """The write is out: its outcome is awaited, nothing is adopted."""
    lease = await world.see_share()
    await world.sql.execute(
        "INSERT INTO offshoot.intent (share_id, platform_payment_method_id, step, object, epoch,"
        " idempotency_key, parameters, generation, first_tried_at)"
        " VALUES ($1, 'pm_P', 'create_customer', 'cus_P', 1, 'k', '{}', 1, now())",
        lease.share_id,
    )
    await store.receive(
        [_command(GrantShare(customer="cus_P", account="acct_1", connected_customer="cus_C"))]
    )

    assert (await world.share())["connected_customer_id"] is None
    value = await world.sql.fetchval("SELECT result FROM offshoot.command")
    assert '"customer_taken"' in value


async def test_two_grants_that_want_the_same_connected_customer(world: World, store: CommandStore) -> None:
    orders = [
        GrantShare(customer=name, account="acct_1", connected_customer="cus_C") for name in ("cus_P", "cus_Q")
    ]

    await asyncio.gather(*[store.receive([_command(order, order.customer)]) for order in orders])

    rows = await world.sql.fetch("SELECT state FROM offshoot.command ORDER BY state")
    assert [row["state"] for row in rows] == ["completed", "rejected"]


async def test_what_is_finished_is_forgotten_after_a_week_only(world: World, store: CommandStore) -> None:
    waiting, done = await _held(store, ONCE, ONCE)
    async with store.fenced(done) as recording:
        await recording.finish(MADE)
    await world.sql.execute(
        "UPDATE offshoot.command SET received_at = now() - $1::interval", timedelta(days=8)
    )

    await store.forget()

    rows = await world.sql.fetch("SELECT id FROM offshoot.command")
    assert [row["id"] for row in rows] == [waiting.command_id]
