"""What the first version did wrong, as a review found: each test says it, and keeps it away."""

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest

from consumers.clone.facts import Step
from consumers.clone.tools import Tools
from consumers.clone.worker import Ending, ShareWorker
from consumers.ingest.batch import digest
from consumers.projection.observe import Reading
from consumers.projection.seen import Hint, Kind, Seen
from consumers.store.database import Database
from consumers.store.limiter import Limiter
from consumers.store.shares import Lease
from consumers.stripe_calls import KeyWatch, StripeCalls
from consumers.stripe_gateway import KeyRefusedError, StripeGateway
from schemas.records import Reason, State
from service.runtime.kafka.consumer import Record
from service.runtime.metrics import Metrics
from tests.integration.store.world import World
from tests.unit.consumers.answering import Answering, answering
from tests.unit.consumers.shares import NOW, POLICY, intent
from tests.unit.consumers.sightings import START, account, at, card, customer

pytestmark = pytest.mark.filterwarnings("ignore:Use 'content=:DeprecationWarning")

SHARE = ("cus_P", "acct_1")


@pytest.fixture
async def stripe() -> AsyncIterator[Answering]:
    async with answering() as served:
        yield served


@pytest.fixture
async def tools(world: World, pool: Database, stripe: Answering) -> AsyncIterator[Tools]:
    """What a worker works with, Stripe being the prepared answer."""
    gateway = StripeGateway(api_key="sk_test_0123456789abcdef", api_base=stripe.url, timeout_s=5)
    metrics = Metrics()
    calls = StripeCalls(
        gateway, Limiter(pool, name="stripe", per_second=1000), KeyWatch(gateway, metrics), metrics
    )
    yield Tools(
        shares=world.shares,
        projections=world.projections,
        calls=calls,
        policy=POLICY,
        observe=False,
        installation="i",
        now=lambda: NOW,
        stopping=lambda: False,
    )
    await gateway.close()


async def _work_again(world: World, tools: Tools) -> Ending:
    await world.sql.execute("UPDATE offshoot.share SET due_at = now(), lease_end = NULL")
    (lease,) = await world.shares.claim(10)
    return await ShareWorker(tools, lease).run()


async def test_a_write_that_always_fails_is_given_up_some_day(
    world: World, tools: Tools, stripe: Answering
) -> None:
    """Giving up a key counts as a success, so the row of failures begins anew with every epoch.

    Stripe answers 500 for ever: new epochs follow one another within seconds, never `retries_exhausted`.
    """
    await world.see_share()
    stripe.answer(500, {"error": {"type": "api_error"}}, {"Idempotent-Replayed": "true"})

    await _work_again(world, tools)
    since = (await world.share())["failing_since"]
    await _work_again(world, tools)

    share = await world.share()
    assert (share["attempts"], share["failing_since"]) == (2, since)


async def _attach(world: World, lease: Lease) -> None:
    """Let pm_C on cus_C be the share's clone."""
    await world.sql.execute("UPDATE offshoot.share SET connected_customer_id = 'cus_C'")
    await world.sql.execute(
        "INSERT INTO offshoot.clone (share_id, platform_payment_method_id, generation, recovery_point,"
        " connected_payment_method_id, state) VALUES ($1, 'pm_P', 1, 'attached', 'pm_C', 'ready')",
        lease.share_id,
    )


@pytest.mark.parametrize(
    "late",
    [account(5, card_payments="active"), account(5, whole=True, card_payments="active", transfers="active")],
    ids=["capability", "whole account"],
)
async def test_a_capability_that_is_heard_late_is_not_lost(world: World, late: Seen) -> None:
    """As_of is one for all capabilities, but their events come by different partitions.

    What another capability said a second later makes this one old, and it is dropped without a doubt: the
    share stays blocked for ever.
    """
    await world.see(
        account(1, whole=True, card_payments="inactive", transfers="inactive"), customer(1, "acct_1")
    )
    await world.see(account(6, transfers="active"))

    await world.see(late)

    row = await world.row("account", "acct_1")
    heard = json.loads(row["capabilities"])["card_payments"] == "active"
    assert heard or row["refresh_at"] is not None


@pytest.mark.parametrize(
    ("arrives", "column"),
    [(account(2, card_payments="active"), "capabilities"), (account(2, connected=False), "disconnected_at")],
    ids=["capability", "deauthorised"],
)
async def test_a_part_that_arrives_during_a_reading_is_not_overwritten(
    world: World, arrives: Seen, column: str
) -> None:
    """A part leaves refresh_at as the reader claimed it, so the older reading is written over it."""
    await world.see(account(1, whole=True, card_payments="inactive"))
    refresh = await world.doubt(Kind.ACCOUNT, "acct_1")
    await world.see(arrives)
    told = (await world.row("account", "acct_1"))[column]

    await world.read(refresh, account(2, card_payments="inactive"))

    row = await world.row("account", "acct_1")
    assert row[column] == told or row["refresh_at"] is not None


async def test_a_method_that_was_read_puts_its_unknown_customer_on_refresh(world: World) -> None:
    """After a thin event about a card nobody ever reads the customer, and no share comes of it."""
    await world.see(Hint(Kind.PAYMENT_METHOD, "pm_P", at(1)))
    refresh = await world.doubt(Kind.PAYMENT_METHOD, "pm_P")

    await world.read(refresh, card(2))

    assert await world.in_doubt(Kind.CUSTOMER, "cus_P")


async def test_a_mark_while_a_share_is_worked_on_is_not_put_off(world: World) -> None:
    """Postponing overrides it: what changed (an account taken away, say) waits up to 15 minutes."""
    lease = await world.see_share()
    loaded = await world.shares.load(lease)
    await world.see(account(2, connected=False))

    await world.shares.postpone(lease, loaded.mark, 900)

    assert await world.due() == [SHARE]


async def test_a_doubt_is_not_settled_by_an_older_event(world: World) -> None:
    """A thin event of second 7 is forgotten when the snapshot of second 5 comes after it."""
    await world.see(Hint(Kind.PAYMENT_METHOD, "pm_P", at(7)))

    await world.see(card(5))

    assert await world.in_doubt(Kind.PAYMENT_METHOD, "pm_P")


async def test_a_repeat_of_an_event_does_not_undo_a_reading(world: World) -> None:
    """Of two events in one second a reading told which holds; a repeat of the other wins again for 2 s.

    A share is granted again meanwhile, and a clone made on an account that the customer does not name.
    """
    await world.see(customer(1, "acct_1"))
    await world.see(customer(1))
    await world.read(await world.doubt(Kind.CUSTOMER, "cus_P"), customer(1000))

    await world.see(customer(1, "acct_1"))

    assert (await world.share())["wanted"] is False


def _record(body: dict[str, object]) -> Record:
    return Record("stripe.events", 0, 0, b"k", json.dumps(body).encode(), [], START)


async def test_no_event_stops_the_partition(world: World) -> None:
    """JSON may hold \\u0000, Postgres may not: the batch fails for ever, and ingest stands still."""
    event = {
        "id": "evt_1",
        "type": "customer.updated",
        "livemode": False,
        "created": int(START.timestamp()),
        "data": {"object": {"id": "cus_P", "name": "a\x00b", "metadata": {"connected_accounts": "acct_1"}}},
    }
    reading = Reading(metadata_key="connected_accounts", profile_fields=("name",), livemode=False)
    said = digest([_record(event)], reading)

    await world.projections.note_and_apply(said.events, said.projection)


async def test_following_grants_and_marking_do_not_deadlock(world: World) -> None:
    """Follow_grants locks by customer and account, mark_shares by id.

    Two customers' old events come again, beside one about their account; the ids run against the names.
    """
    await world.see(customer(5, "acct_1", name="cus_B"))
    await world.see(customer(5, "acct_1", name="cus_A"))
    transaction = world.sql.transaction()
    await transaction.start()
    await world.sql.execute("SELECT FROM offshoot.share WHERE customer_id = 'cus_B' FOR NO KEY UPDATE")
    marking = await world.start(world.see(account(1, whole=True, card_payments="active")))
    following = await world.start(world.see(customer(4, name="cus_A"), customer(4, name="cus_B")))
    await transaction.commit()

    ends = await asyncio.gather(marking, following, return_exceptions=True)
    assert [end for end in ends if isinstance(end, Exception)] == []


async def test_whoever_asks_for_a_reading_holds_no_share_meanwhile(world: World, tools: Tools) -> None:
    """Ingest locks a customer and then its shares; done the other way round, the two met in a deadlock."""
    lease = await world.see_share()
    await _attach(world, lease)
    await world.see(customer(2, deleted=True))

    async with world.sql.transaction():
        await world.sql.execute("SELECT FROM offshoot.customer FOR NO KEY UPDATE")
        work = await world.start(ShareWorker(tools, lease).run())
        assert not work.done()
        await world.sql.execute("SELECT FROM offshoot.share FOR NO KEY UPDATE NOWAIT")

    assert await work is Ending.RESTED
    assert await world.in_doubt(Kind.CUSTOMER, "cus_P")


async def test_an_update_of_what_was_detached_there_makes_no_other_clone(
    world: World, tools: Tools, stripe: Answering
) -> None:
    """The event that says so may be late: the refusal says it too, and it stays so until it is wanted."""
    lease = await world.see_share()
    await _attach(world, lease)
    await world.sql.execute("UPDATE offshoot.clone SET source_fingerprint = 'f'")
    renewed = {"fingerprint": "f", "expiry": [2031, 1], "billing_details": {}, "bank": {}}
    await world.see(replace(card(2, b"renewed"), content=renewed))
    message = "You must save this PaymentMethod to a customer before you can update it."
    stripe.answer(400, {"error": {"type": "invalid_request_error", "message": message}})

    assert await ShareWorker(tools, lease).run() is Ending.RESTED

    clone = (await world.method(lease)).clone
    assert clone is not None
    assert (clone.state, clone.reason) == (State.ABSENT, Reason.DETACHED_ON_ACCOUNT)
    assert await world.sql.fetchval("SELECT array_agg(step::text) FROM offshoot.intent") == ["update"]


_DEADLOCK_ONCE = """
    CREATE SEQUENCE offshoot.tries;
    CREATE FUNCTION offshoot.once() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        IF nextval('offshoot.tries') = 1 THEN RAISE EXCEPTION USING ERRCODE = 'deadlock_detected'; END IF;
        RETURN NEW;
    END $$;
    CREATE TRIGGER once BEFORE INSERT ON offshoot.intent FOR EACH ROW EXECUTE FUNCTION offshoot.once()
"""


async def test_a_share_that_met_a_deadlock_goes_on_at_once(
    world: World, tools: Tools, stripe: Answering
) -> None:
    """It stood still until its lease had run out."""
    lease = await world.see_share()
    stripe.answer(500, {"error": {"type": "api_error"}})
    await world.sql.execute(_DEADLOCK_ONCE)
    try:
        ending = await ShareWorker(tools, lease).run()
    finally:
        await world.sql.execute("DROP FUNCTION offshoot.once CASCADE; DROP SEQUENCE offshoot.tries")

    assert ending is Ending.POSTPONED
    assert await world.sql.fetchval("SELECT count(*) FROM offshoot.intent") == 1


async def test_the_inbox_takes_events_in_one_order(world: World) -> None:
    """After a rebalance two members may note the same events; DISTINCT gives them no order: a deadlock.

    As planned for a batch of the usual size.
    """
    ids = [f"evt_{number}" for number in range(1000)]
    query = world.projections._queries.remember_events.sql  # noqa: SLF001
    plan = await world.sql.fetch(f"EXPLAIN {query}", ids, [START] * 1000, ["x"] * 1000)

    assert any("Sort" in row["QUERY PLAN"] for row in plan), plan


async def test_a_repeated_clone_call_is_of_the_generation_it_was_begun_for(
    world: World, tools: Tools, stripe: Answering
) -> None:
    """The newest generation was recorded for it; now it is of its own, and the newest is cloned anew."""
    lease = await world.see_share()
    about = await world.method(lease)
    async with world.shares.fenced(lease) as recording:
        await recording.plan_clone(about, NOW)
        await recording.open_intent(intent(Step.CLONE, name=""))
    await world.see(card(2, b"renewed"))
    stripe.answer(200, {"id": "pm_C", "object": "payment_method"})

    await _work_again(world, tools)

    rows = await world.sql.fetch("SELECT object FROM offshoot.intent WHERE step = 'clone' ORDER BY id")
    assert [row["object"] for row in rows] == ["pm_P.1", "pm_P.2"]


async def test_while_the_key_is_refused_no_lane_makes_a_call(tools: Tools, stripe: Answering) -> None:
    """Only claiming stops; who holds a share, or waits for its turn, goes on calling."""
    watch = tools.calls._watch  # noqa: SLF001
    watch.refused()

    with pytest.raises(KeyRefusedError):
        await tools.calls.make("read_account", lambda: tools.calls.stripe.read_account("acct_1"))
    assert stripe.asked == []
