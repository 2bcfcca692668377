"""What happens on connected accounts: which shares it makes due, and what our own doing does not."""

import json

import pytest

from consumers.projection.seen import Seen
from consumers.store.shares import Lease
from tests.integration.store.world import World
from tests.unit.consumers.sightings import at, connected_card, connected_customer

SHARE = ("cus_P", "acct_1")


async def _attached(world: World) -> Lease:
    """A share with a clone pm_C on cus_C; nothing is due."""
    lease = await world.see_share()
    await world.sql.execute("UPDATE offshoot.share SET connected_customer_id = 'cus_C'")
    await world.sql.execute(
        "INSERT INTO offshoot.clone (share_id, platform_payment_method_id, generation, recovery_point,"
        " connected_payment_method_id, state) VALUES ($1, 'pm_P', 1, 'attached', 'pm_C', 'ready')",
        lease.share_id,
    )
    await world.settle()
    return lease


async def _our_key(world: World) -> str:
    position = await world.sql.fetchval("SELECT position FROM offshoot.cursor WHERE name = 'installation'")
    return f"offshoot:{position}:acct_1:x:attach:1"


@pytest.mark.parametrize(
    "event",
    [
        connected_card(1, expiry=2031),
        connected_card(1, of=None, detached=True),
        connected_card(1, detached=True, key="somebody:1"),
        connected_card(1, name="pm_another"),
        connected_customer(1, default="pm_another"),
        connected_customer(1, deleted=True),
    ],
    ids=["updated", "detached", "detached with a key", "another on its customer", "default", "deleted"],
)
async def test_what_others_do_makes_the_share_due_once(world: World, event: Seen) -> None:
    """And not again, however often it is heard."""
    await _attached(world)

    assert await world.see(event) == 1
    assert await world.due() == [SHARE]
    await world.settle()

    assert await world.see(event) == 0


@pytest.mark.parametrize(
    "event",
    [
        connected_card(1, name="pm_X", of="cus_X"),
        connected_card(1, name="pm_X", on="acct_2"),
        connected_customer(1, name="cus_X", deleted=True),
        connected_customer(1, on="acct_2", deleted=True),
    ],
    ids=["of another customer", "on another account", "another customer", "another account's customer"],
)
async def test_what_concerns_no_share_makes_none_due(world: World, event: Seen) -> None:
    await _attached(world)

    assert await world.see(event) == 0


@pytest.mark.parametrize(
    ("column", "extra"), [("next_payment_method_id", ", next_generation = 2"), ("superseded", "")]
)
async def test_a_replacement_and_what_was_replaced_matter_too(world: World, column: str, extra: str) -> None:
    lease = await _attached(world)
    if column == "superseded":
        await world.sql.execute(
            "INSERT INTO offshoot.superseded_clone (connected_payment_method_id, share_id,"
            " platform_payment_method_id, generation, superseded_at) VALUES ('pm_D', $1, 'pm_P', 1, now())",
            lease.share_id,
        )
    else:
        await world.sql.execute(f"UPDATE offshoot.clone SET {column} = 'pm_D' {extra}")  # noqa: S608

    assert await world.see(connected_card(1, name="pm_D", of=None, detached=True)) == 1


async def test_our_own_doing_makes_nothing_due(world: World) -> None:
    """Our attach, our update and our detach come back as events."""
    await _attached(world)
    key = await _our_key(world)

    for event in (
        connected_card(1, key=key),
        connected_card(2, expiry=2031, key=key),
        connected_card(3, of=None, detached=True, key=key),
    ):
        assert await world.see(event) == 0

    row = await world.row("connected_payment_method", "pm_C")
    assert (row["detached_at"], row["detached_by_us"], row["customer_id"]) == (at(3), True, "cus_C")


async def test_ours_and_anothers_doing_in_one_batch_is_not_only_ours(world: World) -> None:
    await _attached(world)

    assert await world.see(connected_card(1), connected_card(2, key=await _our_key(world))) == 1


async def test_another_installations_key_is_not_ours(world: World) -> None:
    await _attached(world)

    await world.see(connected_card(1, of=None, detached=True, key="offshoot:other:acct_1:x:detach:1"))

    assert (await world.row("connected_payment_method", "pm_C"))["detached_by_us"] is False


async def test_a_detached_method_stays_so_and_an_older_event_changes_no_content(world: World) -> None:
    await world.see(connected_card(5, expiry=2031))
    await world.see(connected_card(3, detached=True))
    await world.see(connected_card(4, expiry=2029), connected_card(6, expiry=2032))

    row = await world.row("connected_payment_method", "pm_C")
    assert row["detached_at"] == at(3)
    assert json.loads(row["content"])["expiry"] == [2032, 1]


async def test_a_deleted_connected_customer_clears_the_shares(world: World) -> None:
    await _attached(world)
    await world.sql.execute("UPDATE offshoot.share SET connected_default_id = 'pm_C'")

    await world.see(connected_customer(1, deleted=True))

    share = await world.share()
    assert (share["connected_customer_id"], share["connected_default_id"]) == (None, None)
    assert share["connected_customer_deleted_at"] == at(1)


async def test_a_default_that_was_set_on_a_customer_deleted_meanwhile_is_none(world: World) -> None:
    await _attached(world)
    await world.see(connected_customer(1, deleted=True))
    (lease,) = await world.shares.claim(1)

    async with world.shares.fenced(lease) as recording:
        await recording.connected_default("cus_C", "pm_C", at(2))

    assert (await world.share())["connected_default_id"] is None


async def test_a_default_that_is_older_than_what_we_did_is_passed_over(world: World) -> None:
    await _attached(world)
    await world.sql.execute(
        "UPDATE offshoot.share SET connected_default_id = 'pm_C', connected_as_of = $1", at(5)
    )

    assert await world.see(connected_customer(4, default=None)) == 0
    assert (await world.share())["connected_default_id"] == "pm_C"

    assert await world.see(connected_customer(6, default="pm_other")) == 1
    assert (await world.share())["connected_default_id"] == "pm_other"


async def test_a_default_that_was_changed_and_changed_back_survives_events_in_the_wrong_order(
    world: World,
) -> None:
    await _attached(world)
    await world.sql.execute(
        "UPDATE offshoot.share SET connected_default_id = 'pm_C', connected_as_of = $1", at(1)
    )

    assert await world.see(connected_customer(3, default="pm_C")) == 0
    assert await world.see(connected_customer(2, default="pm_other")) == 0

    assert (await world.share())["connected_default_id"] == "pm_C"
