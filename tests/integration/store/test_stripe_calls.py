"""What Stripe's answers do to the calls that follow: of all workers, of one account, of one kind."""

import asyncio
from collections.abc import AsyncIterator
from typing import Final

import pytest

from consumers.clone.lane import CloneLane
from consumers.clone.tools import Tools
from consumers.clone.worker import Ending, ShareWorker
from consumers.store.database import Database
from consumers.store.limiter import Limiter
from consumers.stripe_calls import KeyWatch, StripeCalls
from consumers.stripe_errors import KeyRefusedError, PermissionMissingError, StripeError
from consumers.stripe_gateway import StripeGateway
from service.runtime.metrics import Metrics
from tests.integration.store.world import World
from tests.support.waiting import until
from tests.unit.consumers.answering import Answering, answering
from tests.unit.consumers.shares import NOW, POLICY
from tests.unit.consumers.sightings import account, card, customer

pytestmark = pytest.mark.filterwarnings("ignore:Use 'content=:DeprecationWarning")
RATE: Final = 1000.0


class Calling:
    """The calls of one worker."""

    def __init__(self, world: World, pool: Database, stripe: Answering, rate: float = RATE) -> None:
        self.stripe = stripe
        self.metrics = Metrics()
        self.gateway = StripeGateway(api_key="sk_test_0123456789abcdef", api_base=stripe.url, timeout_s=5)
        self.watch = KeyWatch(self.gateway, self.metrics)
        self.limiter = Limiter(pool, per_second=rate)
        self.calls = StripeCalls(self.gateway, self.limiter, self.watch, self.metrics)
        self.stopping = asyncio.Event()
        self.tools = Tools(
            shares=world.shares,
            projections=world.projections,
            calls=self.calls,
            policy=POLICY,
            observe=False,
            installation="i",
            now=lambda: NOW,
            stopping=self.stopping.is_set,
        )

    def answers(self, status: int, code: str | None = None, **headers: str) -> None:
        error = {"type": "invalid_request_error", "message": "no", **({"code": code} if code else {})}
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        self.stripe.answer(status, {"error": error}, named)

    async def read(self, account_id: str, kind: str = "read_account") -> StripeError | None:
        """Make a call on an account; return what went wrong."""
        try:
            await self.calls.make(kind, lambda: self.gateway.read_account(account_id), account=account_id)
        except StripeError as error:
            return error
        return None


@pytest.fixture
async def stripe() -> AsyncIterator[Answering]:
    async with answering() as served:
        yield served


@pytest.fixture
async def calling(world: World, pool: Database, stripe: Answering) -> AsyncIterator[Calling]:
    made = Calling(world, pool, stripe)
    yield made
    await made.gateway.close()


async def _slowed(world: World) -> bool:
    return bool(
        await world.sql.fetchval("SELECT count(*) > 0 FROM offshoot.limiter WHERE slowed_until > now()")
    )


async def _paused(world: World) -> list[str]:
    rows = await world.sql.fetch("SELECT id FROM offshoot.account WHERE paused_until > now()")
    return [row["id"] for row in rows]


@pytest.mark.parametrize(
    ("code", "reason", "slowed", "paused"),
    [
        ("rate_limit", "global-rate", True, []),
        (None, None, True, []),
        ("lock_timeout", None, False, []),
        (None, "resource-specific", False, ["acct_1"]),
    ],
)
async def test_a_429_slows_all_or_the_account_alone(
    world: World, calling: Calling, code: str | None, reason: str | None, *, slowed: bool, paused: list[str]
) -> None:
    await world.see(account(1, whole=True), account(1, name="acct_2", whole=True))
    calling.answers(429, code, **({"Stripe_Rate_Limited_Reason": reason} if reason else {}))

    await calling.read("acct_1")

    assert (await _slowed(world), await _paused(world)) == (slowed, paused)


async def test_a_401_stops_every_call(calling: Calling) -> None:
    calling.answers(401)
    first = await calling.read("acct_1")
    second = await calling.read("acct_2", "another kind")

    assert [type(first), type(second)] == [KeyRefusedError] * 2
    assert len(calling.stripe.asked) == 1


async def test_another_403_stops_calls_of_its_kind_only(calling: Calling) -> None:
    calling.answers(403, "more_permissions_required")
    first = await calling.read("acct_1", "attach")
    again = await calling.read("acct_2", "attach")
    calling.stripe.answer(200, {"id": "acct_1", "object": "account"})
    other = await calling.read("acct_1", "clone")

    assert [type(first), type(again), other] == [PermissionMissingError, PermissionMissingError, None]
    assert len(calling.stripe.asked) == 2
    assert calling.calls.forbids("attach")
    assert _sample(calling, "offshoot_stripe_permission_missing", call="attach") == 1


@pytest.mark.parametrize(
    ("accounts", "stops"), [("123", True), ("12", False), ("1212", False), ("12+3", False)], ids=str
)
async def test_three_invalid_accounts_and_no_success_between_stop_every_call(
    calling: Calling, accounts: str, *, stops: bool
) -> None:
    for each in accounts:
        if each == "+":
            calling.stripe.answer(200, {"id": "acct_9", "object": "account"})
        else:
            calling.answers(403, "account_invalid")
        await calling.read(f"acct_{each}")

    assert calling.watch.is_refused is stops


@pytest.mark.parametrize(("reached", "accepted"), [(True, True), (False, False)])
async def test_what_ends_the_doubt_in_the_key_is_an_account_that_is_reached(
    calling: Calling, *, reached: bool, accepted: bool
) -> None:
    """That Stripe lists accounts is not enough: one that it lists is read."""
    calling.answers(403, "account_invalid")
    for each in "123":
        await calling.read(f"acct_{each}")
    if reached:
        calling.stripe.answer(200, {"object": "list", "data": [{"id": "acct_9"}], "id": "acct_9"})
    asked = len(calling.stripe.asked)

    stop = asyncio.Event()
    watching = asyncio.create_task(calling.watch.run(stop))

    async def has_asked() -> bool:
        return len(calling.stripe.asked) >= asked + 1 + accepted and calling.watch.is_refused is not accepted

    await until(has_asked, within_s=5, what="the watch asks")
    stop.set()
    await watching
    paths = [each.path for each in calling.stripe.asked[asked:]]
    assert paths == ["/v1/accounts?limit=1", "/v1/accounts/acct_9"][: 1 + accepted]


async def test_a_missing_permission_changes_nothing_however_long(world: World, calling: Calling) -> None:
    """It is the key's, not the card's: no record, no failure, and the write is open still."""
    await world.see_share()
    calling.answers(403)
    for _ in range(3):
        await world.sql.execute(
            "UPDATE offshoot.share SET due_at = now(), lease_end = NULL, failing_since = NULL, attempts = 0"
        )
        (lease,) = await world.shares.claim(1)
        assert await ShareWorker(calling.tools, lease).run() is Ending.POSTPONED

    share = await world.share()
    assert (share["attempts"], share["failing_since"]) == (0, None)
    assert await world.outbox_keys() == []
    assert len(calling.stripe.asked) == 1


async def _lane(world: World, calling: Calling, *, tokens: int) -> tuple[asyncio.Event, asyncio.Task[None]]:
    """Start a lane with so many tokens, and no more for a long time."""
    await calling.limiter.turns(1, 1)
    await world.sql.execute("UPDATE offshoot.limiter SET tokens = $1, refilled_at = now()", float(tokens))
    calling.stripe.answer(200, {"object": "list", "data": []})
    lane = CloneLane(world.database, calling.tools, calling.limiter, calling.watch, calling.metrics)
    watching = asyncio.create_task(calling.watch.run(calling.stopping))
    running = asyncio.create_task(lane.run(calling.stopping))
    running.add_done_callback(lambda _: watching.cancel())
    return calling.stopping, running


async def test_only_what_there_are_tokens_for_is_claimed_and_all_is_given_back_at_the_stop(
    world: World, pool: Database, stripe: Answering
) -> None:
    """One of three shares is begun, and waits for its second call's turn when the process stops."""
    calling = Calling(world, pool, stripe, rate=0.0001)
    await world.see(
        *[account(1, name=f"acct_{n}", whole=True, card_payments="active") for n in (1, 2, 3)],
        customer(1, "acct_1", "acct_2", "acct_3"),
        card(1),
    )
    stop, running = await _lane(world, calling, tokens=1)
    stripe.answer(200, {"id": "pm_C", "object": "payment_method", "type": "card", "data": []})

    async def begun() -> bool:
        return bool(
            await world.sql.fetchval(
                "SELECT count(*) > 0 FROM offshoot.clone WHERE state = 'pending'"
                " AND recovery_point = 'cloned'"
            )
        )

    await until(begun, within_s=10, what="a share is begun")
    leased = await world.sql.fetchval("SELECT count(*) FROM offshoot.share WHERE leased")
    stop.set()
    await asyncio.wait_for(_closed(calling, running), 10)

    assert leased == 1
    shares = await world.sql.fetch("SELECT leased, due_at <= now() AS due, attempts FROM offshoot.share")
    assert [tuple(share) for share in shares] == [(False, True, 0)] * 3
    await calling.gateway.close()


async def _closed(calling: Calling, running: "asyncio.Task[None]") -> None:
    calling.limiter.close()
    await running


def _sample(calling: Calling, name: str, **labels: str) -> float | None:
    return calling.metrics.registry.get_sample_value(name, labels)
