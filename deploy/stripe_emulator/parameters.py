"""What an endpoint accepts, and the refusal of everything else.

Three sets of names: what Stripe takes (the SDK's class), what the emulator gives a meaning to (`reads`), and
what it may ignore, because nothing that it shows depends on it (`IGNORED`). A name outside the first is
refused as Stripe refuses it. A name that Stripe takes, but that is in neither of the others, is refused in
the emulator's own words: to take it and do nothing would be a lie.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from deploy.stripe_emulator.errors import (
    empty_parameter,
    missing_parameter,
    not_a_choice,
    unknown_parameters,
    unsupported_parameter,
    wrong_kind,
)
from deploy.stripe_emulator.forms import Array, Tree
from deploy.stripe_emulator.signatures import Kind, fields

_PLACE = re.compile(r"[0-9]+")
_INTEGER = re.compile(r"[+-]?[0-9]+")
_NUMBER = re.compile(r"[+-]?[0-9]+(\.[0-9]+)?")

IGNORED = frozenset(
    {
        *(
            "company",
            "individual",
            "settings",
            "tos_acceptance",
        ),  # what verifies a business
        "radar_options",  # scores of fraud
    }
)
"""Top-level parameters that are taken and dropped: what Stripe would do with them shows nowhere here. The
control side moves capabilities, and no charge is scored."""

EVERYWHERE = frozenset({"expand"})
"""What the engine reads for every endpoint."""

TEXTS = frozenset(
    {
        *("city", "country", "description", "email", "line1", "line2", "name", "phone", "postal_code"),
        *("state", "default_payment_method"),
    }
)
"""Plain texts that an empty string unsets; the SDK's types do not say so ([doc] api/customers/update; of the
default payment method [3p] Stripe's own in stripe-ruby#1151)."""


@dataclass(frozen=True, slots=True)
class Accepted:
    """The parameters of one endpoint: Stripe's, and which of them mean something here."""

    known: Mapping[str, Kind]
    reads: "Mapping[str, Reads]" = field(default_factory=dict)


Reads = Mapping[str, "Reads"]
"""Names that are read, each with the names below it; none below means everything below."""


def accept(
    params: type, reads: Iterable[str], *, also: Mapping[str, Kind] = MappingProxyType({})
) -> Accepted:
    """Join what Stripe takes (a class of `stripe.params`) with what is read: `name`, `card[number]`.

    `also` is what Stripe takes and the SDK's class does not have. A name that is read but that neither knows
    is a KeyError.
    """
    known: Mapping[str, Kind] = {**fields(params), **also}
    root: dict[str, Any] = {}
    for text in (*reads, *also, *(EVERYWHERE & known.keys())):
        branch, kinds = root, known
        for part in text.replace("]", "").split("["):
            kind = kinds[part]
            branch, kinds = branch.setdefault(part, {}), kind.fields or {}
    return Accepted(known, root)


def refine(accepted: Accepted, tree: Tree, endpoint: str) -> dict[str, Any]:
    """Give the typed parameters of a call, or refuse it: StripeError 400; `endpoint` is for the message."""
    unknown = list(_unknown(accepted.known, tree, ""))
    if unknown:
        raise unknown_parameters(unknown)
    parameters = _hash(accepted.known, tree, "")
    for name in _unread(accepted.reads, tree, ""):
        if name in IGNORED:
            del parameters[name]
        elif name.partition("[")[0] not in IGNORED:
            raise unsupported_parameter(name, endpoint)
    return parameters


def _unknown(known: Mapping[str, Kind], tree: Tree, prefix: str) -> Iterable[str]:
    for key, value in tree.items():
        name = f"{prefix}[{key}]" if prefix else key
        kind = known.get(key)
        if kind is None:
            yield name
        elif isinstance(value, dict):
            yield from _unknown_below(kind, value, name)


def _unknown_below(kind: Kind, tree: Tree, name: str) -> Iterable[str]:
    if kind.hash is not None:
        yield from _unknown(fields(kind.hash), tree, name)
    elif kind.item is not None:
        for place, value in tree.items():
            if isinstance(value, dict):
                yield from _unknown_below(kind.item, value, f"{name}[{place}]")


def _unread(reads: Reads, tree: Tree, prefix: str) -> Iterable[str]:
    for key, value in tree.items():
        name = f"{prefix}[{key}]" if prefix else key
        below = reads.get(key)
        if below is None:
            yield name
        elif below and isinstance(value, dict):
            yield from _unread(below, value, name)


def _hash(known: Mapping[str, Kind], tree: Tree, prefix: str) -> dict[str, Any]:
    for key, kind in known.items():
        if kind.required and key not in tree:
            raise missing_parameter(f"{prefix}[{key}]" if prefix else key)
    return {
        key: _typed(known[key], value, f"{prefix}[{key}]" if prefix else key) for key, value in tree.items()
    }


def _typed(kind: Kind, value: Tree | str, name: str) -> Any:
    if isinstance(value, str):
        return _value(kind, value, name)
    if kind.hash is not None:
        return _hash(fields(kind.hash), value, name)
    if kind.values is not None and not isinstance(value, Array):
        below = kind.values
        return {
            key: "" if each == "" else _typed(below, each, f"{name}[{key}]") for key, each in value.items()
        }
    if kind.item is not None:
        below = kind.item
        if not all(_PLACE.fullmatch(place) for place in value):
            raise wrong_kind(name, "array", "")
        places = sorted(value.items(), key=lambda each: int(each[0]))
        return [_typed(below, each, f"{name}[{place}]") for place, each in places]
    raise wrong_kind(name, kind.scalar or ("string" if kind.values is None else "object"), "")


def _value(kind: Kind, value: str, name: str) -> str | int | float | bool:
    if value == "":
        if kind.clears or (kind.scalar == "string" and _last(name) in TEXTS):
            return ""
        raise empty_parameter(name)
    if value in kind.choices:
        return value
    match kind.scalar:
        case "string":
            return value
        case "boolean" if value in ("true", "false"):
            return value == "true"
        case "integer" if _INTEGER.fullmatch(value):
            return int(value)
        case "number" if _NUMBER.fullmatch(value):
            return float(value)
        case None if kind.choices:
            raise not_a_choice(name, kind.choices)
        case None:
            raise wrong_kind(name, "array" if kind.item else "object", value)
        case scalar:
            raise wrong_kind(name, scalar, value)


def _last(name: str) -> str:
    return name.rstrip("]").rpartition("[")[2]
