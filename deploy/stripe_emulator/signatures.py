"""What the official SDK says an endpoint takes: names, nesting, kinds, choices, what is required.

The SDK generates a TypedDict for the parameters of every call from Stripe's OpenAPI description, so this list
renews itself with the SDK. Nested types are read when they are first met, and kept.

Source: [sdk] `stripe.params`, whose annotations use: `str`, `int`, `float`, `bool`, `Literal[…]` (an enum,
with `|str` since its values may grow), `Literal['']` (an empty string unsets it), `List`, `Dict[str, …]`,
TypedDicts, unions of these, and `NotRequired`.
"""

import types
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cache
from typing import Any, Literal, NotRequired, Union, get_args, get_origin, get_type_hints

from stripe import RequestOptions, params

SCALARS: Mapping[object, str] = {str: "string", int: "integer", float: "number", bool: "boolean"}


@dataclass(frozen=True, slots=True)
class Kind:
    """What one parameter may be. Several facets are alternatives, as in `created=5` and `created[gt]=5`."""

    scalar: str | None = None
    choices: tuple[str, ...] = ()
    item: "Kind | None" = None
    hash: type | None = None
    values: "Kind | None" = None
    clears: bool = False
    required: bool = False

    @property
    def fields(self) -> "Mapping[str, Kind] | None":
        """Give the names of a hash that has certain names."""
        return None if self.hash is None else fields(self.hash)


@cache
def fields(params: type) -> Mapping[str, Kind]:
    """Give the parameters of an SDK class; the client's own options, which every class has, are left out."""
    own = {
        name: hint
        for name, hint in params.__annotations__.items()
        if name not in RequestOptions.__annotations__
    }
    # The options' annotations name types that only a type checker sees, so they may not be resolved.
    holder = types.new_class("Own", (), {}, lambda space: space.update(__annotations__=own))
    holder.__module__ = params.__module__
    hints = get_type_hints(holder, include_extras=True)
    return {name: _kind(hint, required=True) for name, hint in hints.items()}


@cache
def api_versions() -> frozenset[str]:
    """Give the versions of the API that the SDK knows: those a webhook endpoint may ask for."""
    return frozenset(fields(params.WebhookEndpointCreateParams)["api_version"].choices)


def _kind(hint: Any, *, required: bool = False) -> Kind:
    origin, arguments = get_origin(hint), get_args(hint)
    if origin is NotRequired:
        return _kind(arguments[0])
    if origin in (Union, types.UnionType):
        kind = _either([_kind(each) for each in arguments])
    elif origin is Literal:
        choices = tuple(choice for choice in arguments if choice != "")
        kind = Kind(choices=choices, clears="" in arguments)
    elif origin is list:
        kind = Kind(item=_kind(arguments[0]))
    elif origin is dict:
        kind = Kind(values=_kind(arguments[1]))
    elif isinstance(hint, type) and issubclass(hint, dict):
        kind = Kind(hash=hint)
    else:
        kind = Kind(scalar=SCALARS.get(hint))
    return replace(kind, required=required)


def _either(kinds: list[Kind]) -> Kind:
    """Join alternatives; an enum with `str` beside it stays an enum, as Stripe's description has it."""
    joined = Kind()
    for kind in kinds:
        joined = replace(
            joined,
            scalar=_scalar(joined.scalar, kind.scalar),
            choices=joined.choices + kind.choices,
            item=kind.item or joined.item,
            hash=kind.hash or joined.hash,
            values=kind.values or joined.values,
            clears=kind.clears or joined.clears,
        )
    if joined.choices and joined.scalar == "string":
        return replace(joined, scalar=None)
    return joined


def _scalar(one: str | None, other: str | None) -> str | None:
    """Join two scalars: what may be a boolean or one of an enum's, and so a string, is not any string."""
    return other if one in (None, "string") and other is not None else one
