"""What a clone is made of against what it should be made of. Pure."""

from collections.abc import Mapping
from typing import Any, Final

from consumers.clone.facts import CloneFacts, Content, MethodFacts

_UPDATABLE_BANK: Final = ("account_holder_type", "account_type")
"""What Stripe lets be changed of a bank account; another number is another fingerprint."""


def is_same_card(method: MethodFacts, clone: CloneFacts) -> bool:
    """Whether the original is still the card that the clone was made of; unknown counts as no.

    The two fingerprints of the original are compared, since the clone's own may differ from it (in India, and
    of the tokens of wallets: Stripe's docs of `card.fingerprint`).
    """
    wanted = _fingerprint(method.content)
    return wanted is not None and clone.source_fingerprint == wanted


def is_up_to_date(method: MethodFacts, clone: CloneFacts) -> bool:
    """Whether the clone is already what is wanted: Stripe's updater works on connected accounts too."""
    return (
        method.content is not None
        and clone.content is not None
        and _fingerprint(clone.content) == _fingerprint(method.content)
        and not changes(method.type, clone.content, method.content)
    )


def lacks_billing_details(method: MethodFacts, clone: CloneFacts) -> bool:
    """Whether the original has billing details that the clone does not have."""
    return (
        method.content is not None
        and clone.content is not None
        and bool(_missing(clone.content["billing_details"], method.content["billing_details"]))
    )


def changes(method_type: str, have: Content | None, want: Content) -> dict[str, Any]:
    """Give the parameters of an update that makes one of the other; empty where they are alike.

    https://docs.stripe.com/api/payment_methods/update: expiry, billing details, and of a bank account its
    holder's and its own type. An empty text unsets a value.
    """
    have = have or {"expiry": [None, None], "billing_details": {}, "bank": {}}
    parameters: dict[str, Any] = {}
    if method_type == "card" and list(have["expiry"]) != list(want["expiry"]):
        year, month = want["expiry"]
        parameters["card"] = {"exp_month": month, "exp_year": year}
    billing = _differences(have["billing_details"], want["billing_details"])
    if billing:
        parameters["billing_details"] = billing
    bank = {
        name: want["bank"][name]
        for name in _UPDATABLE_BANK
        if name in want["bank"] and want["bank"][name] != have["bank"].get(name)
    }
    if bank:
        parameters["us_bank_account"] = bank
    return parameters


def _fingerprint(content: Content | None) -> str | None:
    return content["fingerprint"] if content is not None else None


def _differences(have: Mapping[str, Any], want: Mapping[str, Any]) -> dict[str, Any]:
    """Walk both: what differs, as wanted; what is not wanted, unset."""
    found: dict[str, Any] = {}
    for name in sorted({*have, *want}):
        mine, wanted = have.get(name), want.get(name)
        if isinstance(mine, Mapping) or isinstance(wanted, Mapping):
            inner = _differences(_mapping(mine), _mapping(wanted))
            if inner:
                found[name] = inner
        elif mine != wanted:
            found[name] = "" if wanted is None else wanted
    return found


def _missing(have: Mapping[str, Any], want: Mapping[str, Any]) -> set[str]:
    return {
        name
        for name, value in want.items()
        if (_missing(_mapping(have.get(name)), value) if isinstance(value, Mapping) else not have.get(name))
    }


def _mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}
