"""How a payment method and a customer join and part.

Source: [doc] api/payment_methods/attach, detach; STRIPE.md 1.4, 1.6.
"""

import copy

from deploy.stripe_emulator import banks, cards, errors, ids, shapes
from deploy.stripe_emulator.behaviour import Behaviour
from deploy.stripe_emulator.model import Call, Customer, PaymentMethod
from deploy.stripe_emulator.shapes import JsonObject

TEST_CARD = "pm_card_"
TEST_BANK_ACCOUNT = "pm_usBankAccount_"


def attach(call: Call) -> JsonObject:
    """Attach a payment method; to the customer it already has, nothing happens.

    Source: [3p] probed, STRIPE.md 1.6.
    """
    if "customer" not in call.parameters:
        raise errors.attach_needs_customer()
    method = find(call, call.path["payment_method"], "payment_method", in_path=True)
    owner = customer(call, call.parameters["customer"], "customer", in_path=False).body["id"]
    check(method, owner)
    if method.customer is None:
        join(call, method, owner)
    return method.body


def detach(call: Call) -> JsonObject:
    """Detach a payment method: it may not be used again."""
    method = find(call, call.path["payment_method"], "payment_method", in_path=True)
    if method.customer is None:
        raise errors.not_attached()
    part(call, method)
    return method.body


def customer(call: Call, customer_id: str, param: str, *, in_path: bool) -> Customer:
    """Find a living customer of the acting account, or refuse: 404 for an id in the path, else 400."""
    found = call.account.customers.get(customer_id)
    if found is None or found.deleted:
        raise errors.missing_object("customer", customer_id, param, in_path=in_path)
    return found


def find(call: Call, method_id: str, param: str, *, in_path: bool) -> PaymentMethod:
    """Find a payment method of the acting account; the name of a test one (`pm_card_visa`) makes a new one.

    Recorded: attaching `pm_card_visa` answers with an id of its own ([rec] detach-clone-and-customer.yml).
    """
    account, platform = call.account, call.world.platform
    method = account.payment_methods.get(method_id) or _test_method(call, method_id)
    if method is None:
        foreign = account is not platform and method_id in platform.payment_methods
        hint = errors.PLATFORM_OWNED if foreign else ""
        raise errors.missing_object("PaymentMethod", method_id, param, in_path=in_path, hint=hint)
    return method


def check(method: PaymentMethod, customer_id: str | None) -> None:
    """Refuse an attachment that Stripe would refuse; None is a customer who is about to be made."""
    if method.consumed:
        raise errors.consumed_on_attach()
    if method.customer is not None and method.customer != customer_id:
        raise errors.already_attached()
    if method.customer is None and not method.verified:
        raise errors.not_verified(method.body["type"])
    if method.customer is None and method.behaviour.declines is not None:
        raise method.behaviour.declines.on_saving()


def join(call: Call, method: PaymentMethod, customer_id: str) -> None:
    """Attach; the security code counts as checked from now on ([rec] clone-attached.yml, third exchange)."""
    call.account.attach(method, customer_id)
    check_security_code(method)
    call.effects.append("payment_method.attached")
    call.emit("payment_method.attached", method.body)


def check_security_code(method: PaymentMethod) -> None:
    """Count a card's security code as checked: its issuer was asked ([rec] openfoodnetwork, StripeSCA)."""
    if method.body["type"] == "card":
        checks = method.body["card"]["checks"]
        checks["cvc_check"] = "pass" if checks["cvc_check"] else None


def part(call: Call, method: PaymentMethod) -> None:
    """Detach; a customer whose default it was has none afterwards."""
    before = copy.deepcopy(method.body)
    owner = call.account.customers[str(method.customer)].body
    call.account.detach(method)
    method.consumed = True
    call.effects.append("payment_method.detached")
    call.emit("payment_method.detached", method.body, before=before)
    if owner["invoice_settings"]["default_payment_method"] == method.id:
        old = copy.deepcopy(owner)
        owner["invoice_settings"]["default_payment_method"] = None
        call.emit("customer.updated", owner, before=old)


def keep(
    call: Call,
    kind: str,
    details: JsonObject,
    behaviour: Behaviour,
    *,
    billing_details: JsonObject,
    metadata: dict[str, str],
    allow_redisplay: str = "unspecified",
    verified: bool = True,
) -> PaymentMethod:
    """Make a payment method on the acting account. No event: there is no `payment_method.created`."""
    created = call.world.now()
    body = shapes.payment_method(
        ids.object_id("pm", call.account.id, created),
        created=created,
        kind=kind,
        details=details,
        billing_details=billing_details,
        metadata=metadata,
        allow_redisplay=allow_redisplay,
    )
    method = PaymentMethod(body, behaviour, verified=verified)
    call.account.add(method)
    call.effects.append("payment_method.created")
    return method


def _test_method(call: Call, name: str) -> PaymentMethod | None:
    """Make the test payment method of that name; a bank account is one that its owner has verified."""
    if name.startswith(TEST_BANK_ACCOUNT):
        kind, made = "us_bank_account", banks.bank_account_from_name(name.removeprefix(TEST_BANK_ACCOUNT))
        billing_details = {"name": "Jenny Rosen"}
    elif name.startswith(TEST_CARD):
        kind, billing_details = "card", {}
        made = cards.card_from_name(name.removeprefix(TEST_CARD), call.world.clock.now_s())
    else:
        return None
    return None if made is None else keep(call, kind, *made, billing_details=billing_details, metadata={})
