"""Mandates: a customer's permission to debit a bank account, given to one account.

[doc] docs.stripe.com/api/mandates, payments/ach-direct-debit. A mandate is an account's own: that of a
platform does not count for a clone. Of the two answers, neither of them published, it is the stricter one
(STRIPE.md 9.2).
"""

import copy

from deploy.stripe_emulator import errors, ids, payment_errors, payment_shapes
from deploy.stripe_emulator.banks import DEBITS
from deploy.stripe_emulator.model import Call, Intent, PaymentMethod
from deploy.stripe_emulator.resources.intents import Noun
from deploy.stripe_emulator.shapes import JsonObject


def retrieve(call: Call) -> JsonObject:
    """Show a mandate."""
    found = call.account.mandates.get(call.path["mandate"])
    if found is None:
        raise errors.missing_object("mandate", call.path["mandate"], "mandate", in_path=True)
    return found


def accept(call: Call, noun: Noun, intent: Intent, method: PaymentMethod, *, once: JsonObject | None) -> None:
    """Find or make the mandate that an intent needs, and refuse the intent if there is none.

    `once` is the amount and currency of a payment that is not to be repeated. A new mandate waits, `pending`,
    for `activate`.
    """
    if method.body["type"] not in DEBITS:
        return
    said = call.parameters
    if "mandate" in said:
        intent.mandate = _usable(call, said["mandate"], method)
    elif said.get("mandate_data"):
        intent.mandate = _make(call, said["mandate_data"]["customer_acceptance"], method, once)
    elif intent.mandate is None or call.account.mandates[intent.mandate]["payment_method"] != method.id:
        lasting = (
            each["id"]
            for each in call.account.mandates.values()
            if each["payment_method"] == method.id
            and (each["status"], each["type"]) == ("active", "multi_use")
        )
        intent.mandate = next(lasting, None)
    if intent.mandate is None:
        raise payment_errors.no_mandate(noun.text)


def activate(call: Call, intent: Intent) -> None:
    """Make an intent's mandate count: `mandate.updated`."""
    body = call.account.mandates.get(intent.mandate or "")
    if body is not None and body["status"] != "active":
        before = copy.deepcopy(body)
        body["status"] = "active"
        call.effects.append("mandate.updated")
        call.emit("mandate.updated", body, before=before)


def _usable(call: Call, mandate_id: str, method: PaymentMethod) -> str:
    found = call.account.mandates.get(mandate_id)
    if found is None:
        raise errors.missing_object("mandate", mandate_id, "mandate", in_path=False)
    if found["payment_method"] != method.id or found["status"] != "active":
        raise payment_errors.mandate_invalid(mandate_id)
    return mandate_id


def _make(call: Call, given: JsonObject, method: PaymentMethod, once: JsonObject | None) -> str:
    created = call.world.now()
    acceptance = {"accepted_at": given.get("accepted_at", created), "type": given["type"]}
    for way in ("offline", "online"):
        if given["type"] == way:
            acceptance[way] = given.get(way) or {}
    body = payment_shapes.mandate(
        ids.object_id("mandate", call.account.id, created),
        kind=method.body["type"],
        payment_method=method.id,
        acceptance=acceptance,
        single_use=once,
    )
    call.account.mandates[body["id"]] = body
    call.effects.append("mandate.created")
    return str(body["id"])
