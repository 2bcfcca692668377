"""What calls of an API version before 2026-09-30.endive may still send.

`payment_method_types` of intents is gone from that version on ([doc] changelog/endive/2026-09-30), and so
from the SDK's types. A call that names no version is taken for one of an account whose own version is older:
the Stripe CLI sends none, and its `trigger` still sends the parameter.
"""

from collections.abc import Sequence

from deploy.stripe_emulator import payment_errors
from deploy.stripe_emulator.forms import Tree

NAME = "payment_method_types"
LAST_DAY_WITHOUT = "2026-09-30"
INTENTS = ("/v1/payment_intents", "/v1/setup_intents")


def split(tree: Tree, template: str, version: str | None) -> tuple[Tree, Sequence[str] | None]:
    """Part a call's parameters from its `payment_method_types`; None where it has none.

    A version (`2026-10-28.endive`) that does not have the parameter any more is StripeError 400.
    """
    named = tree.get(NAME)
    if not isinstance(named, dict) or not template.startswith(INTENTS):
        return tree, None
    if version is not None and version >= LAST_DAY_WITHOUT:
        raise payment_errors.payment_method_types_gone()
    return {key: value for key, value in tree.items() if key != NAME}, [str(each) for each in named.values()]
