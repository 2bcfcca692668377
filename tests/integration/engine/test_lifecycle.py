"""A clone's whole life at Stripe: what is done there, and what is announced."""

from datetime import timedelta
from typing import Any

import pytest

from consumers.clone.policy import DefaultFollows, Leave, OnUpdate
from consumers.store.database import Database
from schemas.records import Reason, State
from tests.integration.engine.playground import Playground, playground
from tests.integration.store.world import World

pytestmark = pytest.mark.filterwarnings("ignore:Use 'content=:DeprecationWarning")
HOUR = timedelta(hours=1)


class Case:
    """One customer with one card, cloned to one account."""

    def __init__(self, play: Playground, account: str, customer: str, card: str) -> None:
        self.play = play
        self.account, self.customer, self.card = account, customer, card

    @classmethod
    async def ready(cls, play: Playground, token: str = "tok_visa") -> "Case":  # noqa: S107 -- Stripe's word for a test card
        account = await play.stripe.connect_account()
        customer = await play.stripe.new_customer(account)
        card = await play.stripe.save_card(customer, token)
        await play.settle()
        return cls(play, account, customer, card)

    async def said(self, card: str | None = None) -> tuple[State, Reason | None]:
        record = await self.play.record(self.account, card or self.card)
        return record.state, record.reason

    async def clone(self, card: str | None = None) -> str:
        found = (await self.play.record(self.account, card or self.card)).connected_payment_method
        assert found is not None
        return found

    async def at_stripe(self, clone: str) -> dict[str, Any]:
        methods = (await self.play.stripe.state(self.account))["payment_methods"]
        (found,) = [each for each in methods if each["id"] == clone]
        return dict(found)

    async def change(self, **parameters: str) -> None:
        await self.play.stripe.post(f"/v1/payment_methods/{self.card}", **parameters)
        await self.play.settle()

    async def share_with(self, *accounts: str) -> None:
        named = {"metadata[connected_accounts]": ",".join(accounts)}
        await self.play.stripe.post(f"/v1/customers/{self.customer}", **named)
        await self.play.settle()

    async def connected_customer(self) -> str:
        found = (await self.play.record(self.account, self.card)).connected_customer
        assert found is not None
        return found


async def test_a_first_card_and_a_later_one(world: World, pool: Database) -> None:
    """Two writes each."""
    async with playground(world, pool) as play:
        case = await Case.ready(play)
        second = await play.stripe.save_card(case.customer, "tok_mastercard")
        await play.settle()

        assert await case.said() == await case.said(second) == (State.READY, None)
        assert [route for route, _ in await play.writes(case.account)] == [
            "/v1/payment_methods",
            "/v1/customers",
            "/v1/payment_methods",
            "/v1/payment_methods/{payment_method}/attach",
        ]
        records = await play.records()
        assert [record.default for record in records.values()] == [True, False]


async def test_a_renewed_card_is_updated_in_place(world: World, pool: Database) -> None:
    async with playground(world, pool) as play:
        case = await Case.ready(play)
        clone = await case.clone()

        await case.change(**{"card[exp_year]": "2039", "card[exp_month]": "11"})

        updated = await case.at_stripe(clone)
        assert (updated["card"]["exp_year"], updated["card"]["exp_month"]) == (2039, 11)
        record = await play.record(case.account, case.card)
        assert (record.state, record.reason, record.generation, record.connected_payment_method) == (
            State.READY,
            None,
            2,
            clone,
        )
        assert [(each.state, each.reason) for each in await play.history()][-2:] == [
            (State.READY, Reason.UPDATING),
            (State.READY, None),
        ]


async def test_billing_details_follow(world: World, pool: Database) -> None:
    async with playground(world, pool) as play:
        case = await Case.ready(play)

        await case.change(**{"billing_details[name]": "Jenny R", "billing_details[address][city]": "Berlin"})
        updated = await case.at_stripe(await case.clone())
        assert (updated["billing_details"]["name"], updated["billing_details"]["address"]["city"]) == (
            "Jenny R",
            "Berlin",
        )

        await case.change(**{"billing_details[name]": ""})
        updated = await case.at_stripe(await case.clone())
        assert not updated["billing_details"]["name"]


async def test_billing_details_that_do_not_carry_over_are_added_after_the_attach(
    world: World, pool: Database
) -> None:
    """One update more, and the record says nothing of it."""
    async with playground(world, pool) as play:
        account = await play.stripe.connect_account()
        customer = await play.stripe.new_customer(account)
        method = await play.stripe.post(
            "/v1/payment_methods",
            type="card",
            **{"card[token]": "tok_visa", "billing_details[email]": "j@example.org"},
        )
        await play.stripe.post(f"/v1/payment_methods/{method['id']}/attach", customer=customer)
        await play.settle()
        case = Case(play, account, customer, method["id"])

        assert (await case.at_stripe(await case.clone()))["billing_details"]["email"] == "j@example.org"
        assert [record.state for record in await play.history()] == [State.READY]
        assert len(await play.writes(account)) == 3


@pytest.mark.parametrize("superseded", list(Leave))
async def test_a_replaced_clone_gives_its_place_and_the_default_to_the_new_one(
    world: World, pool: Database, superseded: Leave
) -> None:
    choices = {"on_update": OnUpdate.REPLACE, "on_superseded": superseded, "superseded_grace": HOUR}
    async with playground(world, pool, **choices) as play:
        case = await Case.ready(play)
        old = await case.clone()

        await case.change(**{"card[exp_year]": "2039"})

        new = await case.clone()
        assert new != old
        assert await case.said() == (State.READY, None)
        assert sorted(await play.stripe.attached(case.account)) == sorted([old, new])
        customers = (await play.stripe.state(case.account))["customers"]
        assert [each["invoice_settings"]["default_payment_method"] for each in customers] == [new]
        assert (await play.record(case.account, case.card)).default

        await play.pass_time(HOUR + timedelta(minutes=1))
        await play.settle()
        kept = [old, new] if superseded is Leave.KEEP else [new]
        assert sorted(await play.stripe.attached(case.account)) == sorted(kept)


async def test_a_card_detached_on_the_platform(world: World, pool: Database) -> None:
    """It is read there once, then its clone is detached."""
    async with playground(world, pool) as play:
        case = await Case.ready(play)

        await play.stripe.post(f"/v1/payment_methods/{case.card}/detach")
        await play.settle()

        assert await play.stripe.attached(case.account) == []
        assert await case.said() == (State.ABSENT, Reason.DETACHED_ON_PLATFORM)
        reads = await play.stripe.calls(method="GET", path="/v1/payment_methods/{payment_method}")
        assert len(reads) == 1


async def test_a_card_detached_on_the_platform_where_clones_are_kept(world: World, pool: Database) -> None:
    async with playground(world, pool, on_detach=Leave.KEEP) as play:
        case = await Case.ready(play)

        await play.stripe.post(f"/v1/payment_methods/{case.card}/detach")
        await play.settle()

        assert await play.stripe.attached(case.account) == [await case.clone()]
        assert await case.said() == (State.READY, None)


async def test_a_revoked_share_and_the_same_granted_again(world: World, pool: Database) -> None:
    async with playground(world, pool) as play:
        case = await Case.ready(play)
        old = await case.clone()

        await case.share_with()
        assert await case.said() == (State.ABSENT, Reason.SHARE_REVOKED)
        assert await play.stripe.attached(case.account) == []

        await case.share_with(case.account)
        assert await case.said() == (State.READY, None)
        assert await play.stripe.attached(case.account) == [await case.clone()] != [old]


async def test_a_clone_detached_on_the_account_stays_so_until_a_new_grant(
    world: World, pool: Database
) -> None:
    async with playground(world, pool) as play:
        case = await Case.ready(play)

        await play.stripe.post(f"/v1/payment_methods/{await case.clone()}/detach", case.account)
        await play.settle()
        assert await case.said() == (State.ABSENT, Reason.DETACHED_ON_ACCOUNT)
        await case.change(**{"card[exp_year]": "2039"})
        assert await case.said() == (State.ABSENT, Reason.DETACHED_ON_ACCOUNT)

        await case.share_with()
        await case.share_with(case.account)
        assert await case.said() == (State.READY, None)


async def test_a_connected_customer_deleted_there_is_made_anew_by_a_new_grant_only(
    world: World, pool: Database
) -> None:
    async with playground(world, pool) as play:
        case = await Case.ready(play)
        customer = await case.connected_customer()

        await play.stripe.delete(f"/v1/customers/{customer}", case.account)
        await play.settle()
        assert await case.said() == (State.ABSENT, Reason.CONNECTED_CUSTOMER_DELETED)
        second = await play.stripe.save_card(case.customer, "tok_mastercard")
        await play.settle()
        assert await case.said(second) == (State.ABSENT, Reason.CONNECTED_CUSTOMER_DELETED)

        await case.share_with()
        await case.share_with(case.account)
        assert await case.said() == await case.said(second) == (State.READY, None)
        assert await case.connected_customer() != customer


async def test_deleting_the_platform_customer_detaches_every_clone(world: World, pool: Database) -> None:
    """One read of the customer, whatever the number of clones; the connected customer stays."""
    async with playground(world, pool) as play:
        case = await Case.ready(play)
        await play.stripe.save_card(case.customer, "tok_mastercard")
        await play.settle()

        await play.stripe.delete(f"/v1/customers/{case.customer}")
        await play.settle()

        assert await play.stripe.attached(case.account) == []
        assert {record.state for record in (await play.records()).values()} == {State.ABSENT}
        assert not any(each["deleted"] for each in (await play.stripe.state(case.account))["customers"])


async def test_an_account_that_goes_away_and_comes_back(world: World, pool: Database) -> None:
    """Meanwhile no call is made, and somebody detaches a clone there."""
    async with playground(world, pool) as play:
        case = await Case.ready(play)
        second = await play.stripe.save_card(case.customer, "tok_mastercard")
        await play.settle()
        gone = await case.clone(second)

        await play.stripe.control("POST", f"accounts/{case.account}/deauthorize")
        await play.settle()
        assert await case.said() == await case.said(second) == (State.BLOCKED, Reason.ACCOUNT_DISCONNECTED)
        calls = len(await play.stripe.calls(case.account))

        await play.stripe.control("POST", f"accounts/{case.account}/authorize")
        await play.stripe.post(f"/v1/payment_methods/{gone}/detach", case.account)
        await play.settle()
        assert await case.said() == (State.READY, None)
        assert await case.said(second) == (State.ABSENT, Reason.DETACHED_ON_ACCOUNT)
        assert len(await play.stripe.calls(case.account)) > calls


async def test_the_same_card_saved_there_already_serves_as_the_clone(world: World, pool: Database) -> None:
    """It is not ours: it is never detached by us."""
    async with playground(world, pool) as play:
        case = await Case.ready(play)
        customer = await case.connected_customer()
        saved = await play.stripe.post(
            "/v1/payment_methods", case.account, type="card", **{"card[token]": "tok_mastercard"}
        )
        await play.stripe.post(f"/v1/payment_methods/{saved['id']}/attach", case.account, customer=customer)
        await play.settle()
        before = await play.writes(case.account)

        second = await play.stripe.save_card(case.customer, "tok_mastercard")
        await play.settle()
        assert await case.said(second) == (State.READY, Reason.REUSED)
        assert await case.clone(second) == saved["id"]
        assert await play.writes(case.account) == before

        await play.stripe.post(f"/v1/payment_methods/{second}/detach")
        await play.settle()
        assert await case.said(second) == (State.ABSENT, Reason.DETACHED_ON_PLATFORM)
        assert saved["id"] in await play.stripe.attached(case.account)


async def test_a_new_grant_is_used_once(world: World, pool: Database) -> None:
    """A reused method that was there still when the grant came back stays away when somebody detaches it."""
    async with playground(world, pool) as play:
        case = await Case.ready(play)
        saved = await play.stripe.post(
            "/v1/payment_methods", case.account, type="card", **{"card[token]": "tok_mastercard"}
        )
        attached = f"/v1/payment_methods/{saved['id']}/attach"
        await play.stripe.post(attached, case.account, customer=await case.connected_customer())
        await play.settle()
        second = await play.stripe.save_card(case.customer, "tok_mastercard")
        await play.settle()
        await case.share_with()
        assert await case.said(second) == (State.ABSENT, Reason.SHARE_REVOKED)
        await case.share_with(case.account)
        assert await case.said(second) == (State.READY, Reason.REUSED)

        await play.stripe.post(f"/v1/payment_methods/{saved['id']}/detach", case.account)
        await play.settle()

        assert await case.said(second) == (State.ABSENT, Reason.DETACHED_ON_ACCOUNT)


async def test_the_brake(world: World, pool: Database) -> None:
    """Past it nothing is detached, and everything else goes on."""
    async with playground(world, pool, detach_brake=1) as play:
        case = await Case.ready(play)
        other = await Case.ready(play)
        for each in (case, other):
            await play.stripe.post(f"/v1/payment_methods/{each.card}/detach")
        await play.settle()

        said = sorted([(await case.said())[0], (await other.said())[0]])
        assert said == [State.ABSENT, State.READY]
        third = await Case.ready(play)
        assert await third.said() == (State.READY, None)
        assert await world.sql.fetchval("SELECT count(*) FROM offshoot.share WHERE braked") == 1


async def test_a_wide_fan_out_is_paced(world: World, pool: Database) -> None:
    async with playground(world, pool, clones_per_card_per_hour=2) as play:
        accounts = [await play.stripe.connect_account() for _ in range(5)]
        customer = await play.stripe.new_customer(*accounts)
        card = await play.stripe.save_card(customer)

        for ready in (2, 4, 5):
            await play.settle()
            states = [(await play.record(account, card)).state for account in accounts]
            assert (states.count(State.READY), states.count(State.PENDING)) == (ready, 5 - ready)
            await play.pass_time(HOUR)


async def test_the_connected_default_follows_the_platforms_where_asked(world: World, pool: Database) -> None:
    async with playground(world, pool, default_follows=DefaultFollows.PLATFORM) as play:
        case = await Case.ready(play)
        second = await play.stripe.save_card(case.customer, "tok_mastercard")
        await play.settle()

        await play.stripe.post(
            f"/v1/customers/{case.customer}", **{"invoice_settings[default_payment_method]": second}
        )
        await play.settle()

        customers = (await play.stripe.state(case.account))["customers"]
        default = await case.clone(second)
        assert [each["invoice_settings"]["default_payment_method"] for each in customers] == [default]
        records = await play.records()
        assert {record.platform_payment_method: record.default for record in records.values()} == {
            case.card: False,
            second: True,
        }


async def test_a_passing_decline_is_tried_again_and_a_renewed_card_at_once(
    world: World, pool: Database
) -> None:
    async with playground(world, pool) as play:
        case = await Case.ready(play)
        fault = {
            "method": "POST",
            "route": "/v1/payment_methods/{payment_method}/attach",
            "account": case.account,
            "count": 3,
            "action": {
                "kind": "status",
                "status": 402,
                "when": "before",
                "body": {
                    "error": {
                        "type": "card_error",
                        "code": "card_declined",
                        "decline_code": "insufficient_funds",
                        "message": "Your card has insufficient funds.",
                    }
                },
            },
        }
        await play.stripe.control("POST", "faults", fault)
        second = await play.stripe.save_card(case.customer, "tok_mastercard")
        await play.settle()
        assert await case.said(second) == (State.PENDING, None)
        await play.pass_time(24 * HOUR)
        await play.settle()
        assert await case.said(second) == (State.PENDING, None)
        await play.pass_time(48 * HOUR)
        await play.settle()
        assert await case.said(second) == (State.FAILED, Reason.CARD_DECLINED)

        await play.stripe.post(f"/v1/payment_methods/{second}", **{"card[exp_year]": "2039"})
        await play.settle()
        assert await case.said(second) == (State.READY, None)
