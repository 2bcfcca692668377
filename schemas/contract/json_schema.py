"""JSON Schemas (draft 2020-12) of the types that the contract is made of, each complete in itself.

What a schema leaves open is a promise too: no object forbids members that it does not name, and a list of
words that may grow is an `x-extensible-enum` (as in Zalando's API guidelines) instead of an `enum`, so that a
validating reader of today does not refuse the records of tomorrow.
"""

import inspect
from typing import Any, Final

import msgspec

from schemas.commands import RejectReason
from schemas.records import Reason

Schema = dict[str, Any]

DIALECT: Final = "https://json-schema.org/draft/2020-12/schema"
_REF: Final = "#/"
_GROWING: Final[frozenset[type]] = frozenset({Reason, RejectReason})
"""The lists of words to which more may be added without a new major version."""


def json_schema(*types: type) -> Schema:
    """Give the schema of a type, or of any of some, without references; where none is named, of anything."""
    schemas, components = msgspec.json.schema_components(types, ref_template=f"{_REF}{{name}}")
    opened = {enum.__name__ for enum in _GROWING}
    told = {name: _told(name, each, opened) for name, each in components.items()}
    made: list[Schema] = [_inline(schema, told) for schema in schemas]
    match made:
        case []:
            return {}
        case [one]:
            return one
        case _:
            return {"anyOf": made}


def document(schema: Schema, name: str, title: str, version: int) -> Schema:
    """Give a schema as a document of its own, with the names by which it is known."""
    return {
        "$schema": DIALECT,
        "$id": f"urn:offshoot:contract:v{version}:{name}",
        "title": title,
        **schema,
    }


def _told(name: str, schema: Schema, opened: set[str]) -> Schema:
    """A component with its docstring set straight; an enum says its type, and maybe that it grows."""
    told = {key: value for key, value in schema.items() if key != "title"}
    if "description" in told:
        told["description"] = " ".join(inspect.cleandoc(told["description"]).split())
    if "enum" in told:
        words = told.pop("enum")
        told |= {"type": "string", ("x-extensible-enum" if name in opened else "enum"): words}
    return told


def _inline(node: Any, components: dict[str, Schema]) -> Any:
    """Put every component where it is referred to; an `anyOf` with null becomes a type that may be null."""
    if isinstance(node, list):
        return [_inline(each, components) for each in node]
    if not isinstance(node, dict):
        return node
    if "$ref" in node:
        found = components[node["$ref"].removeprefix(_REF)]
        return _inline(found, components) | {key: node[key] for key in node if key != "$ref"}
    inlined = {key: _inline(value, components) for key, value in node.items()}
    if isinstance(words := inlined.get("enum"), list):  # a member may have that name
        inlined = {"type": "string", "enum": words} | inlined
    match inlined.get("anyOf"):
        case [{"type": str(kind)} as some, {"type": "null"}] if "enum" not in some:
            del inlined["anyOf"]
            return some | inlined | {"type": [kind, "null"]}
        case _:
            return inlined
