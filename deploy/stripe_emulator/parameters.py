"""What an endpoint accepts, as data, and the refusal of everything else.

An endpoint lists its parameters as text: `name`, `card[number]!`, `metadata[*]`, `enabled_events[]`,
`limit:integer`. `[*]` is a hash with any keys, `[]` an array, `:integer` and `:boolean` a kind, a final `!`
says that an empty string does not unset it. A required parameter is named a second time in the endpoint's
`required`.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, assert_never

from deploy.stripe_emulator.errors import (
    empty_parameter,
    missing_parameter,
    unknown_parameters,
    wrong_kind,
)
from deploy.stripe_emulator.forms import Tree

_ANY = "*"


@dataclass(slots=True)
class Leaf:
    """One value: text, or an integer or boolean written as text."""

    kind: str = "string"
    clears: bool = True


@dataclass(slots=True)
class Array:
    """Values without names, in their order."""

    leaf: Leaf


@dataclass(slots=True)
class Hash:
    """Named values; the name `*` stands for any."""

    children: dict[str, "Leaf | Array | Hash"] = field(default_factory=dict)


@dataclass(slots=True, frozen=True)
class Accepted:
    """The parameters of one endpoint."""

    root: Hash
    required: Sequence[str]


def accept(*names: str, required: Sequence[str] = ()) -> Accepted:
    """Read an endpoint's list of parameters, in the notation at the top of this file."""
    root = Hash()
    for name in names:
        _declare(root, name)
    return Accepted(root, tuple(required))


def refine(accepted: Accepted, tree: Tree) -> dict[str, Any]:
    """Give the typed parameters of a call, or refuse it as Stripe does: StripeError 400."""
    unknown = list(_unknown(accepted.root, tree, ""))
    if unknown:
        raise unknown_parameters(unknown)
    for name in accepted.required:
        if name not in tree:
            raise missing_parameter(name)
        if tree[name] == "":
            raise empty_parameter(name)
    return {key: _typed(_child(accepted.root, key), value, key) for key, value in tree.items()}


def _declare(root: Hash, text: str) -> None:
    clears = not text.endswith("!")
    path, _, kind = text.removesuffix("!").partition(":")
    leaf = Leaf(kind or "string", clears)
    parts = path.replace("]", "").split("[")
    branch = root
    array = parts[-1] == ""
    names = parts[:-1] if array else parts
    for part in names[:-1]:
        below = branch.children.setdefault(part, Hash())
        if not isinstance(below, Hash):
            raise TypeError(f"{text} is below a value")
        branch = below
    branch.children[names[-1]] = Array(leaf) if array else leaf


def _child(spec: Hash, key: str) -> "Leaf | Array | Hash":
    return spec.children.get(key) or spec.children[_ANY]


def _unknown(spec: Hash, tree: Tree, prefix: str) -> Iterable[str]:
    for key, value in tree.items():
        name = f"{prefix}[{key}]" if prefix else key
        below = spec.children.get(key, spec.children.get(_ANY))
        if below is None:
            yield name
        elif isinstance(below, Hash) and isinstance(value, dict):
            yield from _unknown(below, value, name)


def _typed(spec: "Leaf | Array | Hash", value: Tree | str, name: str) -> Any:
    match spec:
        case Leaf():
            if isinstance(value, dict):
                raise wrong_kind(name, spec.kind, "")
            return _value(spec, value, name)
        case Array():
            if value == "":
                return []
            if isinstance(value, str):
                raise wrong_kind(name, "array", value)
            return [_typed(spec.leaf, item, f"{name}[{place}]") for place, item in value.items()]
        case Hash():
            if value == "":
                return ""
            if isinstance(value, str):
                raise wrong_kind(name, "object", value)
            return {key: _typed(_child(spec, key), item, f"{name}[{key}]") for key, item in value.items()}
        case _:
            assert_never(spec)


def _value(spec: Leaf, value: str, name: str) -> str | int | bool:
    if value == "":
        if spec.clears and spec.kind == "string":
            return ""
        raise empty_parameter(name)
    if spec.kind == "integer":
        try:
            return int(value)
        except ValueError:
            raise wrong_kind(name, "integer", value) from None
    if spec.kind == "boolean":
        truth: Mapping[str, bool] = {"true": True, "false": False}
        if value not in truth:
            raise wrong_kind(name, "boolean", value)
        return truth[value]
    return value
