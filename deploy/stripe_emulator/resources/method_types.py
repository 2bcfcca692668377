"""Which types of payment method an intent takes, and what was said of each.

[doc] docs.stripe.com/changelog, 2026-07-29.dahlia (allowed_payment_method_types) and 2026-09-30.endive.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from deploy.stripe_emulator import errors, payment_shapes
from deploy.stripe_emulator.shapes import JsonObject

ALLOWED, EXCLUDED = "allowed_payment_method_types", "excluded_payment_method_types"
AUTOMATIC = "automatic_payment_methods"
TYPES = "payment_method_types"
"""What is shown; versions before 2026-09-30.endive also take it, which `legacy.py` sees to."""

OPTIONS = "payment_method_options"
OPTION_READS = (
    f"{OPTIONS}[card][request_three_d_secure]",
    f"{OPTIONS}[us_bank_account][financial_connections]",
    f"{OPTIONS}[us_bank_account][verification_method]",
)
"""Shown again; a test card asks for its holder whatever is said of 3D Secure ([doc] testing)."""


def choose(body: JsonObject, said: Mapping[str, Any], offered: Sequence[str], *, installments: bool) -> None:
    """Work out the types that an intent takes, of those `offered`, and the options of each."""
    given = [name for name in (ALLOWED, EXCLUDED, AUTOMATIC, TYPES) if name in said]
    if ALLOWED in given and len(given) > 1:
        raise errors.invalid_value(
            ALLOWED, f"You may only specify one of these parameters: {', '.join(given)}."
        )
    automatic: JsonObject | None = said.get(AUTOMATIC, body[AUTOMATIC])
    if TYPES in said:
        body[TYPES], automatic = said[TYPES], None
    elif given or not body[TYPES]:
        for name in (ALLOWED, EXCLUDED):
            if name in said:
                body[name] = said[name] or None
        if automatic is None and body[ALLOWED] is None:
            automatic = {"enabled": True}
        kinds = offered if body[ALLOWED] else offered if automatic and automatic["enabled"] else ("card",)
        body[TYPES] = [
            kind for kind in kinds if kind in (body[ALLOWED] or kinds) and kind not in (body[EXCLUDED] or ())
        ]
    on = automatic if automatic and automatic["enabled"] else None
    body[AUTOMATIC] = {"allow_redirects": "always", **on} if on else None
    choose_options(body, said, installments=installments)


def choose_options(body: JsonObject, said: Mapping[str, Any], *, installments: bool) -> None:
    """Give `payment_method_options` of the types there are: what was said of each, or nothing special."""
    options = payment_shapes.payment_method_options(body[TYPES], installments=installments)
    for chosen in (body[OPTIONS], said.get(OPTIONS) or {}):
        for kind in chosen.keys() & options.keys():
            options[kind].update(chosen[kind])
    body[OPTIONS] = options
