"""What a reading confirms, what an event takes back, and how a doubt ends or is put off."""

from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from consumers.direct.reading import ConnectedReadingLane
from consumers.projection.observe import Reading
from consumers.projection.seen import (
    AccountSeen,
    ConnectedHint,
    ConnectedKind,
    CustomerSeen,
    Hint,
    Kind,
    PaymentMethodSeen,
    Seen,
)
from consumers.refresh import ATTEMPTS_AT_MOST, DEFINITE_AT_MOST, RefreshLane
from consumers.store.database import Database
from consumers.store.limiter import Limiter
from consumers.stripe_calls import KeyWatch, StripeCalls
from consumers.stripe_gateway import StripeGateway
from service.runtime.metrics import Metrics
from tests.integration.store.world import World
from tests.unit.consumers.answering import Answering, answering
from tests.unit.consumers.sightings import START, account, at, card, customer

pytestmark = pytest.mark.filterwarnings("ignore:Use 'content=:DeprecationWarning")


@pytest.mark.parametrize(
    ("kind", "shown", "keeps", "turns"),
    [
        (Kind.CUSTOMER, customer(1, "acct_1"), customer(2, "acct_1", default="pm_1"), customer(3)),
        (
            Kind.CUSTOMER,
            customer(1, "acct_1"),
            customer(2, "acct_1", profile={"name": "Jenny"}),
            customer(3, "acct_1", everywhere=True),
        ),
        (Kind.CUSTOMER, customer(1), customer(2, default="pm_1"), customer(3, deleted=True)),
        (Kind.PAYMENT_METHOD, card(1), card(2), card(3, b"b")),
        (Kind.PAYMENT_METHOD, card(1), card(2), card(3, opted_out=True)),
        (Kind.PAYMENT_METHOD, card(1), card(2), card(3, detached=True)),
    ],
    ids=["grants", "all", "deleted", "content", "opted out", "detached"],
)
async def test_a_reading_confirms_and_only_what_would_justify_a_detach_takes_it_back(
    world: World, kind: Kind, shown: CustomerSeen | PaymentMethodSeen, keeps: Seen, turns: Seen
) -> None:
    await world.see(shown)
    assert not (await world.row(kind, shown.id))["confirmed"]

    await world.read(await world.doubt(kind, shown.id), shown)
    assert (await world.row(kind, shown.id))["confirmed"]
    await world.see(keeps)
    assert (await world.row(kind, shown.id))["confirmed"]

    await world.see(turns)
    assert not (await world.row(kind, shown.id))["confirmed"]


async def test_a_reading_that_shows_an_owner_ends_a_false_detachment(world: World) -> None:
    await world.see(customer(1, "acct_1"), card(1), card(2, of=None, detached=True))
    await world.settle()

    assert await world.read(await world.doubt(Kind.PAYMENT_METHOD, "pm_P"), card(9)) == 1

    assert (await world.row("payment_method", "pm_P"))["detached_at"] is None


async def test_a_method_of_a_v2_account_has_no_customer_to_read(world: World) -> None:
    owned = replace(card(1, of="acct_owner"), owner_supported=False)

    await world.see(owned)

    assert (await world.row("payment_method", "pm_P"))["owner_supported"] is False
    assert not await world.in_doubt(Kind.CUSTOMER, "acct_owner")


@pytest.fixture
async def stripe() -> AsyncIterator[Answering]:
    async with answering() as served:
        yield served


@pytest.fixture
async def calls(pool: Database, stripe: Answering) -> AsyncIterator[StripeCalls]:
    """Calls to Stripe, which is the prepared answer."""
    gateway = StripeGateway(api_key="sk_test_0123456789abcdef", api_base=stripe.url, timeout_s=5)
    metrics = Metrics()
    limiter = Limiter(pool, name="stripe", per_second=1000)
    yield StripeCalls(gateway, limiter, KeyWatch(gateway, metrics), metrics)
    await gateway.close()


@pytest.fixture
def lane(world: World, pool: Database, calls: StripeCalls) -> RefreshLane:
    """The lane that reads."""
    watch = KeyWatch(calls.stripe, calls.metrics)
    reading = Reading(metadata_key="connected_accounts", profile_fields=("name",), livemode=False)
    return RefreshLane(
        pool, world.projections, calls, watch, calls.metrics, reading=reading, now=lambda: START
    )


@pytest.fixture
def connected_lane(world: World, pool: Database, calls: StripeCalls) -> ConnectedReadingLane:
    """The lane that reads on accounts."""
    watch = KeyWatch(calls.stripe, calls.metrics)
    return ConnectedReadingLane(pool, world.projections, calls, watch, calls.metrics, now=lambda: START)


_MISSING = {"error": {"type": "invalid_request_error", "code": "resource_missing"}}


@pytest.mark.parametrize(("kind", "id_"), [(Kind.CUSTOMER, "cus_P"), (Kind.PAYMENT_METHOD, "pm_P")])
async def test_what_stripe_does_not_know_is_not_read_again(
    world: World, lane: RefreshLane, stripe: Answering, kind: Kind, id_: str
) -> None:
    await world.see(Hint(kind, id_, at(1)))
    await world.sql.execute(f"UPDATE offshoot.{kind} SET refresh_at = now()")  # noqa: S608
    stripe.answer(404, _MISSING)

    await lane.read_due()

    assert not await world.in_doubt(kind, id_)


async def test_what_a_detach_waited_for_is_certain_when_stripe_does_not_know_it(
    world: World, lane: RefreshLane, stripe: Answering
) -> None:
    """The share goes on; that it can be read no more is no reason to wait for ever."""
    await world.see_share()
    await world.see(card(2, detached=True))
    await world.projections.want_reading(Kind.PAYMENT_METHOD, "pm_P")
    await world.settle()
    stripe.answer(404, _MISSING)

    await lane.read_due()

    assert (await world.row("payment_method", "pm_P"))["confirmed"]
    assert await world.due() == [("cus_P", "acct_1")]


_USELESS_IDS = ["refused", "unreadable", "no answer"]
_USELESS = [
    ((400, {"error": {"type": "invalid_request_error"}}), DEFINITE_AT_MOST),
    ((200, {"object": "customer"}), DEFINITE_AT_MOST),
    ((500, {"error": {"type": "api_error"}}), ATTEMPTS_AT_MOST),
]


@pytest.mark.parametrize(("answer", "attempts"), _USELESS, ids=_USELESS_IDS)
@pytest.mark.parametrize("ends", [True, False])
@pytest.mark.parametrize("kind", list(Kind))
async def test_nothing_is_read_for_ever(
    read_it: Callable[[Kind, tuple[int, object], int], Awaitable[dict[str, Any]]],
    kind: Kind,
    answer: tuple[int, object],
    attempts: int,
    *,
    ends: bool,
) -> None:
    """Sooner where Stripe answers and the answer is of no use; an account never seen is unknown then."""
    row = await read_it(kind, answer, attempts - (1 if ends else 2))

    assert (row["refresh_at"] is None) is ends
    if kind is Kind.ACCOUNT:
        assert (row["refused_at"] is not None) is ends


@pytest.mark.parametrize(("answer", "attempts"), _USELESS, ids=_USELESS_IDS)
@pytest.mark.parametrize("ends", [True, False])
async def test_nothing_on_an_account_is_read_for_ever(
    world: World,
    connected_lane: ConnectedReadingLane,
    stripe: Answering,
    answer: tuple[int, object],
    attempts: int,
    *,
    ends: bool,
) -> None:
    await world.see(account(1), ConnectedHint(ConnectedKind.CUSTOMER, "cus_C", "acct_1", at(1), None))
    await world.sql.execute(
        "UPDATE offshoot.connected_reading SET due_at = now(), attempts = $1", attempts - (1 if ends else 2)
    )
    stripe.answer(*answer)

    await connected_lane.read_due()

    waits = await world.sql.fetchval("SELECT count(*) FROM offshoot.connected_reading")
    assert waits == (0 if ends else 1)


@pytest.fixture
def read_it(
    world: World, lane: RefreshLane, stripe: Answering
) -> Callable[[Kind, tuple[int, object], int], Awaitable[dict[str, Any]]]:
    """Read an object that was tried so often before; return its row."""

    async def read(kind: Kind, answer: tuple[int, object], attempts: int) -> dict[str, Any]:
        id_ = {Kind.CUSTOMER: "cus_P", Kind.PAYMENT_METHOD: "pm_P", Kind.ACCOUNT: "acct_1"}[kind]
        await world.see(Hint(kind, id_, at(1)))
        await world.sql.execute(
            f"UPDATE offshoot.{kind} SET refresh_at = now(), refresh_attempts = $1",  # noqa: S608
            attempts,
        )
        stripe.answer(*answer)
        await lane.read_due()
        return await world.row(kind, id_)

    return read


async def test_what_arrives_during_such_a_reading_is_a_doubt_still(world: World) -> None:
    await world.see(Hint(Kind.CUSTOMER, "cus_P", at(1)))
    refresh = await world.doubt(Kind.CUSTOMER, "cus_P")
    await world.see(Hint(Kind.CUSTOMER, "cus_P", at(2)))

    await world.projections.end_doubt(refresh, not_found=True)

    assert await world.in_doubt(Kind.CUSTOMER, "cus_P")


@pytest.mark.parametrize("kind", list(Kind))
async def test_a_reading_that_fails_is_put_off_further_each_time(world: World, kind: Kind) -> None:
    """From a minute to a quarter of an hour; one that goes well begins anew."""
    shown: dict[Kind, CustomerSeen | PaymentMethodSeen | AccountSeen]
    shown = {Kind.CUSTOMER: customer(1), Kind.PAYMENT_METHOD: card(1), Kind.ACCOUNT: account(1)}
    seen = shown[kind]
    await world.see(seen)

    pauses = []
    for _ in range(7):
        await world.doubt(kind, seen.id)
        ahead: timedelta = await world.sql.fetchval(f"SELECT refresh_at - now() FROM offshoot.{kind}")  # noqa: S608
        pauses.append(round(ahead.total_seconds() / 60))
    assert pauses == [1, 2, 4, 8, 15, 15, 15]

    await world.read(await world.doubt(kind, seen.id), seen)
    await world.doubt(kind, seen.id)
    ahead = await world.sql.fetchval(f"SELECT refresh_at - now() FROM offshoot.{kind}")  # noqa: S608
    assert ahead <= timedelta(minutes=1)
