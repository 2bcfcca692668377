"""Setup intents: a payment method is saved without a payment.

[doc] docs.stripe.com/api/setup_intents, payments/save-and-reuse.
"""

from deploy.stripe_emulator import ids, pages, payment_shapes
from deploy.stripe_emulator.model import Call, Intent, PaymentMethod
from deploy.stripe_emulator.resources import intents, mandates
from deploy.stripe_emulator.resources.intents import Noun
from deploy.stripe_emulator.shapes import JsonObject

NOUN = Noun(
    text="SetupIntent",
    missing="setupintent",
    event="setup_intent",
    failed="setup_failed",
    error="last_setup_error",
)
CONFIRMATION = ("mandate_data", "return_url")
OFFERED = ("card", "us_bank_account", "sepa_debit", "bacs_debit", "au_becs_debit", "acss_debit")
"""What can be saved: no currency narrows it."""

UPDATE_READS = intents.UPDATE_READS
CONFIRM_READS = intents.CONFIRM_READS
CREATE_READS = (*intents.CREATE_READS, "usage")


def create(call: Call) -> JsonObject:
    """Make a setup intent, and with `confirm` try to save its payment method at once."""
    said, created = call.parameters, call.world.now()
    intents.only_when_confirming(call, CONFIRMATION)
    intent_id = ids.object_id("seti", call.account.id, created)
    body = payment_shapes.setup_intent(
        intent_id,
        created=created,
        client_secret=ids.client_secret(intent_id),
        application=call.application,
        usage=said.get("usage", "off_session"),
    )
    intent = Intent(body)
    intent.body = intents.describe(call, NOUN, intent, OFFERED)
    method = _ready(call, intent, made=True) if said.get("confirm") else None
    call.account.setup_intents[intent.id] = intent
    NOUN.emit(call, "created", intent)
    if method is not None:
        _start(call, intent, method)
    return intent.body


def retrieve(call: Call) -> JsonObject:
    """Show a setup intent."""
    return _named(call).body


def update(call: Call) -> JsonObject:
    """Change a setup intent; no event tells of it."""
    intent = _named(call)
    intent.body = intents.describe(call, NOUN, intent, OFFERED)
    call.effects.append("setup_intent.updated")
    return intent.body


def confirm(call: Call) -> JsonObject:
    """Try to save a setup intent's payment method."""
    intent = _named(call)
    _start(call, intent, _ready(call, intent, made=False))
    return intent.body


def cancel(call: Call) -> JsonObject:
    """End a setup intent."""
    intent = _named(call)
    intents.cancel(call, NOUN, intent)
    NOUN.emit(call, "canceled", intent)
    return intent.body


def list_all(call: Call) -> JsonObject:
    """List setup intents, of a customer or a payment method or all."""
    said = call.parameters
    bodies = (each.body for each in reversed(call.account.setup_intents.values()))
    return pages.page(
        "/v1/setup_intents",
        "setup_intent",
        bodies,
        said,
        keep=lambda body: (
            all(name not in said or body[name] == said[name] for name in ("customer", "payment_method"))
            and pages.created_within(body, said.get("created"))
        ),
    )


def proceed(call: Call, intent: Intent, *, authenticated: bool = False) -> None:
    """Take a confirmed intent as far as it goes by itself; a decline is StripeError 402."""
    method = call.account.payment_methods[intent.body["payment_method"]]
    intent.body["latest_attempt"] = ids.object_id("setatt", call.account.id, call.world.now())
    if not method.verified:
        intents.ask_for_microdeposits(call, NOUN, intent)
    elif not authenticated and method.behaviour.asks(off_session=False, set_up=method.set_up):
        intents.ask(call, NOUN, intent, payment_shapes.redirect(intent.id, call.parameters.get("return_url")))
    elif method.behaviour.declines is not None:
        raise intents.fail(call, NOUN, intent, method, method.behaviour.declines)
    else:
        _succeed(call, intent, method)


def _ready(call: Call, intent: Intent, *, made: bool) -> PaymentMethod:
    method = intents.method_to_confirm(call, NOUN, intent, made=made)
    mandates.accept(call, NOUN, intent, method, once=None)
    return method


def _start(call: Call, intent: Intent, method: PaymentMethod) -> None:
    intents.begin(call, NOUN, intent, method)
    intent.body["mandate"] = intent.mandate
    proceed(call, intent)


def _succeed(call: Call, intent: Intent, method: PaymentMethod) -> None:
    body = intent.body
    body.update(status="succeeded", next_action=None, last_setup_error=None)
    mandates.activate(call, intent)
    intents.save(call, method, body["customer"], off_session=body["usage"] == "off_session")
    NOUN.emit(call, "succeeded", intent)


def _named(call: Call) -> Intent:
    return intents.find(call, NOUN, call.account.setup_intents)
