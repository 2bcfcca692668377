"""The rules that need no server: clones, metadata, pages, changes, cards, signatures, faults."""

from typing import Any

import pytest
import stripe

from deploy.stripe_emulator import cloning, shapes
from deploy.stripe_emulator.behaviour import BEHAVIOURS
from deploy.stripe_emulator.cards import OTHER_NAMES, TEST_CARDS, card_from_number, fingerprint
from deploy.stripe_emulator.denials import masked
from deploy.stripe_emulator.errors import StripeError
from deploy.stripe_emulator.events.changes import previous_attributes
from deploy.stripe_emulator.events.delivery import delay_s, signature
from deploy.stripe_emulator.faults import Chance, Cut, Faults, Latency, Rule, parse
from deploy.stripe_emulator.metadata import merge
from deploy.stripe_emulator.model import Account, Customer, PaymentMethod
from deploy.stripe_emulator.pages import page
from deploy.stripe_emulator.routes import ROUTES, find, templates

NOW_S = 1_785_715_148.0
OWNER, STRANGER = "cus_owner", "cus_stranger"


def original(*, customer: str | None, kind: str = "card", consumed: bool = False) -> PaymentMethod:
    """Make a platform payment method with metadata and a name."""
    details, _ = card_from_number(
        {"number": TEST_CARDS["visa"], "exp_month": 8, "exp_year": 2035, "cvc": "1"}, NOW_S
    )
    body = shapes.payment_method(
        "pm_original",
        created=1,
        kind=kind,
        details=details,
        billing_details={"name": "Ada"},
        metadata={"a": "1"},
    )
    body["customer"] = customer
    return PaymentMethod(body, consumed=consumed)


@pytest.mark.parametrize("kind", ["card", "us_bank_account"])
@pytest.mark.parametrize("customer", [OWNER, None])
def test_clone_is_fresh_and_consumes_only_the_unattached(kind: str, customer: str | None) -> None:
    source = original(customer=customer, kind=kind)
    cloning.check(source, customer)
    clone = cloning.make(source, object_id="pm_clone", created=2)
    assert clone.body[kind] == source.body[kind]
    assert (
        clone.customer,
        clone.body["metadata"],
        clone.body["billing_details"]["name"],
    ) == (None, {}, None)
    assert source.consumed == (customer is None)
    assert not clone.consumed


@pytest.mark.parametrize(
    ("source", "customer"),
    [
        (original(customer=OWNER), None),
        (original(customer=OWNER), STRANGER),
        (original(customer=None), STRANGER),
        (original(customer=None, consumed=True), None),
        (original(customer=OWNER, kind="link"), OWNER),
        (original(customer=None, kind="sepa_debit"), None),
    ],
)
def test_clone_is_refused(source: PaymentMethod, customer: str | None) -> None:
    with pytest.raises(StripeError) as raised:
        cloning.check(source, customer)
    assert raised.value.status == 400


@pytest.mark.parametrize(
    ("old", "change", "new"),
    [
        ({"a": "1"}, {"b": "2"}, {"a": "1", "b": "2"}),
        ({"a": "1"}, {"a": "2"}, {"a": "2"}),
        ({"a": "1", "b": "2"}, {"a": ""}, {"b": "2"}),
        ({"a": "1"}, "", {}),
        ({}, {"k" * 40: "v" * 500}, {"k" * 40: "v" * 500}),
    ],
)
def test_metadata_merges(old: dict[str, str], change: Any, new: dict[str, str]) -> None:
    assert new == merge(old, change)


@pytest.mark.parametrize("change", [{"k" * 41: "v"}, {"k": "v" * 501}, {str(n): "v" for n in range(51)}])
def test_metadata_has_limits(change: dict[str, str]) -> None:
    with pytest.raises(StripeError):
        merge({}, change)


@pytest.mark.parametrize(
    ("parameters", "found", "more"),
    [
        ({"limit": 2}, "54", True),
        ({"limit": 2, "starting_after": "4"}, "32", True),
        ({"limit": 2, "starting_after": "3"}, "21", False),
        ({"limit": 2, "ending_before": "2"}, "43", True),
        ({"limit": 2, "ending_before": "3"}, "54", False),
        ({"limit": 5}, "54321", False),
        ({"starting_after": "1"}, "", False),
    ],
)
def test_page(parameters: dict[str, Any], found: str, more: bool) -> None:  # noqa: FBT001
    newest_first = [{"id": each} for each in "54321"]
    made = page("/v1/things", "thing", newest_first, parameters)
    assert (found, more) == ("".join(each["id"] for each in made["data"]), made["has_more"])


@pytest.mark.parametrize(
    ("parameters", "found", "more"),
    [
        ({"limit": 2, "starting_after": "8"}, "75", True),
        ({"limit": 2, "ending_before": "4"}, "75", True),
        ({"starting_after": "2"}, "1", False),
        ({"ending_before": "8"}, "9", False),
    ],
)
def test_a_page_may_begin_at_what_the_list_leaves_out(
    parameters: dict[str, Any],
    found: str,
    more: bool,  # noqa: FBT001
) -> None:
    """The odd ones are listed, an even one names the place."""
    made = page(
        "/v1/things",
        "thing",
        [{"id": each} for each in "987654321"],
        parameters,
        keep=lambda body: int(body["id"]) % 2 == 1,
    )
    assert (found, more) == ("".join(each["id"] for each in made["data"]), made["has_more"])


@pytest.mark.parametrize(
    ("before", "after", "changes"),
    [
        ({"a": 1, "b": 2}, {"a": 1, "b": 3}, {"b": 2}),
        ({"a": {"b": 1, "c": 1}}, {"a": {"b": 2, "c": 1}}, {"a": {"b": 1}}),
        ({"a": {}}, {"a": {"b": 1}}, {"a": {"b": None}}),
        ({"a": [1]}, {"a": [1, 2]}, {"a": [1]}),
        ({"a": None}, {"a": {"b": 1}}, {"a": None}),
        ({"a": 1}, {"a": 1}, {}),
    ],
)
def test_previous_attributes(before: dict[str, Any], after: dict[str, Any], changes: dict[str, Any]) -> None:
    assert changes == previous_attributes(before, after)


@pytest.mark.parametrize(
    ("number", "month", "year", "code"),
    [
        ("4242424242424241", 1, 2035, "incorrect_number"),
        ("4242", 1, 2035, "incorrect_number"),
        ("4242424242424242", 13, 2035, "invalid_expiry_month"),
        ("4242424242424242", 7, 2026, "invalid_expiry_year"),
    ],
)
def test_impossible_card_is_refused(number: str, month: int, year: int, code: str) -> None:
    with pytest.raises(StripeError) as raised:
        card_from_number({"number": number, "exp_month": month, "exp_year": year}, NOW_S)
    assert (402, "card_error", code) == (
        raised.value.status,
        raised.value.error["type"],
        raised.value.error["code"],
    )


def test_test_cards() -> None:
    """Every test card can be made; two numbers have two fingerprints; every decline is one of theirs."""
    made = {
        name: card_from_number({"number": number, "exp_month": 8, "exp_year": 2026}, NOW_S)[0]
        for name, number in TEST_CARDS.items()
    }
    assert len(made) == len({each["fingerprint"] for each in made.values()})
    assert (made["mastercard"]["brand"], made["mastercard"]["last4"]) == ("mastercard", "4444")
    assert BEHAVIOURS.keys() <= set(TEST_CARDS.values())
    assert set(OTHER_NAMES.values()) <= TEST_CARDS.keys()
    assert "unknown" not in {each["brand"] for each in made.values()}
    assert len(fingerprint("4242424242424242")) == 16


def test_signature_is_what_the_sdk_expects() -> None:
    header = signature(["whsec_1"], b'{"a": 1}', int(NOW_S))
    assert stripe.WebhookSignature.verify_header('{"a": 1}', header, "whsec_1", None)


def test_delays_grow_to_a_cap() -> None:
    assert [delay_s(attempts) for attempts in range(1, 8)] == [0.5, 1.0, 2.0, 4.0, 8.0, 10.0, 10.0]


def test_key_is_masked_as_recorded() -> None:
    assert masked("sk_test_" + "x" * 30 + "uCJm") == "sk_test_" + "*" * 30 + "uCJm"


def test_rules_match_what_they_name() -> None:
    """Method, route and account narrow a rule; its count ends it; delays add up with one other fault."""
    faults = Faults()
    faults.add(Rule(Latency(1.0)))
    faults.add(Rule(Latency(0.5), method="POST"))
    faults.add(Rule(Cut("before"), Chance(count=1), route="/v1/customers", account="acct_1"))
    drawn = [
        faults.draw("GET", "/v1/customers", "platform"),
        faults.draw("POST", "/v1/accounts", "acct_1"),
        faults.draw("POST", "/v1/customers", "acct_1"),
        faults.draw("POST", "/v1/customers", "acct_1"),
    ]
    assert [plan.latency_s for plan in drawn] == [1.0, 1.5, 1.5, 1.5]
    assert [None, None, Cut("before"), None] == [plan.early for plan in drawn]


def test_seeded_rule_repeats() -> None:
    said = {"probability": 0.3, "seed": 11, "action": {"kind": "cut", "when": "after"}}
    runs = [
        [rule.fires("GET", "/v1/account", "platform") for _ in range(50)]
        for rule in (parse(said, templates()), parse(said, templates()))
    ]
    assert runs[0] == runs[1]
    assert 5 < sum(runs[0]) < 25


def test_what_is_attached_stands_in_the_order_it_was_made() -> None:
    """Not in the order of its attachment; what is detached is gone."""
    account = Account("acct_1", {}, customers={OWNER: Customer({"id": OWNER})})
    first, second = original(customer=None), original(customer=None)
    second.body["id"] = "pm_second"
    for method in (first, second):
        account.add(method)
    for method in (second, first):
        account.attach(method, OWNER)
    assert account.attached(OWNER) == [first, second]
    account.detach(first)
    assert (account.attached(OWNER), account.attached(STRANGER), first.customer) == ([second], [], None)


def test_every_route_is_found_by_its_own_path() -> None:
    """No route hides another."""
    for route in ROUTES:
        path = route.template.replace("{", "").replace("}", "_1")
        found = find(route.method, path)
        assert found is not None
        assert route is found[0]
