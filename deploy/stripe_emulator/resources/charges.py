"""Charges: what came of an intent's attempt to be paid ([doc] docs.stripe.com/api/charges)."""

import copy

from deploy.stripe_emulator import errors, ids, pages, payment_shapes
from deploy.stripe_emulator.behaviour import Decline
from deploy.stripe_emulator.model import Call, Intent, PaymentMethod
from deploy.stripe_emulator.shapes import JsonObject


def retrieve(call: Call) -> JsonObject:
    """Show a charge."""
    found = call.account.charges.get(call.path["charge"])
    if found is None:
        raise errors.missing_object("charge", call.path["charge"], "id", in_path=True)
    return found


def list_all(call: Call) -> JsonObject:
    """List charges, of a customer or of an intent."""
    said = call.parameters
    return pages.page(
        "/v1/charges",
        "charge",
        reversed(call.account.charges.values()),
        said,
        keep=lambda body: (
            all(name not in said or body[name] == said[name] for name in ("customer", "payment_intent"))
            and pages.created_within(body, said.get("created"))
        ),
    )


def make(
    call: Call,
    intent: Intent,
    method: PaymentMethod,
    status: str,
    *,
    captured: bool = True,
    decline: Decline | None = None,
) -> JsonObject:
    """Charge an intent's amount: `charge.succeeded`, `charge.pending` or `charge.failed`."""
    created = call.world.now()
    body = payment_shapes.charge(
        ids.payment_id("ch", call.account.id, created),
        created=created,
        intent=intent.body,
        payment_method=method.body,
        status=status,
        captured=captured,
        mandate=intent.mandate,
        failure=decline.facts() if decline else None,
    )
    call.account.charges[body["id"]] = body
    intent.body["latest_charge"] = body["id"]
    _tell(call, body)
    return body


def settle(call: Call, charge_id: str, decline: Decline | None) -> None:
    """Let the bank answer a debit that was pending."""
    body = call.account.charges[charge_id]
    if decline is None:
        body.update(status="succeeded", paid=True)
    else:
        failed = {"failure_code": decline.code, "failure_message": decline.message}
        body.update(status="failed", captured=False, amount_captured=0, **failed)
    _tell(call, body)


def capture(call: Call, charge_id: str, amount: int) -> None:
    """Take what was only held."""
    body = call.account.charges[charge_id]
    before = copy.deepcopy(body)
    body.update(captured=True, amount_captured=amount)
    call.effects.append("charge.captured")
    call.emit("charge.captured", body, before=before)


def release(call: Call, charge_id: str) -> None:
    """Let go of what was only held: it counts as refunded ([doc] refunds#cancel-payment)."""
    body = call.account.charges[charge_id]
    before = copy.deepcopy(body)
    body.update(refunded=True, amount_refunded=body["amount"])
    call.effects.append("charge.refunded")
    call.emit("charge.refunded", body, before=before)


def _tell(call: Call, body: JsonObject) -> None:
    kind = f"charge.{body['status']}"
    call.effects.append(kind)
    call.emit(kind, body)
