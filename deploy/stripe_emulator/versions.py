"""Versions of the API, as the header `Stripe-Version` names them ([doc] docs.stripe.com/api/versioning)."""

import re

from deploy.stripe_emulator import denials
from deploy.stripe_emulator.signatures import api_versions

PREVIEW = re.compile(r"\d{4}-\d{2}-\d{2}\.preview\Z")
LATER = re.compile(r"\d{4}-\d{2}-\d{2}\.[a-z]+\Z")


def check(version: str) -> None:
    """Refuse a version that Stripe never had: StripeError 400.

    `2026-10-28.endive`, also with flags behind it (`; some_beta=v1`). Those that the SDK knows are the ones
    a webhook endpoint may ask for; a later one is taken for a later SDK's.
    """
    name, known = version.partition(";")[0].strip(), api_versions()
    if name in known or PREVIEW.match(name) or (LATER.match(name) and name > max(known)):
        return
    raise denials.unknown_version(version)
