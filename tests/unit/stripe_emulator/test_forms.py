"""Form text, and what an endpoint accepts of it."""

from typing import Any

import pytest

from deploy.stripe_emulator.errors import StripeError
from deploy.stripe_emulator.forms import decode
from deploy.stripe_emulator.parameters import accept, refine

ACCEPTED = accept(
    *("name", "customer!", "limit:integer", "connect:boolean", "types[]", "metadata[*]"),
    *("card[checks][cvc]", "card[number]"),
)


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


@pytest.mark.parametrize(
    ("text", "parameters"),
    [
        ("name=Ada&limit=3&connect=true", {"name": "Ada", "limit": 3, "connect": True}),
        ("types[]=a&types[]=b", {"types": ["a", "b"]}),
        ("metadata[0]=a", {"metadata": {"0": "a"}}),
        ("metadata=", {"metadata": ""}),
        ("name=", {"name": ""}),
        ("card[checks][cvc]=pass", {"card": {"checks": {"cvc": "pass"}}}),
    ],
)
def test_parameters_get_their_kinds(text: str, parameters: dict[str, Any]) -> None:
    assert parameters == refine(ACCEPTED, decode(text))


@pytest.mark.parametrize(
    ("text", "code", "param"),
    [
        ("nmae=x", "parameter_unknown", "nmae"),
        ("card[no]=x", "parameter_unknown", "card[no]"),
        ("card[checks][no]=x", "parameter_unknown", "card[checks][no]"),
        ("customer=", "parameter_invalid_empty", "customer"),
        ("limit=x", "parameter_invalid_integer", "limit"),
        ("limit=", "parameter_invalid_empty", "limit"),
        ("connect=yes", None, "connect"),
        ("metadata=x", None, "metadata"),
        ("metadata[a][b]=x", None, "metadata[a]"),
        ("types=x", None, "types"),
        ("name[first]=x", None, "name"),
    ],
)
def test_bad_parameter_is_named(text: str, code: str | None, param: str) -> None:
    with pytest.raises(StripeError) as raised:
        refine(ACCEPTED, decode(text))
    assert (400, code, param) == (
        raised.value.status,
        raised.value.error.get("code"),
        raised.value.error["param"],
    )


def test_all_unknown_parameters_are_named_at_once() -> None:
    with pytest.raises(StripeError, match=r"^Received unknown parameters: a, b$"):
        refine(ACCEPTED, decode("a=1&b=2&name=x"))


@pytest.mark.parametrize(("text", "code"), [("", "parameter_missing"), ("url=", "parameter_invalid_empty")])
def test_required_parameter(text: str, code: str) -> None:
    with pytest.raises(StripeError) as raised:
        refine(accept("url!", required=("url",)), decode(text))
    assert code == raised.value.error["code"]
