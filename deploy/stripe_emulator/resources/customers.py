"""Customers of the platform and of connected accounts ([doc] docs.stripe.com/api/customers)."""

import copy
import re
from typing import Any

from deploy.stripe_emulator import ids, metadata, pages, shapes
from deploy.stripe_emulator.errors import StripeError, default_not_attached, missing_object
from deploy.stripe_emulator.model import Call, Customer
from deploy.stripe_emulator.resources import attachment
from deploy.stripe_emulator.shapes import JsonObject

TEXTS = ("name", "email", "phone", "description")
UPDATE_READS = (
    *TEXTS,
    *("address", "metadata", "preferred_locales", "shipping", "tax_exempt"),
    "invoice_settings[default_payment_method]",
)
CREATE_READS = ("payment_method", *UPDATE_READS)
_EMAIL = re.compile(r"[^@\s]+@[^@\s]+\Z")


def create(call: Call) -> JsonObject:
    """Make a customer; `payment_method` is attached at once, and only that one can be its default."""
    world, account, parameters = call.world, call.account, call.parameters
    method = None
    if "payment_method" in parameters:
        method = attachment.find(call, parameters["payment_method"], "payment_method", in_path=False)
        attachment.check(method, None)
    default = parameters.get("invoice_settings", {}).get("default_payment_method")
    if default and (method is None or default not in (method.id, parameters["payment_method"])):
        raise default_not_attached(default)
    body = shapes.customer(ids.customer_id(), created=world.now(), invoice_prefix=ids.invoice_prefix())
    _apply(body, parameters)
    if default and method:
        body["invoice_settings"]["default_payment_method"] = method.id
    account.customers[body["id"]] = Customer(body)
    call.effects.append("customer.created")
    call.emit("customer.created", body)
    if method is not None:
        attachment.join(call, method, body["id"])
    return body


def retrieve(call: Call) -> JsonObject:
    """Show a customer, or what is left of a deleted one."""
    found = call.account.customers.get(call.path["customer"])
    if found is None:
        raise missing_object("customer", call.path["customer"], "id", in_path=True)
    return shapes.deleted("customer", found.body["id"]) if found.deleted else found.body


def update(call: Call) -> JsonObject:
    """Change a customer: metadata merges, an empty value unsets."""
    body = attachment.customer(call, call.path["customer"], "id", in_path=True).body
    parameters = call.parameters
    settings = parameters.get("invoice_settings", {})
    default = settings.get("default_payment_method")
    if default:
        method = call.account.payment_methods.get(default)
        if method is None or method.customer != body["id"]:
            raise default_not_attached(default)
    after = copy.deepcopy(body)
    _apply(after, parameters)
    if default is not None:
        after["invoice_settings"]["default_payment_method"] = default or None
    if after == body:
        return body
    before = copy.deepcopy(body)
    body.update(after)
    call.effects.append("customer.updated")
    call.emit("customer.updated", body, before=before)
    return body


def list_all(call: Call) -> JsonObject:
    """List customers; `email` is compared exactly."""
    email, created = call.parameters.get("email"), call.parameters.get("created")
    bodies = (each.body for each in reversed(call.account.customers.values()) if not each.deleted)
    return pages.page(
        "/v1/customers",
        "customer",
        bodies,
        call.parameters,
        keep=lambda body: email in (None, body["email"]) and pages.created_within(body, created),
    )


def delete(call: Call) -> JsonObject:
    """Delete a customer for good; its payment methods are detached and may not be used again."""
    found = attachment.customer(call, call.path["customer"], "id", in_path=True)
    body = found.body
    for method in call.account.attached(body["id"]):
        attachment.part(call, method)
    found.deleted = True
    call.effects.append("customer.deleted")
    call.emit("customer.deleted", body)
    return shapes.deleted("customer", body["id"])


def _apply(body: JsonObject, parameters: dict[str, Any]) -> None:
    email = parameters.get("email")
    if email and not _EMAIL.match(email):
        raise StripeError(400, f"Invalid email address: {email}", code="email_invalid", param="email")
    for name in TEXTS:
        if name in parameters:
            body[name] = parameters[name] or None
    if "address" in parameters:
        body["address"] = _address(parameters["address"])
    if "shipping" in parameters:
        body["shipping"] = _shipping(parameters["shipping"])
    if "preferred_locales" in parameters:
        body["preferred_locales"] = parameters["preferred_locales"]
    if "tax_exempt" in parameters:
        body["tax_exempt"] = parameters["tax_exempt"] or "none"
    body["metadata"] = metadata.merge(body["metadata"], parameters.get("metadata", {}))


def _address(given: Any) -> JsonObject | None:
    return {**shapes.empty_address(), **{key: text or None for key, text in given.items()}} if given else None


def _shipping(given: Any) -> JsonObject | None:
    return {"phone": None, **given, "address": _address(given["address"])} if given else None
