"""Methods saved on connected accounts without us: what is recorded and announced of them."""

import json
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from consumers.direct.record import RecordDirect
from consumers.projection.seen import ConnectedHint, ConnectedKind, ConnectedMethodSeen, MandateSeen, Seen
from consumers.store.connected import ConnectedReading
from consumers.store.direct import DirectRecords
from consumers.store.fanouts import FanoutStore
from consumers.store.projections import ProjectionStore
from tests.integration.store.world import World
from tests.unit.consumers.sightings import account, at, connected_card, connected_customer

READY, GONE = ("ready", None), ("absent", "detached_on_account")


async def _told(world: World) -> list[dict[str, Any]]:
    rows = await world.sql.fetch("SELECT key, value FROM offshoot.outbox ORDER BY id")
    return [{"key": row["key"], **json.loads(row["value"])} for row in rows]


async def _said(world: World) -> list[tuple[str, str | None]]:
    return [(record["state"], record["reason"]) for record in await _told(world)]


async def _key(world: World, step: str) -> str:
    position = await world.sql.fetchval("SELECT position FROM offshoot.cursor WHERE name = 'installation'")
    return f"offshoot:{position}:acct_1:x:{step}:1"


async def test_a_method_saved_on_an_account_is_announced_once(world: World) -> None:
    await world.see(connected_card(1))
    await world.see(connected_card(1))

    (record,) = await _told(world)
    assert record.pop("occurred_at").endswith("Z")
    assert record == {
        "key": "acct_1:pm_C",
        "account": "acct_1",
        "origin": "direct",
        "state": "ready",
        "reason": None,
        "platform_customer": None,
        "platform_payment_method": None,
        "connected_customer": "cus_C",
        "connected_payment_method": "pm_C",
        "type": "card",
        "default": False,
        "generation": None,
        "version": 1,
        "livemode": False,
    }


async def test_its_life(world: World) -> None:
    """Made the default, no more the default, detached; each a version more."""
    await world.see(connected_card(1))
    await world.see(connected_customer(2, default="pm_C"))
    await world.see(connected_customer(3, default="pm_other"))
    await world.see(connected_customer(2, default="pm_C"))
    await world.see(connected_card(4, of=None, detached=True))
    await world.see(connected_card(5))

    told = await _told(world)
    assert [(each["state"], each["reason"], each["default"], each["version"]) for each in told] == [
        ("ready", None, False, 1),
        ("ready", None, True, 2),
        ("ready", None, False, 3),
        ("absent", "detached_on_account", False, 4),
    ]


@pytest.mark.parametrize("customer_first", [True, False])
async def test_the_order_of_a_method_and_its_customer_does_not_matter(
    world: World, *, customer_first: bool
) -> None:
    events: list[Seen] = [connected_customer(1, default="pm_C"), connected_card(1)]
    for event in events if customer_first else reversed(events):
        await world.see(event)

    assert (await _told(world))[-1]["default"] is True


async def test_a_method_and_its_customer_in_two_transactions_at_once(world: World) -> None:
    """Twenty rounds: neither misses the other's half."""
    for n in range(20):
        method, of = f"pm_{n}", f"cus_{n}"
        blocker = world.sql.transaction()
        await blocker.start()
        await world.sql.execute("LOCK TABLE offshoot.connected_customer IN SHARE MODE")
        first = await world.start(world.see(connected_card(1, name=method, of=of)))
        second = await world.start(world.see(connected_customer(1, name=of, default=method)))
        await blocker.rollback()
        await first
        await second

    latest = {record["key"]: record["default"] for record in await _told(world)}
    assert latest == {f"acct_1:pm_{n}": True for n in range(20)}


async def test_a_deleted_customer_takes_its_methods_along(world: World) -> None:
    await world.see(connected_card(1), connected_card(1, name="pm_other", of="cus_other"))
    await world.see(connected_customer(2, deleted=True))
    await world.see(connected_card(2, of=None, detached=True))

    assert await _said(world) == [READY, READY, ("absent", "connected_customer_deleted")]


@pytest.mark.parametrize("step", ["attach", "create_customer", "update", "once"])
async def test_a_clones_event_may_overtake_our_commit(world: World, step: str) -> None:
    """No row names it yet; the key of the request tells."""
    await world.see(connected_card(1, key=await _key(world, step)))
    await world.see(connected_card(2, expiry=2031))

    assert await _told(world) == []


@pytest.mark.parametrize("step", ["direct_attach", "direct_confirm"])
async def test_what_direct_save_saved_is_announced(world: World, step: str) -> None:
    await world.see(connected_card(1, key=await _key(world, step)))

    assert await _said(world) == [READY]


@pytest.mark.parametrize("where", ["connected_payment_method_id", "next_payment_method_id", "superseded"])
async def test_what_a_clones_row_names_is_not_announced(world: World, where: str) -> None:
    """Somebody on the account changed it: no key of ours."""
    lease = await world.see_share()
    serving = "pm_C" if where.startswith("connected") else "pm_now"
    await world.sql.execute(
        "INSERT INTO offshoot.clone (share_id, platform_payment_method_id, generation, recovery_point,"
        " connected_payment_method_id, state) VALUES ($1, 'pm_P', 1, 'attached', $2, 'ready')",
        lease.share_id,
        serving,
    )
    if where.startswith("next"):
        await world.sql.execute(f"UPDATE offshoot.clone SET {where} = 'pm_C', next_generation = 2")  # noqa: S608
    elif where == "superseded":
        await world.sql.execute(
            "INSERT INTO offshoot.superseded_clone (connected_payment_method_id, share_id,"
            " platform_payment_method_id, generation, superseded_at) VALUES ('pm_C', $1, 'pm_P', 1, now())",
            lease.share_id,
        )

    await world.see(connected_card(1))
    assert await _told(world) == []

    await world.sql.execute("UPDATE offshoot.clone SET ours = false")
    await world.see(connected_card(2, expiry=2031))
    assert await _said(world) == ([READY] if where.startswith("connected") else []), "reused: not ours"


async def test_a_direct_record_that_turns_out_to_be_a_clone_ends(world: World) -> None:
    await world.see(connected_card(1))
    await world.see(connected_card(2, key=await _key(world, "attach")))
    await world.see(connected_card(3, expiry=2031))

    assert await _said(world) == [READY, GONE]


async def test_only_customers_known_on_both_sides(world: World) -> None:
    """The record of one that was told of is kept right, mapped or not."""
    direct = DirectRecords(world.outbox, record=RecordDirect.MAPPED, livemode=False)
    world.projections = ProjectionStore(world.database, direct)
    await world.see_share()
    await world.sql.execute("UPDATE offshoot.share SET connected_customer_id = 'cus_C'")

    await world.see(connected_card(1), connected_card(1, name="pm_other", of="cus_other"))
    await world.sql.execute("UPDATE offshoot.share SET connected_customer_id = NULL")
    await world.see(connected_card(2, of=None, detached=True))

    assert [(each["key"], each["state"]) for each in await _told(world)] == [
        ("acct_1:pm_C", "ready"),
        ("acct_1:pm_C", "absent"),
    ]


async def test_none_is_announced_where_none_is_wished(world: World) -> None:
    direct = DirectRecords(world.outbox, record=RecordDirect.NONE, livemode=False)
    world.projections = ProjectionStore(world.database, direct)

    await world.see(connected_card(1), connected_customer(1, default="pm_C"))

    assert await _told(world) == []
    assert (await world.row("connected_payment_method", "pm_C"))["customer_id"] == "cus_C"


async def test_an_account_that_goes_away_and_comes_back(world: World) -> None:
    """In chunks; what is there afterwards is read at Stripe. Absent stays absent."""
    world.fanouts = FanoutStore(world.database, world.direct, chunk=2)
    names = [f"pm_{n}" for n in range(3)]
    await world.see(
        account(1, whole=True, card_payments="active"),
        *[connected_card(1, name=name) for name in names],
        connected_card(1, name="pm_gone"),
        connected_card(1, name="pm_elsewhere", on="acct_2"),
    )
    await world.see(connected_card(2, name="pm_gone", detached=True))
    await world.sql.execute("DELETE FROM offshoot.outbox")

    await world.see(account(5, connected=False))
    assert await world.expand() > 2
    assert await _said(world) == [("blocked", "account_disconnected")] * 3
    assert await world.projections.claim_connected_readings(10) == []
    await world.sql.execute("DELETE FROM offshoot.outbox")

    await world.see(account(6, connected=True))
    await world.expand()
    assert await _told(world) == []
    readings = sorted(await world.projections.claim_connected_readings(10), key=lambda each: each.id)
    assert [(each.kind, each.id) for each in readings] == [(ConnectedKind.PAYMENT_METHOD, n) for n in names]
    for reading, seen in zip(readings, [9, None, 9], strict=True):
        shown = connected_card(9, name=reading.id, detached=seen is None)
        await world.projections.apply_connected_reading(reading, shown)
    assert await _said(world) == [READY, GONE, READY]
    assert await world.projections.claim_connected_readings(10) == []


async def test_a_method_saved_while_its_account_goes_away(world: World) -> None:
    """The transaction that saves it holds the account: the chunk that follows finds the method."""
    await world.see(account(1, whole=True, card_payments="active"))
    blocker = world.sql.transaction()
    await blocker.start()
    await world.sql.execute("LOCK TABLE offshoot.outbox IN SHARE MODE")
    saving = await world.start(world.see(connected_card(1)))
    leaving = await world.start(world.see(account(5, connected=False)))
    await blocker.rollback()
    await saving
    await leaving
    await world.expand()

    assert (await _said(world))[-1] == ("blocked", "account_disconnected")


async def test_a_capability_matters_to_direct_methods_too(world: World) -> None:
    await world.see(account(1, whole=True, card_payments="active"), connected_card(1))
    await world.see(account(2, card_payments="inactive"))
    await world.expand()
    await world.see(account(3, card_payments="active"))
    await world.expand()

    assert await _said(world) == [READY, ("blocked", "capability_inactive"), READY]


def _bank(second: float, *, active: bool | None = None, told: bool = True) -> ConnectedMethodSeen:
    seen = replace(connected_card(second), type="us_bank_account")
    if active is not None:
        seen = replace(seen, mandate=MandateSeen(active, at(second)))
    return seen if told else replace(seen, type="", content=None, customer_id=None)


async def test_a_bank_account_is_unverified_until_its_mandate_was_seen(world: World) -> None:
    await world.see(_bank(2))
    await world.see(_bank(3, active=True, told=False))
    await world.see(_bank(5, active=False, told=False))
    await world.see(_bank(4, active=True, told=False))

    unverified = ("ready", "mandate_unverified")
    assert await _said(world) == [unverified, READY, unverified]


async def test_a_mandate_may_come_before_its_method(world: World) -> None:
    await world.see(_bank(3, active=True, told=False))
    assert await _told(world) == []
    await world.see(_bank(2))

    assert await _said(world) == [READY]


async def test_what_only_an_intent_tells_of_is_read(world: World) -> None:
    """Unless its own event comes."""
    saved = replace(connected_card(3), type="", content=None)
    await world.see(saved)
    assert await _told(world) == []
    (reading,) = await _due(world)
    await world.projections.apply_connected_reading(reading, connected_card(9))
    assert await _said(world) == [READY]

    other = replace(saved, id="pm_other")
    await world.see(other)
    await world.see(connected_card(2, name="pm_other"))
    assert await _due(world) == []


async def _due(world: World) -> list[ConnectedReading]:
    await world.sql.execute("UPDATE offshoot.connected_reading SET due_at = now()")
    return await world.projections.claim_connected_readings(10)


def _hint(second: float, key: str | None = None) -> ConnectedHint:
    return ConnectedHint(ConnectedKind.PAYMENT_METHOD, "pm_C", "acct_1", at(second), key)


async def test_a_thin_event_has_the_method_read(world: World) -> None:
    await world.see(_hint(3))
    (reading,) = await _due(world)
    await world.projections.apply_connected_reading(reading, connected_card(4))

    assert await _said(world) == [READY]
    assert await _due(world) == []


async def test_a_reading_makes_no_later_event_look_old(world: World) -> None:
    """Whatever our clock says: it counts from Stripe's second of the event that asked for it."""
    await world.see(_hint(3))
    (reading,) = await _due(world)
    assert reading.as_of == at(3)

    await world.see(connected_card(1))
    await world.see(replace(_hint(5), kind=ConnectedKind.CUSTOMER, id="cus_C"))
    readings = {each.kind: each for each in await _due(world)}
    assert readings[ConnectedKind.CUSTOMER].as_of == at(5)
    await world.sql.execute("UPDATE offshoot.connected_reading SET as_of = 'infinity'")
    readings = {each.kind: each for each in await _due(world)}
    assert readings[ConnectedKind.PAYMENT_METHOD].as_of == at(1), "what its row knows of"


async def test_its_snapshot_settles_it_whichever_comes_first(world: World) -> None:
    orders: list[list[Seen]] = [[_hint(3), connected_card(3)], [connected_card(3), _hint(3)]]
    for events in orders:
        for event in events:
            await world.see(event)
        assert await _due(world) == []
    await world.see(_hint(4))
    assert len(await _due(world)) == 1, "a later one is another"


async def test_a_thin_event_of_our_own_clone_tells_nothing_new(world: World) -> None:
    await world.see(_hint(3, await _key(world, "attach")))
    assert await _due(world) == []
    await world.see(_hint(3, await _key(world, "direct_attach")))
    assert len(await _due(world)) == 1


async def test_what_is_heard_during_a_reading_has_it_read_again(world: World) -> None:
    await world.see(_hint(3))
    (reading,) = await _due(world)
    await world.see(_hint(5))
    await world.projections.apply_connected_reading(reading, connected_card(4))

    assert len(await _due(world)) == 1


async def test_a_detach_that_we_began_is_ours_whoever_tells(world: World) -> None:
    """A reading shows no key; the recorded intent does."""
    lease = await world.see_share()
    await world.sql.execute(
        "INSERT INTO offshoot.intent (share_id, platform_payment_method_id, step, object, epoch,"
        " idempotency_key, parameters, generation, first_tried_at)"
        " VALUES ($1, 'pm_P', 'detach', 'pm_C', 1, 'k', '{}', 1, now())",
        lease.share_id,
    )

    await world.see(connected_card(1, detached=True), connected_card(1, name="pm_other", detached=True))

    assert (await world.row("connected_payment_method", "pm_C"))["detached_by_us"] is True
    assert (await world.row("connected_payment_method", "pm_other"))["detached_by_us"] is False


async def test_who_died_while_reading_is_followed_by_another(world: World) -> None:
    await world.see(_hint(3))
    (first,) = await _due(world)
    assert await world.projections.claim_connected_readings(10) == []

    (second,) = await _due(world)
    await world.projections.apply_connected_reading(second, connected_card(4))
    await world.projections.apply_connected_reading(first, connected_card(3))

    assert second.claimed - first.claimed > timedelta()
    assert await _said(world) == [READY]
