"""What a browser may do: the calls of Stripe.js, by a publishable key.

Stripe.js sends a form and no header of its own, so that the browser asks for no permission first: the key is
its field `key`, the account `_stripe_account` ([3p] seen in any browser that pays). A publishable key makes
payment methods; whoever has an intent's client secret may also look at the intent and confirm it ([doc] keys,
api/payment_intents/object#payment_intent_object-client_secret).
"""

from deploy.stripe_emulator import denials, errors
from deploy.stripe_emulator.exchange import Exchange
from deploy.stripe_emulator.forms import Tree
from deploy.stripe_emulator.routes import Route

KEY, ACCOUNT, SECRET = "key", "_stripe_account", "client_secret"
METHODS = "POST /v1/payment_methods"
INTENTS = frozenset(
    {
        "GET /v1/payment_intents/{intent}",
        "POST /v1/payment_intents/{intent}/confirm",
        "GET /v1/setup_intents/{intent}",
        "POST /v1/setup_intents/{intent}/confirm",
    }
)


def text(tree: Tree, name: str) -> str:
    """Give a field that is a text; an empty one where there is none."""
    value = tree.get(name, "")
    return value if isinstance(value, str) else ""


def admit(exchange: Exchange, route: Route) -> None:
    """Let a publishable key do what it may, and set aside what is no parameter; else StripeError."""
    tree = exchange.tree
    exchange.tree = {name: value for name, value in tree.items() if name not in (KEY, ACCOUNT, SECRET)}
    if route.name not in INTENTS and (route.name != METHODS or "payment_method" in tree):
        raise denials.publishable_key()
    if route.name in INTENTS:
        secret = text(tree, SECRET)
        if not secret:
            raise errors.missing_parameter(SECRET)
        exchange.aside = {SECRET: secret}
