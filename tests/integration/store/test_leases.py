"""Claiming, holding and giving back shares; the fence against a former holder."""

import asyncio
from datetime import timedelta

import pytest

from consumers.clone.facts import Outcome, Step
from consumers.store.shares import Lease, LeaseLostError
from schemas.records import Reason, State
from tests.integration.store.world import LEASE_S, World
from tests.unit.consumers.shares import NOW, intent
from tests.unit.consumers.sightings import account, card, customer


async def _expire(world: World) -> None:
    """As if a lease's time had passed."""
    await world.sql.execute(
        "UPDATE offshoot.share SET lease_end = now() - interval '1 second' WHERE lease_end IS NOT NULL"
    )


async def test_a_held_share_is_passed_over(world: World) -> None:
    lease = await world.see_share()

    assert lease == Lease(lease.share_id, 1, taken_over=False)
    assert await world.shares.claim(10) == []


async def test_a_share_that_is_not_due_is_passed_over(world: World) -> None:
    await world.see(customer(1, "acct_1"))
    await world.sql.execute("UPDATE offshoot.share SET due_at = now() + interval '1 minute'")

    assert await world.shares.claim(10) == []
    assert 50 < (await world.shares.next_due_s() or 0) <= 60


async def test_nothing_waits(world: World) -> None:
    assert await world.shares.next_due_s() is None
    assert (await world.shares.backlog()).due == 0


async def test_at_most_so_many_the_longest_due_first_and_urgent_before_bulk(world: World) -> None:
    names = ["acct_1", "acct_2", "acct_3", "acct_4"]
    await world.see(customer(1, *names))
    for name, age, priority in [("acct_1", 1, 0), ("acct_2", 3, 0), ("acct_3", 2, 0), ("acct_4", 9, 1)]:
        await world.sql.execute(
            "UPDATE offshoot.share SET due_at = now() - $2::interval, priority = $3 WHERE account_id = $1",
            name,
            timedelta(minutes=age),
            priority,
        )

    claims = [
        [await _account(world, lease) for lease in await world.shares.claim(limit)] for limit in (1, 2, 9)
    ]

    assert [claims[0], sorted(claims[1]), claims[2]] == [["acct_2"], ["acct_1", "acct_3"], ["acct_4"]]


async def _account(world: World, lease: Lease) -> str:
    return (await world.shares.load(lease)).account.id


async def test_two_workers_at_once_never_claim_the_same(world: World) -> None:
    await world.see(*[customer(1, f"acct_{n}", name=f"cus_{n}") for n in range(40)])

    claims = await asyncio.gather(*[world.shares.claim(5) for _ in range(8)])

    claimed = [lease.share_id for leases in claims for lease in leases]
    assert len(claimed) == len(set(claimed)) == 40


async def test_a_share_locked_by_another_transaction_is_passed_over_without_waiting(world: World) -> None:
    await world.see(customer(1, "acct_1", "acct_2"))
    async with world.sql.transaction():
        await world.sql.execute("SELECT FROM offshoot.share WHERE account_id = 'acct_1' FOR UPDATE")
        leases = await world.shares.claim(10)

    assert [await _account(world, lease) for lease in leases] == ["acct_2"]


async def test_an_expired_lease_is_taken_over(world: World) -> None:
    lease = await world.see_share()
    await _expire(world)

    assert await world.shares.claim(10) == [Lease(lease.share_id, lease.token + 1, taken_over=True)]


async def test_a_token_is_never_used_again(world: World) -> None:
    """However the share was given back."""
    tokens = [(await world.see_share()).token]
    for end in ("finish", "release", "postpone", "expire"):
        lease = Lease((await world.share())["id"], tokens[-1])
        if end == "finish":
            await world.shares.finish(lease, (await world.share())["mark"])
        elif end == "release":
            await world.shares.release(lease)
        elif end == "postpone":
            await world.shares.postpone(lease, await world.mark_of(lease), 1)
        else:
            await _expire(world)
        await world.sql.execute("UPDATE offshoot.share SET due_at = now()")
        tokens += [claimed.token for claimed in await world.shares.claim(10)]

    assert tokens == [1, 2, 3, 4, 5]


async def test_a_former_holder_records_nothing(world: World) -> None:
    """Neither a state nor a record nor a write; nor can it load, finish, postpone or release."""
    former = await world.see_share()
    about = await world.method(former)
    await _expire(world)
    (holder,) = await world.shares.claim(10)
    before = await world.share()

    async def record() -> None:
        async with world.shares.fenced(former) as recording:
            await recording.plan_clone(about, NOW)
            await recording.announce(about, State.BLOCKED, Reason.CAPABILITY_INACTIVE, NOW)

    with pytest.raises(LeaseLostError):
        await record()
    with pytest.raises(LeaseLostError):
        await world.shares.load(former)
    await world.shares.finish(former, before["mark"])
    await world.shares.postpone(former, await world.mark_of(former), 5)
    await world.shares.release(former)

    assert await world.share() == before
    assert await world.sql.fetchval("SELECT count(*) FROM offshoot.clone") == 0
    assert await world.outbox_keys() == []
    assert (await world.shares.load(holder)).id == holder.share_id


@pytest.mark.parametrize("given_back", ["finish", "release", "postpone"])
async def test_who_gave_it_back_records_nothing(world: World, given_back: str) -> None:
    lease = await world.see_share()
    match given_back:
        case "finish":
            await world.shares.finish(lease, (await world.share())["mark"])
        case "release":
            await world.shares.release(lease)
        case _:
            await world.shares.postpone(lease, await world.mark_of(lease), 1)

    with pytest.raises(LeaseLostError):
        async with world.shares.fenced(lease):
            pass


async def test_recording_renews_the_lease(world: World) -> None:
    lease = await world.see_share()
    await world.sql.execute("UPDATE offshoot.share SET lease_end = now() + interval '1 second'")

    async with world.shares.fenced(lease):
        pass

    left = await world.sql.fetchval(
        "SELECT extract(epoch FROM lease_end - now())::float8 FROM offshoot.share"
    )
    assert LEASE_S - 10 < left <= LEASE_S


async def test_a_takeover_passes_over_a_share_that_is_being_recorded(
    world: World,
) -> None:
    """The lease had run out, but the record renews it: neither during it nor after it is it free."""
    lease = await world.see_share()
    await _expire(world)

    async with world.shares.fenced(lease):
        assert await world.shares.claim(10) == []
    assert await world.shares.claim(10) == []


async def test_a_holder_that_records_after_a_takeover_began_is_fenced_off(world: World) -> None:
    """Two transactions at one share: the takeover first; the record waits and finds another token."""
    former = await world.see_share()
    await _expire(world)
    transaction = world.sql.transaction()
    await transaction.start()
    await world.sql.execute(
        "UPDATE offshoot.share SET lease_token = lease_token + 1, lease_end = now() + interval '1 minute'"
    )

    async def record() -> None:
        async with world.shares.fenced(former) as recording:
            await recording.plan_clone(about, NOW)

    about = await world.method(former)
    late = await world.start(record())
    await transaction.commit()

    with pytest.raises(LeaseLostError):
        await late
    assert await world.sql.fetchval("SELECT count(*) FROM offshoot.clone") == 0


async def test_finishing_ends_it(world: World) -> None:
    lease = await world.see_share()
    await world.shares.postpone(lease, await world.mark_of(lease), 0)
    (lease,) = await world.shares.claim(10)
    facts = await world.shares.load(lease)
    assert (facts.attempts, facts.failing_since is None) == (1, False)

    await world.shares.finish(lease, facts.mark)

    share = await world.share()
    assert (share["due_at"], share["lease_end"], share["attempts"], share["failing_since"]) == (
        None,
        None,
        0,
        None,
    )
    assert await world.shares.claim(10) == []


async def test_a_share_marked_meanwhile_stays_due(world: World) -> None:
    lease = await world.see_share()
    facts = await world.shares.load(lease)
    await world.see(card(2, b"b"))
    await world.shares.finish(lease, facts.mark)

    assert await world.due() == [("cus_P", "acct_1")]
    assert [again.share_id for again in await world.shares.claim(10)] == [lease.share_id]


async def test_a_mark_that_waits_for_the_finish_is_not_lost(world: World) -> None:
    """Two transactions at the same share, finishing first: the mark comes after it, and the share is due."""
    lease = await world.see_share()
    transaction = world.sql.transaction()
    await transaction.start()
    await world.sql.execute(
        "UPDATE offshoot.share SET due_at = NULL, lease_end = NULL WHERE id = $1", lease.share_id
    )
    marking = await world.start(world.see(card(2, b"b")))
    await transaction.commit()
    await marking

    assert await world.due() == [("cus_P", "acct_1")]


async def test_a_finish_that_waits_for_a_mark_leaves_it_due(world: World) -> None:
    lease = await world.see_share()
    facts = await world.shares.load(lease)
    transaction = world.sql.transaction()
    await transaction.start()
    await world.sql.execute(
        "UPDATE offshoot.share SET mark = mark + 1, due_at = now() WHERE id = $1", lease.share_id
    )
    finishing = await world.start(world.shares.finish(lease, facts.mark))
    await transaction.commit()
    await finishing

    assert await world.due() == [("cus_P", "acct_1")]


async def test_marking_a_leased_share_leaves_the_lease(world: World) -> None:
    lease = await world.see_share()
    before = await world.share()

    await world.see(card(2, b"b"))

    after = await world.share()
    assert (after["lease_token"], after["lease_end"]) == (lease.token, before["lease_end"])
    assert after["mark"] == before["mark"] + 1


async def test_postponing_comes_back_later(world: World) -> None:
    """It counts, and remembers since when."""
    lease = await world.see_share()
    await world.shares.postpone(lease, await world.mark_of(lease), 30)
    first = await world.share()
    assert await world.shares.claim(10) == []
    assert 20 < (await world.shares.next_due_s() or 0) <= 30

    await world.sql.execute("UPDATE offshoot.share SET due_at = now()")
    (lease,) = await world.shares.claim(10)
    await world.shares.postpone(lease, await world.mark_of(lease), 60)

    second = await world.share()
    assert (first["attempts"], second["attempts"]) == (1, 2)
    assert first["failing_since"] == second["failing_since"]


async def test_what_is_marked_while_it_is_postponed_is_due_at_once(world: World) -> None:
    lease = await world.see_share()
    await world.shares.postpone(lease, await world.mark_of(lease), 900)

    await world.see(account(2, whole=True, card_payments="inactive"))

    assert await world.due() == [("cus_P", "acct_1")]


async def test_a_released_share_is_as_it_was(world: World) -> None:
    lease = await world.see_share()
    before = await world.share()

    await world.shares.release(lease)

    assert await world.share() == {**before, "lease_end": None, "leased": False}
    assert await world.shares.claim(10) == [Lease(lease.share_id, lease.token + 1, taken_over=False)]


async def test_a_success_ends_a_row_of_failures(world: World) -> None:
    lease = await world.see_share()
    await world.shares.postpone(lease, await world.mark_of(lease), 0)
    (lease,) = await world.shares.claim(10)
    about = await world.method(lease)

    async with world.shares.fenced(lease) as recording:
        await recording.plan_clone(about, NOW)
        await recording.open_intent(intent(Step.CLONE))
        await recording.conclude_intent(Outcome.SUCCEEDED, "req_1")

    facts = await world.shares.load(lease)
    assert (facts.attempts, facts.failing_since) == (0, None)
