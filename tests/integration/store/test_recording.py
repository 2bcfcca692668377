"""What is recorded behind the fence, step by step, and what it announces: together or not at all."""

import asyncio
from dataclasses import replace
from typing import Any

import asyncpg
import msgspec
import pytest

from consumers.clone.facts import CloneFacts, Connected, MethodFacts, Outcome, RecoveryPoint, Step
from consumers.store.database import StoreError
from consumers.store.outbox import CHANNEL_OUTBOX, SILENT_AT_MOST_S, OutboxRow
from consumers.store.shares import Lease
from schemas.records import Reason, State
from tests.integration.store.world import World
from tests.support.waiting import until
from tests.unit.consumers.shares import NOW, intent
from tests.unit.consumers.sightings import account, card, customer


class _Stopped(Exception):  # noqa: N818 -- the process dies here
    pass


def _made(about: MethodFacts) -> Connected:
    return Connected(f"{about.id}-clone", about.generation)


async def _published(world: World) -> list[OutboxRow]:
    return await world.outbox.read(100)


async def _reach(world: World, lease: Lease, point: RecoveryPoint) -> MethodFacts:
    """Bring the first method of a share so far, by way of creating the customer."""
    about, *_ = (await world.shares.load(lease)).methods
    async with world.shares.fenced(lease) as recording:
        await recording.plan_clone(about, NOW)
        if point is not RecoveryPoint.PLANNED:
            await recording.cloned(about, _made(about), NOW, "req_1")
        if point is RecoveryPoint.ATTACHED:
            await recording.connected_customer("cus_C", f"{about.id}-clone")
            await recording.attached(about, _made(about), NOW, "req_2")
    found, *_ = (await world.shares.load(lease)).methods
    return found


async def test_what_a_worker_loads(world: World) -> None:
    """Everything the decision needs, and nothing recorded yet."""
    await world.see(
        account(1, whole=True, card_payments="active"),
        customer(1, "acct_1", default="pm_2", profile={"name": "Jenny"}),
        card(1, name="pm_1"),
        card(2, name="pm_2"),
        card(0, name="pm_3", detached=True, opted_out=True),
        card(0, name="pm_X", of="cus_X"),
    )
    (lease,) = await world.shares.claim(10)

    facts = await world.shares.load(lease)

    assert (facts.account.id, facts.account.known, facts.account.capabilities) == (
        "acct_1",
        True,
        {"card_payments": "active"},
    )
    assert (facts.customer.id, facts.customer.deleted, facts.customer.profile) == (
        "cus_P",
        False,
        {"name": "Jenny"},
    )
    assert (facts.wanted, facts.connected_customer_id, facts.open_intent) == (True, None, None)
    assert facts.methods == (
        MethodFacts("pm_2", "card", 1),
        MethodFacts("pm_3", "card", 1, opted_out=True, detached=True),
        MethodFacts("pm_1", "card", 1),
    ), "the customer's default first, then the oldest"


@pytest.mark.parametrize("point", list(RecoveryPoint))
async def test_a_recovery_point_outlives_the_worker(world: World, point: RecoveryPoint) -> None:
    lease = await world.see_share()

    about = await _reach(world, lease, point)

    clone_id = None if point is RecoveryPoint.PLANNED else "pm_P-clone"
    assert about.clone == CloneFacts(point, clone_id, State.PENDING, None)
    connected = "cus_C" if point is RecoveryPoint.ATTACHED else None
    assert (await world.shares.load(lease)).connected_customer_id == connected


async def test_an_intent_is_loaded_letter_by_letter(world: World) -> None:
    """A repeat sends exactly what was recorded, the order of its parameters too."""
    lease = await world.see_share()
    opened = replace(intent(Step.CLONE), parameters={"z": "1", "a": {"y": "ä", "b": None}})
    async with world.shares.fenced(lease) as recording:
        await recording.open_intent(opened)

    loaded = (await world.shares.load(lease)).open_intent
    assert loaded == opened
    assert loaded is not None
    assert list(loaded.parameters) == ["z", "a"]


async def test_epochs_are_counted_by_step_and_object(world: World) -> None:
    lease = await world.see_share()
    async with world.shares.fenced(lease) as recording:
        assert await recording.next_epoch(Step.CLONE, "pm_P1.1") == 1
        await recording.open_intent(intent(Step.CLONE))
        await recording.conclude_intent(Outcome.VOID, None)

        assert await recording.next_epoch(Step.CLONE, "pm_P1.1") == 2
        assert await recording.next_epoch(Step.CLONE, "pm_P1.2") == 1
        assert await recording.next_epoch(Step.ATTACH, "pm_P1.1") == 1


@pytest.mark.parametrize("outcome", list(Outcome))
async def test_a_concluded_write_is_open_no_more(world: World, outcome: Outcome) -> None:
    lease = await world.see_share()
    async with world.shares.fenced(lease) as recording:
        await recording.open_intent(intent(Step.CLONE))
        await recording.conclude_intent(outcome, "req_1")

    assert (await world.shares.load(lease)).open_intent is None
    row = await world.sql.fetchrow("SELECT outcome, stripe_request_id FROM offshoot.intent")
    assert row is not None
    assert tuple(row) == (outcome, "req_1")


async def test_that_stripe_keeps_an_error_is_remembered(world: World) -> None:
    lease = await world.see_share()
    async with world.shares.fenced(lease) as recording:
        await recording.open_intent(intent(Step.CLONE))
        await recording.note_stored_error("req_1")

    opened = (await world.shares.load(lease)).open_intent
    assert opened is not None
    assert opened.stored_error


async def test_a_state_and_its_record_are_one(world: World) -> None:
    lease = await world.see_share()
    about = await _reach(world, lease, RecoveryPoint.ATTACHED)

    async with world.shares.fenced(lease) as recording:
        record = await recording.announce(about, State.READY, None, NOW)

    (row,) = await _published(world)
    assert row.value == record.to_json()
    assert msgspec.json.decode(row.value) == {
        "account": "acct_1",
        "origin": "clone",
        "state": "ready",
        "reason": None,
        "platform_customer": "cus_P",
        "platform_payment_method": "pm_P",
        "connected_customer": "cus_C",
        "connected_payment_method": "pm_P-clone",
        "type": "card",
        "default": True,
        "generation": 1,
        "version": 1,
        "livemode": False,
        "occurred_at": "2026-01-10T00:00:00Z",
    }
    assert (row.topic, row.key) == ("offshoot.payment-methods", b"acct_1:pm_P")
    assert dict(row.headers) == {
        "ce_specversion": b"1.0",
        "ce_id": b"acct_1:pm_P:1",
        "ce_type": b"offshoot.payment_method.ready",
        "ce_source": b"/offshoot",
        "ce_subject": b"acct_1:pm_P",
        "ce_time": b"2026-01-10T00:00:00Z",
        "ce_partitionkey": b"acct_1:pm_P",
        "content-type": b"application/json",
    }


async def test_neither_without_the_other(world: World) -> None:
    """What fails after both were written leaves neither, nor the steps before them."""
    lease = await world.see_share()
    about = await _reach(world, lease, RecoveryPoint.PLANNED)

    async def die() -> None:
        async with world.shares.fenced(lease) as recording:
            await recording.open_intent(intent(Step.CLONE))
            await recording.cloned(about, _made(about), NOW, "req_1")
            await recording.announce(about, State.FAILED, Reason.REFUSED, NOW)
            raise _Stopped

    with pytest.raises(_Stopped):
        await die()

    facts = await world.shares.load(lease)
    assert (facts.methods, facts.open_intent) == ((about,), None)
    assert await world.outbox_keys() == []


async def test_versions_rise_and_never_repeat(world: World) -> None:
    """A record that was rolled back leaves no gap that matters and no version twice."""
    lease = await world.see_share()
    about = await _reach(world, lease, RecoveryPoint.PLANNED)
    for reason in (Reason.CAPABILITY_INACTIVE, Reason.ACCOUNT_DISCONNECTED, Reason.CAPABILITY_INACTIVE):
        async with world.shares.fenced(lease) as recording:
            await recording.announce(about, State.BLOCKED, reason, NOW)

    records: list[dict[str, Any]] = [msgspec.json.decode(row.value) for row in await _published(world)]
    assert [record["version"] for record in records] == [1, 2, 3]


async def test_only_the_default_says_that_it_is(world: World) -> None:
    await world.see(
        account(1, whole=True, card_payments="active"),
        customer(1, "acct_1"),
        card(1, name="pm_1"),
        card(2, name="pm_2"),
    )
    (lease,) = await world.shares.claim(10)
    await _reach(world, lease, RecoveryPoint.ATTACHED)
    first, second = (await world.shares.load(lease)).methods
    async with world.shares.fenced(lease) as recording:
        await recording.plan_clone(second, NOW)
        await recording.cloned(second, _made(second), NOW, "req_3")
        await recording.attached(second, _made(second), NOW, "req_4")
        records = [await recording.announce(about, State.READY, None, NOW) for about in (first, second)]

    assert [record.default for record in records] == [True, False]


async def test_what_is_not_there_is_null(world: World) -> None:
    """Blocked before anything was made."""
    lease = await world.see_share()
    about = await _reach(world, lease, RecoveryPoint.PLANNED)
    async with world.shares.fenced(lease) as recording:
        record = await recording.announce(about, State.BLOCKED, Reason.CAPABILITY_INACTIVE, NOW)

    assert (record.connected_customer, record.connected_payment_method, record.default) == (None, None, False)


async def test_what_was_not_found_for_one_step_counts_for_no_other(world: World) -> None:
    """Each has what it misses read first, before it counts as failed."""
    lease = await world.see_share()
    about = await _reach(world, lease, RecoveryPoint.PLANNED)
    async with world.shares.fenced(lease) as recording:
        assert [await recording.missing(about, NOW) for _ in range(2)] == [True, False]
        await recording.cloned(about, _made(about), NOW, "req_1")
        assert await recording.missing(about, NOW)


async def test_a_plan_is_made_once(world: World) -> None:
    """Planning again changes nothing of what was reached."""
    lease = await world.see_share()
    about = await _reach(world, lease, RecoveryPoint.CLONED)
    async with world.shares.fenced(lease) as recording:
        await recording.plan_clone(about, NOW)

    assert (await world.shares.load(lease)).methods == (about,)


async def test_one_reader_of_the_outbox_at_a_time(world: World) -> None:
    async with world.outbox.leading() as first:
        assert first is not None
        async with world.outbox.leading() as second:
            assert second is None
    async with world.outbox.leading() as again:
        assert again is not None


async def test_who_gives_no_sign_of_life_leads_no_more(world: World) -> None:
    """It is frozen: its connection looks alive, so Postgres ends the session for it."""
    async with world.outbox.leading() as silent, world.outbox.leading() as kept:
        assert (silent is not None, kept is None) == (True, True)

        async def free() -> bool:
            async with world.outbox.leading() as other:
                return other is not None

        await until(free, within_s=3 * SILENT_AT_MOST_S, what="another leads")
        assert silent is not None
        with pytest.raises(StoreError):
            await silent.keep()


async def test_who_gives_signs_of_life_goes_on_leading(world: World) -> None:
    async with world.outbox.leading() as leader:
        assert leader is not None
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(leader.keep(), SILENT_AT_MOST_S + 1)
        async with world.outbox.leading() as other:
            assert other is None


async def test_the_outbox_is_read_in_order_and_forgets_what_is_deleted(world: World) -> None:
    lease = await world.see_share()
    about = await _reach(world, lease, RecoveryPoint.PLANNED)
    for reason in (Reason.CAPABILITY_INACTIVE, Reason.ACCOUNT_DISCONNECTED, Reason.CAPABILITY_INACTIVE):
        async with world.shares.fenced(lease) as recording:
            await recording.announce(about, State.BLOCKED, reason, NOW)

    rows = await world.outbox.read(2)
    assert await world.outbox.read(2) == rows, "until they are deleted"
    await world.outbox.delete(rows)
    rest = await world.outbox.read(2)

    ids = [row.id for row in (*rows, *rest)]
    assert ids == sorted(ids)
    assert [len(rows), len(rest)] == [2, 1]


async def test_the_relay_is_told_when_the_record_is_committed(world: World, migrated: str) -> None:
    """Not before, and not at all when it is rolled back."""
    told = asyncio.Event()
    listener = await asyncpg.connect(migrated)
    await listener.add_listener(CHANNEL_OUTBOX, lambda *_: told.set())
    lease = await world.see_share()
    about = await _reach(world, lease, RecoveryPoint.PLANNED)
    async with world.shares.fenced(lease) as recording:
        await recording.announce(about, State.BLOCKED, Reason.CAPABILITY_INACTIVE, NOW)
        await listener.fetchval("SELECT 1")
        assert not told.is_set()
    async with asyncio.timeout(5):
        await told.wait()
    await listener.close()


async def test_the_age_of_the_outbox_is_that_of_its_oldest_record(world: World) -> None:
    assert await world.outbox.oldest_s() == 0
    lease = await world.see_share()
    about = await _reach(world, lease, RecoveryPoint.PLANNED)
    async with world.shares.fenced(lease) as recording:
        await recording.announce(about, State.BLOCKED, Reason.CAPABILITY_INACTIVE, NOW)
    await world.sql.execute("UPDATE offshoot.outbox SET added_at = now() - interval '90 s'")
    async with world.shares.fenced(lease) as recording:
        await recording.announce(about, State.BLOCKED, Reason.ACCOUNT_DISCONNECTED, NOW)
    assert 90 <= await world.outbox.oldest_s() < 120
