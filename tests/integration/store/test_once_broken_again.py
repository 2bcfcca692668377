"""What the first mending did wrong, as a second look found: each test says it, and keeps it away."""

import json

import pytest

from consumers.projection.seen import Kind
from tests.integration.store.world import World
from tests.unit.consumers.sightings import account, customer


async def test_a_whole_account_that_fills_in_late_and_differs_is_in_doubt(world: World) -> None:
    """Heard in the order 3, 7, 5; 5 is later than 3 about cards, but `late` counts only if known."""
    await world.see(account(3, card_payments="pending"))
    await world.see(account(7, transfers="active"))

    await world.see(account(5, whole=True, card_payments="active", transfers="active"))

    row = await world.row("account", "acct_1")
    assert json.loads(row["capabilities"])["card_payments"] == "active" or row["refresh_at"] is not None


async def test_an_event_of_the_second_of_the_reading_is_in_doubt(world: World) -> None:
    """Equal seconds are a tie: the event may be older than what the reading showed."""
    await world.see(customer(1, "acct_1"))
    await world.read(await world.doubt(Kind.CUSTOMER, "cus_P"), customer(50.9, "acct_2"))

    await world.see(customer(50, "acct_3"))

    assert await world.in_doubt(Kind.CUSTOMER, "cus_P")


@pytest.mark.parametrize(
    "speaks", [account(9, card_payments="active"), account(9, whole=True, card_payments="active")]
)
async def test_an_account_taken_for_disconnected_by_a_reading_finds_its_way_back(
    world: World, speaks: object
) -> None:
    """It speaks again, so it is ours; but only an `authorized` event would say so, and none will come."""
    await world.see(account(1, whole=True, card_payments="active"))
    await world.read(await world.doubt(Kind.ACCOUNT, "acct_1"), None, account(5).as_of)

    await world.see(speaks)  # type: ignore[arg-type]
    await world.sql.execute("UPDATE offshoot.account SET refresh_at = now() WHERE refresh_at IS NOT NULL")

    row = await world.row("account", "acct_1")
    assert row["disconnected_at"] is None or await world.projections.claim_refreshes(10)
