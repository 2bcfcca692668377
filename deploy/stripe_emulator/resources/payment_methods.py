"""Payment methods: new ones, clones, changes, lists.

Source: [doc] docs.stripe.com/api/payment_methods; STRIPE.md 1.
"""

import copy
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from deploy.stripe_emulator import banks, cards, cloning, errors, ids, metadata, pages
from deploy.stripe_emulator.behaviour import Behaviour
from deploy.stripe_emulator.model import Call, PaymentMethod
from deploy.stripe_emulator.resources import attachment
from deploy.stripe_emulator.shapes import JsonObject

TOKEN = "tok_"  # noqa: S105 - the prefix of a test token
BARE_TYPES = ("acss_debit", "au_becs_debit", "bacs_debit", "cashapp", "link", "paypal", "sepa_debit")
"""Types that exist so that they can be refused: what is sent for them is kept as it is."""
UPDATE_READS = (
    *("allow_redisplay", "metadata", "billing_details", "card[exp_month]", "card[exp_year]"),
    *("us_bank_account[account_holder_type]", "us_bank_account[account_type]"),
)
CHANGEABLE = ("card", "us_bank_account")
CREATE_READS = (
    *("type", "payment_method", "customer", "allow_redisplay", "metadata", "billing_details"),
    *(f"card[{name}]" for name in ("number", "exp_month", "exp_year", "cvc", "token")),
    *(
        f"us_bank_account[{name}]"
        for name in ("account_holder_type", "account_number", "account_type", "routing_number")
    ),
    *BARE_TYPES,
)
CLONE_PARAMETERS = {"payment_method", "customer"}


def create(call: Call) -> JsonObject:
    """Make a payment method, or with `payment_method` clone one of the platform's."""
    parameters = call.parameters
    if "payment_method" in parameters:
        return clone(call)
    if "customer" in parameters:
        raise errors.customer_without_payment_method()
    return make(call, parameters).body


def make(call: Call, parameters: Mapping[str, Any], *, under: str = "") -> PaymentMethod:
    """Make a payment method of parameters that stand below `under`, as in `payment_method_data[type]`.

    The hash of another type than the one that is made is unknown ([doc] api/payment_methods/create for the
    rule). A bank account whose numbers somebody typed is not verified ([doc] payments/ach-direct-debit).
    """
    if "type" not in parameters:
        raise errors.missing_parameter(_below(under, "type"))
    kind = parameters["type"]
    misplaced = [name for name in (*CHANGEABLE, *BARE_TYPES) if name in parameters and name != kind]
    if misplaced:
        raise errors.unknown_parameters([_below(under, name) for name in misplaced])
    details, behaviour = _details(call, kind, parameters, under)
    billing = _billing(parameters)
    if kind == "us_bank_account" and not billing.get("name"):
        raise errors.missing_parameter(_below(under, "billing_details[name]"))
    return attachment.keep(
        call,
        kind,
        details,
        behaviour,
        billing_details=billing,
        metadata=metadata.merge({}, parameters.get("metadata", {})),
        allow_redisplay=parameters.get("allow_redisplay") or "unspecified",
        verified=kind != "us_bank_account",
    )


def clone(call: Call) -> JsonObject:
    """Clone a platform payment method to the acting account. No event comes of it (STRIPE.md 1.7)."""
    others = sorted(call.parameters.keys() - CLONE_PARAMETERS)
    if others:
        raise errors.unknown_parameters(others)
    platform = replace(call, account=call.world.platform)
    if call.account is platform.account:
        raise errors.clone_needs_account()
    customer_id = call.parameters.get("customer")
    if customer_id is not None:
        attachment.customer(platform, customer_id, "customer", in_path=False)
    original = attachment.find(platform, call.parameters["payment_method"], "payment_method", in_path=False)
    cloning.check(original, customer_id)
    created = call.world.now()
    made = cloning.make(original, object_id=ids.object_id("pm", call.account.id, created), created=created)
    call.account.add(made)
    call.effects.append("payment_method.cloned")
    if original.consumed:
        call.effects.append("payment_method.consumed")
    return made.body


def retrieve(call: Call) -> JsonObject:
    """Show a payment method."""
    method = attachment.find(call, call.path["payment_method"], "payment_method", in_path=True)
    if "customer" in call.path and method.customer != call.path["customer"]:
        raise errors.missing_object("PaymentMethod", method.id, "payment_method", in_path=True)
    return method.body


def update(call: Call) -> JsonObject:
    """Change a saved payment method: metadata, expiry, billing details."""
    method = attachment.find(call, call.path["payment_method"], "payment_method", in_path=True)
    if method.customer is None:
        raise errors.update_needs_customer()
    parameters = call.parameters
    body = method.body
    after = copy.deepcopy(body)
    for kind in (each for each in CHANGEABLE if each in parameters):
        if body["type"] != kind:
            raise errors.invalid_value(
                kind, f"You cannot update `{kind}` on a PaymentMethod of type {body['type']}."
            )
        after[kind].update(parameters[kind])
    if "card" in parameters:
        expiry = after["card"]
        cards.check_expiry(expiry["exp_month"], expiry["exp_year"], call.world.clock.now_s())
    billing = _billing(parameters)
    address = {**after["billing_details"]["address"], **billing.pop("address", {})}
    after["billing_details"] = {**after["billing_details"], **billing, "address": address}
    after["metadata"] = metadata.merge(after["metadata"], parameters.get("metadata", {}))
    after["allow_redisplay"] = parameters.get("allow_redisplay") or after["allow_redisplay"]
    if after != body:
        before = copy.deepcopy(body)
        body.update(after)
        call.effects.append("payment_method.updated")
        call.emit("payment_method.updated", body, before=before)
    return body


def list_by_parameter(call: Call) -> JsonObject:
    """List the payment methods of `customer`."""
    if "customer" not in call.parameters:
        raise errors.missing_parameter("customer")
    owner = attachment.customer(call, call.parameters["customer"], "customer", in_path=False)
    return _page(call, "/v1/payment_methods", owner.body["id"])


def list_of_customer(call: Call) -> JsonObject:
    """List the payment methods of the customer in the path."""
    owner = attachment.customer(call, call.path["customer"], "customer", in_path=True).body["id"]
    return _page(call, f"/v1/customers/{owner}/payment_methods", owner)


def _page(call: Call, url: str, customer_id: str) -> JsonObject:
    kind = call.parameters.get("type")
    bodies = (each.body for each in reversed(call.account.attached(customer_id)))
    return pages.page(
        url, "PaymentMethod", bodies, call.parameters, keep=lambda body: kind in (None, body["type"])
    )


def _details(
    call: Call, kind: str, parameters: Mapping[str, Any], under: str
) -> tuple[JsonObject, Behaviour]:
    if kind == "card":
        return _card(parameters.get("card") or {}, call.world.clock.now_s())
    if kind == "us_bank_account":
        bank: dict[str, Any] = parameters.get("us_bank_account") or {}
        for name in ("routing_number", "account_number"):
            if name not in bank:
                raise errors.missing_parameter(_below(under, f"us_bank_account[{name}]"))
        return banks.bank_account(bank)
    if kind in BARE_TYPES:
        return dict(parameters.get(kind) or {}), Behaviour()
    raise errors.invalid_value(
        _below(under, "type"), f"Invalid type: must be one of card, us_bank_account, {', '.join(BARE_TYPES)}"
    )


def _below(under: str, name: str) -> str:
    """Write a parameter's name as it stands below another."""
    head, bracket, rest = name.partition("[")
    return f"{under}[{head}]{bracket}{rest}" if under else name


def _card(card: dict[str, Any], now_s: float) -> tuple[JsonObject, Behaviour]:
    if "token" in card:
        token, others = card["token"], sorted(card.keys() - {"token"})
        if others:
            names = f"card[token], card[{others[0]}]"
            raise errors.invalid_value("card", f"You may only specify one of these parameters: {names}.")
        made = cards.card_from_name(token.removeprefix(TOKEN), now_s) if token.startswith(TOKEN) else None
        if made is None:
            raise errors.missing_object("token", token, "card[token]", in_path=False)
        return made
    for name in ("number", "exp_month", "exp_year"):
        if name not in card:
            raise errors.missing_parameter(f"card[{name}]")
    return cards.card_from_number(card, now_s)


def _billing(parameters: Mapping[str, Any]) -> dict[str, Any]:
    given = parameters.get("billing_details") or {}
    billing = {name: value or None for name, value in given.items()}
    if "address" in billing:
        billing["address"] = {name: value or None for name, value in (given["address"] or {}).items()}
    return billing
