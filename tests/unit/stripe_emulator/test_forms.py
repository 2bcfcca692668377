"""Form text as a tree."""

from typing import Any

import pytest

from deploy.stripe_emulator.errors import StripeError
from deploy.stripe_emulator.forms import decode


@pytest.mark.parametrize(
    ("text", "tree"),
    [
        ("", {}),
        ("a=1&b=", {"a": "1", "b": ""}),
        ("a=1&a=2", {"a": "2"}),
        ("a=b%26c+d%3De", {"a": "b&c d=e"}),
        ("a[b][c]=1&a[b][d]=2&a[e]=3", {"a": {"b": {"c": "1", "d": "2"}, "e": "3"}}),
        ("a%5Bb%5D=1", {"a": {"b": "1"}}),
        ("a[]=x&a[]=y", {"a": {"0": "x", "1": "y"}}),
        ("a[0]=x&a[1]=y", {"a": {"0": "x", "1": "y"}}),
        ("a[0][b]=x&a[1][b]=y", {"a": {"0": {"b": "x"}, "1": {"b": "y"}}}),
        ("a[b=1", {"a[b": "1"}),
        ("metadata[ofn-clone]=true", {"metadata": {"ofn-clone": "true"}}),
    ],
)
def test_form_is_a_tree(text: str, tree: dict[str, Any]) -> None:
    assert tree == decode(text)


@pytest.mark.parametrize("text", ["a=1&a[b]=2", "a[b]=2&a=1", "a[b][c]=1&a[b]=2"])
def test_value_and_branch_are_refused(text: str) -> None:
    with pytest.raises(StripeError):
        decode(text)
