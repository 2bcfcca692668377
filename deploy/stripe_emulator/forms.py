"""Form, query and JSON text as Stripe reads it: `a[b][c]=v` is a tree.

Source: [doc] docs.stripe.com/api, "form-encoded"; docs.stripe.com/api-v2-overview, JSON.
"""

import json
import re
from collections.abc import Sequence
from itertools import pairwise
from typing import Any
from urllib.parse import parse_qsl

from deploy.stripe_emulator.errors import StripeError, wrong_kind

Tree = dict[str, "Tree | str"]
"""What a form says before its parameters are known; an array's places are its keys, `0`, `1`, …."""


class Array(Tree):
    """A branch without names, as of `a[]=x` or of a list in JSON: nothing but an array can be meant."""


_KEY = re.compile(r"([^\[\]]+)((?:\[[^\[\]]*\])*)\Z")
_PART = re.compile(r"\[([^\[\]]*)\]")


def decode(text: str) -> Tree:
    """Turn form text into a tree; a name that is both a value and a branch is refused as StripeError 400."""
    tree: Tree = {}
    for key, value in parse_qsl(text, keep_blank_values=True):
        _put(tree, _parts(key), value, key)
    return tree


def decode_json(body: bytes) -> Tree:
    """Turn a body of API v2 into the same tree: null unsets as an empty string does in a form.

    What is not a JSON object is StripeError 400 ([infer] the text).
    """
    try:
        said = json.loads(body)
    except ValueError as error:
        raise StripeError(400, "The request body is not valid JSON.") from error
    if not isinstance(said, dict):
        raise StripeError(400, "The request body must be a JSON object.")
    return {name: _tree(value) for name, value in said.items()}


def _tree(value: Any) -> Tree | str:
    match value:
        case dict():
            return {name: _tree(each) for name, each in value.items()}
        case list():
            return Array((str(place), _tree(each)) for place, each in enumerate(value))
        case None:
            return ""
        case bool():
            return "true" if value else "false"
        case _:
            return str(value)


def _parts(key: str) -> Sequence[str]:
    match = _KEY.match(key)
    if match is None:
        return [key]
    return [match[1], *_PART.findall(match[2])]


def _put(tree: Tree, parts: Sequence[str], value: str, key: str) -> None:
    branch = tree
    for part, following in pairwise(parts):
        below = branch.setdefault(part, {} if following else Array())
        if isinstance(below, str):
            raise wrong_kind(key, "object", below)
        branch = below
    leaf = parts[-1] or str(len(branch))
    if isinstance(branch.get(leaf), dict):
        raise wrong_kind(key, "string", "")
    branch[leaf] = value
