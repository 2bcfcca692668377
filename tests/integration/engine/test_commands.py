"""Commands: what is done at Stripe for each, and the one result that is told."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from consumers.clone.policy import DefaultFollows
from consumers.store.database import Database
from schemas.commands import CloneOnce, GrantShare, Order, RevokeShare, SaveDirect
from schemas.records import Reason, State
from service.runtime.kafka.consumer import Record
from tests.integration.engine.commanded import Commanded, commanded
from tests.integration.store.world import World

HOUR = timedelta(hours=1)
CLONE, ATTACH = "/v1/payment_methods", "/v1/payment_methods/{payment_method}/attach"
SETUP = "/v1/setup_intents"
MANDATE = {"customer_acceptance": {"type": "offline"}}


async def _customer(play: Commanded, *accounts: str) -> tuple[str, str]:
    """A platform customer with a card."""
    customer = await play.stripe.new_customer(*accounts)
    return customer, await play.stripe.save_card(customer)


async def _on_account(play: Commanded, account: str, token: str = "tok_visa") -> tuple[str, str]:  # noqa: S107
    """A customer and an unattached method on an account: ways A and B begin so."""
    customer = await play.stripe.post("/v1/customers", account, name="Jenny Rosen")
    method = await play.stripe.post(CLONE, account, type="card", **{"card[token]": token})
    return customer["id"], method["id"]


async def _calls(play: Commanded, account: str, route: str) -> list[dict[str, Any]]:
    calls = await play.stripe.calls(account, method="POST")
    return [call for call in calls if call["route"] == route]


# -- grants and revocations


async def test_a_grant_is_completed_at_once_and_its_clones_follow(world: World, pool: Database) -> None:
    async with commanded(world, pool) as play:
        account = await play.stripe.connect_account()
        customer, card = await _customer(play)
        await play.settle()

        name = await play.send(GrantShare(customer=customer, account=account))
        share = {"customer": customer, "account": account, "wanted": True}
        assert await play.result(name) == {"ended": "completed", "share": share}
        assert await play.records() == {}
        await play.settle()

        record = await play.record(account, card)
        assert (record.state, record.reason) == (State.READY, None)
        ((headers, _),) = await play.results()
        assert headers["ce_subject"] == f"{account}:{customer}"


async def test_a_grant_of_a_customer_not_known_yet_has_it_read(world: World, pool: Database) -> None:
    async with commanded(world, pool) as play:
        account = await play.stripe.connect_account()
        customer, card = await _customer(play)

        await play.send(GrantShare(customer=customer, account=account))
        assert await play.read() == 1
        await play.settle()

        assert (await play.record(account, card)).state is State.READY


async def test_its_card_was_heard_of_before_it(world: World, pool: Database) -> None:
    """The connected customer gets the name all the same."""
    async with commanded(world, pool) as play:
        account = await play.stripe.connect_account()
        customer, _ = await _customer(play)
        await play.take_in([each for each in play.events() if each["type"] == "payment_method.attached"])

        await play.send(GrantShare(customer=customer, account=account))
        await play.work()
        await play.settle()

        (made,) = (await play.stripe.state(account))["customers"]
        assert (made["name"], made["email"]) == ("Jenny Rosen", "jenny@example.com")


async def test_a_grant_by_command_and_one_by_metadata_stand_side_by_side(
    world: World, pool: Database
) -> None:
    async with commanded(world, pool) as play:
        account = await play.stripe.connect_account()
        customer, card = await _customer(play, account)
        grant = GrantShare(customer=customer, account=account)
        revoke = RevokeShare(customer=customer, account=account)
        await play.done(grant)

        assert (await play.done(revoke))["share"]["wanted"] is True, "metadata names it still"
        assert (await play.record(account, card)).state is State.READY
        await play.done(grant)
        await play.stripe.post(f"/v1/customers/{customer}", **{"metadata[connected_accounts]": ""})
        await play.settle()
        assert (await play.record(account, card)).state is State.READY, "the command grants it still"

        assert (await play.done(revoke))["share"]["wanted"] is False
        record = await play.record(account, card)
        assert (record.state, record.reason) == (State.ABSENT, Reason.SHARE_REVOKED)
        assert await play.stripe.attached(account) == []


async def test_a_revocation_of_what_was_never_granted(world: World, pool: Database) -> None:
    async with commanded(world, pool) as play:
        revoke = RevokeShare(customer="cus_P", account="acct_1")
        assert (await play.done(revoke))["share"]["wanted"] is False
        assert await world.sql.fetchval("SELECT count(*) FROM offshoot.share") == 0


async def test_only_some_of_the_methods(world: World, pool: Database) -> None:
    """A grant adds, never takes away; a revocation takes only what it names."""
    async with commanded(world, pool) as play:
        account = await play.stripe.connect_account()
        customer, first = await _customer(play)
        second = await play.stripe.save_card(customer, "tok_mastercard")
        await play.settle()

        async def ready() -> set[str]:
            records = await play.records()
            return {key.rpartition(":")[2] for key, each in records.items() if each.state is State.READY}

        def grant(*methods: str) -> Order:
            return GrantShare(customer=customer, account=account, payment_methods=methods or None)

        def revoke(*methods: str) -> Order:
            return RevokeShare(customer=customer, account=account, payment_methods=methods or None)

        for order, wanted, there in [
            (grant(first), True, {first}),
            (grant(second), True, {first, second}),
            (revoke(first), True, {second}),
            (revoke(second), False, set()),
            (grant(), True, {first, second}),
            (grant(first), True, {first, second}),
            (revoke(first), True, {second}),
            (grant(first), True, {first, second}),
            (revoke(first), True, {second}),
            (grant(), True, {first, second}),
            (revoke(), False, set()),
        ]:
            result = await play.done(order)
            assert (result["share"]["wanted"], await ready()) == (wanted, there), order


async def test_a_new_grant_takes_up_what_was_ended_on_the_account(world: World, pool: Database) -> None:
    async with commanded(world, pool) as play:
        account = await play.stripe.connect_account()
        customer, card = await _customer(play)
        grant = GrantShare(customer=customer, account=account)
        await play.done(grant)
        old = await play.record(account, card)

        await play.stripe.post(f"/v1/payment_methods/{old.connected_payment_method}/detach", account)
        await play.settle()
        assert (await play.record(account, card)).reason is Reason.DETACHED_ON_ACCOUNT
        await play.done(grant)
        assert (await play.record(account, card)).state is State.READY

        await play.stripe.delete(f"/v1/customers/{old.connected_customer}", account)
        await play.settle()
        assert (await play.record(account, card)).reason is Reason.CONNECTED_CUSTOMER_DELETED
        await play.done(grant)
        new = await play.record(account, card)
        assert new.state is State.READY
        assert new.connected_customer != old.connected_customer


async def test_an_old_clones_late_event_is_not_direct(world: World, pool: Database) -> None:
    """Its row is that of another clone by then."""
    async with commanded(world, pool) as play:
        account = await play.stripe.connect_account()
        customer, card = await _customer(play)
        await play.done(GrantShare(customer=customer, account=account))
        old = (await play.record(account, card)).connected_payment_method
        late = await play.stripe.post(f"/v1/payment_methods/{old}", account, **{"card[exp_year]": "2039"})
        held = play.events()
        await play.stripe.post(f"/v1/payment_methods/{late['id']}/detach", account)
        await play.settle()
        await play.done(GrantShare(customer=customer, account=account))
        await world.sql.execute("DELETE FROM offshoot.connected_payment_method WHERE id = $1", old)

        await play.take_in(held)

        assert f"{account}:{old}" not in await play.records()


async def test_a_connected_customer_is_adopted_by_one_platform_customer_only(
    world: World, pool: Database
) -> None:
    async with commanded(world, pool) as play:
        account = await play.stripe.connect_account()
        customer, card = await _customer(play)
        other, _ = await _customer(play)
        there, _ = await _on_account(play, account)
        await play.settle()
        grant = GrantShare(customer=customer, account=account, connected_customer=there)

        assert (await play.done(grant))["ended"] == "completed"
        record = await play.record(account, card)
        assert (record.state, record.connected_customer) == (State.READY, there)
        assert len(await _calls(play, account, "/v1/customers")) == 1, "only the one that was there"
        assert (await play.done(grant))["ended"] == "completed", "the same again"

        taken = await play.done(GrantShare(customer=other, account=account, connected_customer=there))
        assert (taken["ended"], taken["reason"]) == ("rejected", "customer_taken")
        await play.done(GrantShare(customer=other, account=account))
        has = await play.done(GrantShare(customer=other, account=account, connected_customer="cus_another"))
        assert (has["ended"], has["reason"]) == ("rejected", "customer_taken")


async def test_what_an_adopted_customer_has_is_reused(world: World, pool: Database) -> None:
    async with commanded(world, pool) as play:
        account = await play.stripe.connect_account()
        customer, card = await _customer(play)
        there, method = await _on_account(play, account)
        await play.stripe.post(f"/v1/payment_methods/{method}/attach", account, customer=there)
        await play.settle()

        await play.done(GrantShare(customer=customer, account=account, connected_customer=there))

        record = await play.record(account, card)
        assert (record.state, record.reason) == (State.READY, Reason.REUSED)
        assert record.connected_payment_method == method
        assert (await play.record(account, method)).state is State.READY, "it is direct, too"


async def test_what_somebody_chose_for_a_customer_that_is_adopted_stays(world: World, pool: Database) -> None:
    """Though nobody told of it: it was made before Offshoot was there."""
    async with commanded(world, pool, default_follows=DefaultFollows.PLATFORM) as play:
        account = await play.stripe.connect_account()
        customer, card = await _customer(play)
        await play.stripe.post(
            f"/v1/customers/{customer}", **{"invoice_settings[default_payment_method]": card}
        )
        there, method = await _on_account(play, account, "tok_mastercard")
        await play.stripe.post(f"/v1/payment_methods/{method}/attach", account, customer=there)
        chosen = {"invoice_settings[default_payment_method]": method}
        await play.stripe.post(f"/v1/customers/{there}", account, **chosen)
        await play.take_in([each for each in play.events() if "account" not in each])

        await play.done(GrantShare(customer=customer, account=account, connected_customer=there))

        (found,) = (await play.stripe.state(account))["customers"]
        assert found["invoice_settings"]["default_payment_method"] == method
        assert (await play.record(account, card)).default is False


async def test_a_customer_that_is_adopted_while_the_share_is_in_work(world: World, pool: Database) -> None:
    """Whoever works on the share knows of no customer: it loses the share, and makes none."""
    async with commanded(world, pool) as play:
        account = await play.stripe.connect_account()
        customer, card = await _customer(play, account)
        there, _ = await _on_account(play, account)
        await play.ingest()
        (lease,) = await play.tools.shares.claim(1)
        await play.tools.shares.load(lease)

        await play.send(GrantShare(customer=customer, account=account, connected_customer=there))
        await play.settle()

        assert (await play.record(account, card)).connected_customer == there


@pytest.mark.parametrize("gone", ["customer", "connected_customer"])
async def test_a_grant_about_who_is_gone(world: World, pool: Database, gone: str) -> None:
    async with commanded(world, pool) as play:
        account = await play.stripe.connect_account()
        customer, _ = await _customer(play)
        there, _ = await _on_account(play, account)
        if gone == "customer":
            await play.stripe.delete(f"/v1/customers/{customer}")
        else:
            await play.stripe.delete(f"/v1/customers/{there}", account)
        await play.settle()

        result = await play.done(GrantShare(customer=customer, account=account, connected_customer=there))

        assert (result["ended"], result["reason"]) == ("rejected", "not_found")


# -- clone.once


async def test_a_clone_for_one_charge(world: World, pool: Database) -> None:
    """Each command makes one of its own, unattached; the same command makes none again."""
    async with commanded(world, pool) as play:
        account = await play.stripe.connect_account()
        _, card = await _customer(play)
        await play.settle()
        order = CloneOnce(payment_method=card, account=account)

        first = await play.done(order)
        second = await play.done(order)

        made = [first["connected_payment_method"], second["connected_payment_method"]]
        assert len(set(made)) == 2
        methods = (await play.stripe.state(account))["payment_methods"]
        assert sorted(each["id"] for each in methods) == sorted(made)
        assert await play.stripe.attached(account) == []
        assert await play.records() == {}
        reads = await play.stripe.calls(method="GET", path="/v1/payment_methods/{payment_method}")
        assert reads == [], "what is known need not be read"


async def test_an_original_without_a_customer_is_used_up_only_if_allowed(
    world: World, pool: Database
) -> None:
    async with commanded(world, pool) as play:
        account = await play.stripe.connect_account()
        original = await play.stripe.post(CLONE, type="card", **{"card[token]": "tok_visa"})
        order = CloneOnce(payment_method=original["id"], account=account)

        assert (await play.done(order))["reason"] == "unattached_original"
        assert await _calls(play, account, CLONE) == []
        consume = CloneOnce(payment_method=original["id"], account=account, consume=True)
        assert (await play.done(consume))["ended"] == "completed"
        again = await play.done(consume)
        assert again["reason"] == "original_consumed"
        assert len(await _calls(play, account, CLONE)) == 1


async def test_an_original_is_used_up_once_even_if_stripes_answer_was_lost(
    world: World, pool: Database
) -> None:
    """A stored 500 never leads to a second clone of it, by this command or by another."""
    async with commanded(world, pool) as play:
        account = await play.stripe.connect_account()
        original = await play.stripe.post(CLONE, type="card", **{"card[token]": "tok_visa"})
        await play.fault(account, CLONE, kind="status", status=500, when="after")
        order = CloneOnce(payment_method=original["id"], account=account, consume=True)

        name = await play.send(order)
        other = await play.send(order)
        await play.settle(HOUR)

        assert (await play.result(name))["reason"] == "original_consumed"
        assert (await play.result(other))["reason"] == "original_consumed"
        keys = {call["idempotency_key"] for call in await _calls(play, account, CLONE)}
        assert len(keys) == 1


async def test_an_attached_original_is_cloned_anew_after_a_stored_500(world: World, pool: Database) -> None:
    """What the first try left is inert."""
    async with commanded(world, pool) as play:
        account = await play.stripe.connect_account()
        _, card = await _customer(play)
        await play.settle()
        await play.fault(account, CLONE, kind="status", status=500, when="after")

        name = await play.send(CloneOnce(payment_method=card, account=account))
        await play.settle(HOUR)

        assert (await play.result(name))["ended"] == "completed"
        keys = {call["idempotency_key"] for call in await _calls(play, account, CLONE)}
        assert len(keys) == 2


@pytest.mark.parametrize("consumed", [False, True])
async def test_an_answer_that_was_lost_for_a_day(world: World, pool: Database, *, consumed: bool) -> None:
    """Past 23 hours the key is of no use any more."""
    async with commanded(world, pool) as play:
        account = await play.stripe.connect_account()
        customer = await play.stripe.new_customer()
        card = (await play.stripe.post(CLONE, type="card", **{"card[token]": "tok_visa"}))["id"]
        if not consumed:
            await play.stripe.post(f"/v1/payment_methods/{card}/attach", customer=customer)
        await play.settle()
        await play.fault(account, CLONE, kind="cut", when="after")
        name = await play.send(CloneOnce(payment_method=card, account=account, consume=consumed))
        await play.work_on_commands()
        await play.pass_time(25 * HOUR)
        await play.settle()

        result = await play.result(name)
        keys = {call["idempotency_key"] for call in await _calls(play, account, CLONE)}
        if consumed:
            assert (result["reason"], len(keys)) == ("original_consumed", 1)
        else:
            assert (result["ended"], len(keys)) == ("completed", 2)


async def test_what_clone_once_cannot_do(world: World, pool: Database) -> None:
    async with commanded(world, pool) as play:
        account = await play.stripe.connect_account()
        customer, card = await _customer(play)
        other, _ = await _customer(play)
        link = await play.stripe.post(CLONE, type="link", **{"billing_details[email]": "j@example.org"})
        await play.stripe.post(f"/v1/payment_methods/{link['id']}/attach", customer=customer)
        await play.settle()

        async def refused(order: CloneOnce) -> str:
            result = await play.done(order)
            assert result["ended"] == "rejected"
            return str(result["reason"])

        order = CloneOnce(payment_method=card, account=account)
        assert await refused(replace_order(order, customer=other)) == "refused"
        assert await refused(replace_order(order, payment_method=link["id"])) == "refused"
        assert await refused(replace_order(order, payment_method="pm_nowhere")) == "not_found"
        assert await refused(replace_order(order, account="acct_nobodyknows0000")) == "account_unknown"
        incapable = await play.stripe.connect_account(capable=False)
        assert await refused(replace_order(order, account=incapable)) == "capability_inactive"
        await play.stripe.control("POST", f"accounts/{account}/deauthorize")
        await play.settle()
        before = len(await play.stripe.calls(account))
        assert await refused(order) == "account_disconnected"
        assert len(await play.stripe.calls(account)) == before


def replace_order(order: CloneOnce, **changes: Any) -> CloneOnce:
    return CloneOnce(
        **{
            "payment_method": order.payment_method,
            "account": order.account,
            "customer": order.customer,
            **changes,
        }
    )


# -- direct.save


@pytest.mark.parametrize("by_token", [True, False])
async def test_a_method_of_the_account_is_saved_there_and_announced_as_direct(
    world: World, pool: Database, *, by_token: bool
) -> None:
    """Once, whether its events come before or after our own record."""
    async with commanded(world, pool) as play:
        account = await play.stripe.connect_account()
        customer, method = await _on_account(play, account)
        order = SaveDirect(account=account, customer=customer, payment_method=method)
        if by_token:
            order = SaveDirect(account=account, customer=customer, token="tok_mastercard")

        result = await play.done(order)

        saved = result["connected_payment_method"]
        assert await play.stripe.attached(account) == [saved]
        (record,) = await play.history()
        assert (record.origin, record.state, record.connected_customer, record.key) == (
            "direct",
            State.READY,
            customer,
            f"{account}:{saved}",
        )
        again = await play.done(SaveDirect(account=account, customer=customer, payment_method=saved))
        assert again["connected_payment_method"] == saved
        assert len(await _calls(play, account, ATTACH)) == 1
        assert len(await play.history()) == 1


async def test_its_webhook_may_overtake_our_record(world: World, pool: Database) -> None:
    async with commanded(world, pool) as play:
        account = await play.stripe.connect_account()
        customer, method = await _on_account(play, account)
        await play.settle()
        await play.fault(account, ATTACH, kind="cut", when="after")
        await play.send(SaveDirect(account=account, customer=customer, payment_method=method))
        await play.work_on_commands()

        await play.ingest()

        assert [(each.origin, each.state) for each in await play.history()] == [("direct", State.READY)]
        await play.settle()
        assert len(await play.history()) == 1


async def test_a_decline_is_told_with_the_issuers_code(world: World, pool: Database) -> None:
    async with commanded(world, pool) as play:
        account = await play.stripe.connect_account()
        customer, method = await _on_account(play, account, "tok_chargeDeclinedInsufficientFunds")

        result = await play.done(SaveDirect(account=account, customer=customer, payment_method=method))

        assert (result["reason"], result["decline_code"]) == ("card_declined", "insufficient_funds")
        assert result["stripe_request_id"].startswith("req_")


@pytest.mark.parametrize("when", ["before", "after"])
async def test_a_lost_attach_is_told_by_the_method_itself(world: World, pool: Database, when: str) -> None:
    async with commanded(world, pool) as play:
        account = await play.stripe.connect_account()
        customer, method = await _on_account(play, account)
        await play.fault(account, ATTACH, kind="status", status=500, when=when)

        name = await play.send(SaveDirect(account=account, customer=customer, payment_method=method))
        await play.settle(HOUR)

        assert (await play.result(name))["connected_payment_method"] == method
        keys = {call["idempotency_key"] for call in await _calls(play, account, ATTACH)}
        assert len(keys) == (2 if when == "before" else 1)


async def test_a_bank_account_is_saved_with_its_mandate(world: World, pool: Database) -> None:
    async with commanded(world, pool) as play:
        account = await play.stripe.connect_account()
        active = {"us_bank_account_ach_payments": "active"}
        await play.stripe.control("POST", f"accounts/{account}/capabilities", active)
        customer, _ = await _on_account(play, account)
        order = SaveDirect(
            account=account,
            customer=customer,
            payment_method="pm_usBankAccount_success",
            mandate_data=MANDATE,
        )

        result = await play.done(order)

        assert result["ended"] == "completed", result
        (record,) = (await play.records()).values()
        assert (record.type, record.state, record.reason) == ("us_bank_account", State.READY, None)


async def test_what_direct_save_cannot_do(world: World, pool: Database) -> None:
    async with commanded(world, pool) as play:
        account = await play.stripe.connect_account()
        customer, method = await _on_account(play, account)
        other, attached = await _on_account(play, account)
        await play.stripe.post(f"/v1/payment_methods/{attached}/attach", account, customer=other)
        await play.settle()

        async def refused(**changes: Any) -> str:
            order = {"account": account, "customer": customer, "payment_method": method, **changes}
            result = await play.done(SaveDirect(**order))
            assert result["ended"] == "rejected"
            return str(result["reason"])

        assert await refused(payment_method="pm_nowhere") == "not_found"
        assert await refused(customer="cus_nowhere") == "not_found"
        assert await refused(payment_method=attached) == "refused"
        assert await refused(payment_method=None, token="tok_nowhere") == "not_found"
        assert await refused(account="acct_nobodyknows0000") == "account_unknown"
        await play.stripe.set_capability(account, "inactive")
        await play.settle()
        assert await refused() == "capability_inactive"
        assert await refused(payment_method=None, token="tok_visa") == "capability_inactive"


async def test_a_capability_whose_event_is_late_is_asked_for(world: World, pool: Database) -> None:
    """A command that is rejected does not wait for the event: the account itself has the last word."""
    async with commanded(world, pool) as play:
        account = await play.stripe.connect_account()
        await play.stripe.set_capability(account, "inactive")
        _, card = await _customer(play)
        await play.settle()
        await play.stripe.set_capability(account, "active")

        name = await play.send(CloneOnce(payment_method=card, account=account))
        await play.work_on_commands()

        assert (await play.result(name))["ended"] == "completed"


# -- for every command


async def test_a_second_command_under_a_used_name_gets_the_firsts_result(
    world: World, pool: Database
) -> None:
    async with commanded(world, pool) as play:
        account = await play.stripe.connect_account()
        customer, card = await _customer(play)
        await play.settle()
        order = CloneOnce(payment_method=card, account=account)
        await play.send(order, "one")
        await play.send(order, "one")
        await play.settle()
        await play.send(order, "one")
        await play.send(GrantShare(customer=customer, account=account), "one")
        await play.settle()

        results = await play.results()
        assert len(results) == 3
        assert all(result == results[0] for result in results)
        assert len(await _calls(play, account, CLONE)) == 1
        assert await play.records() == {}


async def test_the_same_id_of_another_source_is_another_command(world: World, pool: Database) -> None:
    async with commanded(world, pool) as play:
        record = play.record_of(RevokeShare(customer="cus_P", account="acct_1"), "one")
        headers = [
            ("ce_source", b"/crm") if name == "ce_source" else (name, raw) for name, raw in record.headers
        ]
        await play.intake.handle([record, replace(record, headers=headers)])

        results = await play.results()
        assert len({headers["ce_id"] for headers, _ in results}) == 2


async def test_what_cannot_be_understood_is_told_so_and_the_nameless_is_a_dead_letter(
    world: World, pool: Database
) -> None:
    async with commanded(world, pool) as play:
        good = play.record_of(RevokeShare(customer="cus_P", account="acct_1"), "good")
        bad = replace(play.record_of(RevokeShare(customer="cus_P", account="acct_1"), "bad"), value=None)
        late = play.record_of(
            RevokeShare(customer="cus_P", account="acct_1"), "late", expires_at=play.now() - HOUR
        )
        unknown = replace(good, headers=_renamed(good, "unknown", b"offshoot.share.steal"))
        nameless = replace(good, headers=[each for each in good.headers if each[0] != "ce_id"])

        dead = await play.intake.handle([bad, late, unknown, nameless, good])
        await play.intake.handle([bad])

        assert [each.record for each in dead] == [nameless]
        told = [(headers["ce_commandid"], value.get("reason")) for headers, value in await play.results()]
        assert told == [
            ("bad", "invalid"),
            ("late", "expired"),
            ("unknown", "unknown_command"),
            ("good", None),
            ("bad", "invalid"),
        ]


def _renamed(record: Record, id_: str, type_: bytes) -> list[tuple[str, bytes]]:
    new = {"ce_id": id_.encode(), "ce_type": type_}
    return [(name, new.get(name, raw)) for name, raw in record.headers]


async def test_one_that_expires_while_it_waits_is_not_begun(world: World, pool: Database) -> None:
    async with commanded(world, pool) as play:
        account = await play.stripe.connect_account()
        _, card = await _customer(play)
        await play.settle()
        order = CloneOnce(payment_method=card, account=account)
        name = await play.send(order, expires_at=play.now() + HOUR)
        await play.pass_time(HOUR)
        await play.settle()

        assert (await play.result(name))["reason"] == "expired"
        assert await _calls(play, account, CLONE) == []


async def test_one_that_expires_after_it_was_sent_is_brought_to_its_end(world: World, pool: Database) -> None:
    """Whether it was done is not known: that is found out first."""
    async with commanded(world, pool) as play:
        account = await play.stripe.connect_account()
        _, card = await _customer(play)
        await play.settle()
        await play.fault(account, CLONE, kind="cut", when="after")
        name = await play.send(CloneOnce(payment_method=card, account=account), expires_at=play.now() + HOUR)
        await play.work_on_commands()
        await play.pass_time(2 * HOUR)
        await play.settle()

        assert (await play.result(name))["ended"] == "completed"


async def test_stripe_is_away_for_too_long(world: World, pool: Database) -> None:
    async with commanded(world, pool) as play:
        account = await play.stripe.connect_account()
        _, card = await _customer(play)
        await play.settle()
        await play.fault(account, CLONE, count=10_000, kind="status", status=503, when="before")
        name = await play.send(CloneOnce(payment_method=card, account=account))
        await play.work_on_commands()
        await play.pass_time(20 * HOUR)
        await play.work_on_commands()
        assert await play.results() == []
        await play.pass_time(53 * HOUR)
        await play.settle()

        assert (await play.result(name))["reason"] == "retries_exhausted"


async def test_who_only_observes_writes_nothing(world: World, pool: Database) -> None:
    async with commanded(world, pool) as play:
        play.observe = True
        account = await play.stripe.connect_account()
        _, card = await _customer(play)
        await play.settle()
        name = await play.send(CloneOnce(payment_method=card, account=account))
        await play.settle()
        assert (await _calls(play, account, CLONE), await play.results()) == ([], [])

        play.observe = False
        await play.pass_time(HOUR)
        await play.settle()
        assert (await play.result(name))["ended"] == "completed"


async def test_names_are_forgotten_after_a_week_and_what_was_said_at_once(
    world: World, pool: Database
) -> None:
    async with commanded(world, pool) as play:
        account = await play.stripe.connect_account()
        customer, method = await _on_account(play, account)
        order = SaveDirect(account=account, customer=customer, payment_method=method, mandate_data=MANDATE)
        await play.done(order, "one")
        assert await world.sql.fetchval("SELECT body FROM offshoot.command") is None
        sent = await world.sql.fetch("SELECT parameters FROM offshoot.command_intent")
        assert [row["parameters"] for row in sent] == ["{}"]

        await play.pass_time(timedelta(days=7) - HOUR)
        await play.commands.forget()
        assert await world.sql.fetchval("SELECT count(*) FROM offshoot.command") == 1
        await play.pass_time(2 * HOUR)
        await play.commands.forget()
        assert await world.sql.fetchval("SELECT count(*) FROM offshoot.command") == 0
        assert await world.sql.fetchval("SELECT count(*) FROM offshoot.command_intent") == 0
