"""Form and query text as Stripe reads it: `a[b][c]=v` is a tree.

Source: [doc] docs.stripe.com/api, "form-encoded".
"""

import re
from collections.abc import Sequence
from urllib.parse import parse_qsl

from deploy.stripe_emulator.errors import wrong_kind

Tree = dict[str, "Tree | str"]
"""What a form says before its parameters are known; an array's places are its keys, `0`, `1`, …."""

_KEY = re.compile(r"([^\[\]]+)((?:\[[^\[\]]*\])*)\Z")
_PART = re.compile(r"\[([^\[\]]*)\]")


def decode(text: str) -> Tree:
    """Turn form text into a tree; a name that is both a value and a branch is refused as StripeError 400."""
    tree: Tree = {}
    for key, value in parse_qsl(text, keep_blank_values=True):
        _put(tree, _parts(key), value, key)
    return tree


def _parts(key: str) -> Sequence[str]:
    match = _KEY.match(key)
    if match is None:
        return [key]
    return [match[1], *_PART.findall(match[2])]


def _put(tree: Tree, parts: Sequence[str], value: str, key: str) -> None:
    branch = tree
    for part in parts[:-1]:
        below = branch.setdefault(part, {})
        if isinstance(below, str):
            raise wrong_kind(key, "object", below)
        branch = below
    leaf = parts[-1] or str(len(branch))
    if isinstance(branch.get(leaf), dict):
        raise wrong_kind(key, "string", "")
    branch[leaf] = value
