"""The list of connected accounts, read page by page at the emulator."""

import asyncio
from datetime import timedelta

import pytest

from consumers.accounts import AT_START, DAILY, AccountsLane
from consumers.store.database import Database
from consumers.store.listing import ListingStore
from consumers.stripe_calls import KeyWatch
from service.runtime.metrics import Metrics
from tests.integration.engine.playground import Playground, playground
from tests.integration.store.world import World
from tests.unit.consumers.sightings import account, at, customer

pytestmark = pytest.mark.filterwarnings("ignore:Use 'content=:DeprecationWarning")

NEVER = asyncio.Event()


@pytest.fixture
async def listing(world: World) -> ListingStore:
    """Nothing was ever listed."""
    await world.sql.execute("DELETE FROM offshoot.cursor WHERE name = 'account_list'")
    return ListingStore(world.database)


def _lane(listing: ListingStore, at_stripe: Playground) -> AccountsLane:
    """Reads pages of two."""
    calls = at_stripe.tools.calls
    return AccountsLane(listing, calls, KeyWatch(calls.stripe, Metrics()), now=at_stripe.now, page=2)


async def test_every_account_joins_however_many_pages_that_takes(
    world: World, pool: Database, listing: ListingStore
) -> None:
    """Five accounts that never sent an event; a customer that shares with all shares with each."""
    async with playground(world, pool) as at_stripe:
        accounts = {await at_stripe.stripe.connect_account() for _ in range(5)}
        await world.see(customer(1, everywhere=True))

        await _lane(listing, at_stripe).list_accounts(AT_START, NEVER)

    await world.expand()
    rows = await world.sql.fetch("SELECT id, joined, known, capabilities FROM offshoot.account")
    assert {row["id"] for row in rows if row["joined"] and row["known"]} == accounts
    assert all('"card_payments": "active"' in row["capabilities"] for row in rows)
    assert {account for _, account in await world.due()} == accounts


async def test_it_is_listed_by_one_at_a_time_and_not_again_too_soon(listing: ListingStore) -> None:
    held = await listing.begin(DAILY)
    assert held is not None
    assert await listing.begin(timedelta()) is None, "another is at it"

    await listing.end(held)

    assert await listing.begin(AT_START) is None
    assert await listing.begin(timedelta()) is not None


async def test_who_lost_the_listing_writes_nothing(world: World, listing: ListingStore) -> None:
    held = await listing.begin(DAILY)
    assert held is not None
    await world.sql.execute(
        "UPDATE offshoot.cursor SET position = 'listing -infinity' WHERE name = 'account_list'"
    )
    assert await listing.begin(DAILY) is not None, "its lease has run out"

    assert await listing.apply(held, [account(1, whole=True)]) is None

    assert await world.sql.fetch("SELECT FROM offshoot.account") == []


async def test_what_differs_from_what_is_known_is_read(world: World, listing: ListingStore) -> None:
    """Not where an event is younger than the page, nor an account that was taken away by an event."""
    await world.see(
        account(1, name="acct_same", whole=True, card_payments="active"),
        account(1, name="acct_other", whole=True, card_payments="inactive"),
        account(9, name="acct_younger", whole=True, card_payments="inactive"),
        account(1, name="acct_gone", whole=True, connected=False),
    )
    held = await listing.begin(DAILY)
    assert held is not None

    names = ["acct_same", "acct_other", "acct_younger", "acct_gone", "acct_new"]
    await listing.apply(held, [account(5, name=name, whole=True, card_payments="active") for name in names])

    rows = await world.sql.fetch("SELECT id FROM offshoot.account WHERE refresh_at IS NOT NULL")
    assert [row["id"] for row in rows] == ["acct_other"]
    new = await world.row("account", "acct_new")
    assert (new["known"], new["read_at"], new["as_of"]) == (True, at(5), None)
