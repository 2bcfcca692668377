"""What an endpoint accepts: what the SDK says, and what the emulator gives a meaning to."""

from typing import Any, Literal, NotRequired, TypedDict

import pytest
from stripe import params

from deploy.stripe_emulator.errors import StripeError
from deploy.stripe_emulator.forms import decode
from deploy.stripe_emulator.parameters import IGNORED, Accepted, accept, refine
from deploy.stripe_emulator.routes import ROUTES, Route
from deploy.stripe_emulator.signatures import Kind, fields

ENDPOINT = "POST /v1/things"


class Checks(TypedDict):
    """A hash below a hash."""

    cvc: NotRequired[str]
    score: NotRequired[float]


class Card(TypedDict):
    """A hash that cannot be without its number."""

    number: str
    checks: NotRequired[Checks]


class Bounds(TypedDict):
    """Seconds."""

    gt: NotRequired[int]


class Things(TypedDict):
    """Parameters as the SDK writes them."""

    name: NotRequired[str]
    customer: NotRequired[str]
    limit: NotRequired[int]
    connect: NotRequired[bool]
    types: NotRequired[list[str]]
    tax: NotRequired["Literal['', 'none', 'exempt']|str"]  # noqa: PYI051 - as the SDK writes it
    metadata: NotRequired["Literal['']|dict[str, str]"]
    created: NotRequired[Bounds | int]
    card: NotRequired[Card]
    cards: NotRequired[list[Card]]
    coupon: NotRequired[str]
    settings: NotRequired[dict[str, str]]


READS = [name for name in Things.__annotations__ if name not in ("coupon", "card", "settings")]
ACCEPTED = accept(Things, (*READS, "card[number]", "card[checks][score]"))


def refined(text: str, accepted: Accepted = ACCEPTED) -> dict[str, Any]:
    return refine(accepted, decode(text), ENDPOINT)


@pytest.mark.parametrize(
    ("text", "parameters"),
    [
        ("name=Ada&limit=3&connect=true", {"name": "Ada", "limit": 3, "connect": True}),
        ("types[]=a&types[]=b", {"types": ["a", "b"]}),
        ("types[10]=b&types[2]=a", {"types": ["a", "b"]}),
        ("metadata[0]=a", {"metadata": {"0": "a"}}),
        ("metadata[a]=", {"metadata": {"a": ""}}),
        ("metadata=", {"metadata": ""}),
        ("name=", {"name": ""}),
        ("tax=", {"tax": ""}),
        ("tax=exempt", {"tax": "exempt"}),
        ("created=5", {"created": 5}),
        ("created[gt]=5", {"created": {"gt": 5}}),
        ("card[number]=4&card[checks][score]=1.5", {"card": {"number": "4", "checks": {"score": 1.5}}}),
        ("cards[0][number]=4&cards[1][number]=5", {"cards": [{"number": "4"}, {"number": "5"}]}),
    ],
)
def test_parameters_get_their_kinds(text: str, parameters: dict[str, Any]) -> None:
    assert parameters == refined(text)


@pytest.mark.parametrize(
    ("text", "code", "param"),
    [
        ("nmae=x", "parameter_unknown", "nmae"),
        ("card[no]=x", "parameter_unknown", "card[no]"),
        ("card[checks][no]=x", "parameter_unknown", "card[checks][no]"),
        ("cards[0][no]=x", "parameter_unknown", "cards[0][no]"),
        ("created[on]=1", "parameter_unknown", "created[on]"),
        ("customer=", "parameter_invalid_empty", "customer"),
        ("limit=x", "parameter_invalid_integer", "limit"),
        ("limit=1_0", "parameter_invalid_integer", "limit"),
        ("limit=", "parameter_invalid_empty", "limit"),
        ("created=x", "parameter_invalid_integer", "created"),
        ("connect=yes", None, "connect"),
        ("metadata=x", None, "metadata"),
        ("metadata[a][b]=x", None, "metadata[a]"),
        ("metadata[]=x", None, "metadata"),
        ("types=x", None, "types"),
        ("types[first]=x", None, "types"),
        ("name[first]=x", None, "name"),
        ("tax=high", None, "tax"),
        ("card[checks][score]=high&card[number]=1", None, "card[checks][score]"),
        ("card[checks][score]=1", "parameter_missing", "card[number]"),
        ("cards[0][checks][score]=1", "parameter_missing", "cards[0][number]"),
    ],
)
def test_bad_parameter_is_named(text: str, code: str | None, param: str) -> None:
    with pytest.raises(StripeError) as raised:
        refined(text)
    assert (400, code, param) == (
        raised.value.status,
        raised.value.error.get("code"),
        raised.value.error["param"],
    )


def test_all_unknown_parameters_are_named_at_once() -> None:
    with pytest.raises(StripeError, match=r"^Received unknown parameters: a, b$"):
        refined("a=1&b=2&name=x")


def test_choices_are_named() -> None:
    with pytest.raises(StripeError, match=r"^Invalid tax: must be one of none or exempt$"):
        refined("tax=high")


@pytest.mark.parametrize(
    ("text", "name"), [("coupon=x", "coupon"), ("card[number]=4&card[checks][cvc]=x", "")]
)
def test_what_stripe_takes_and_the_emulator_does_not_is_refused_as_such(text: str, name: str) -> None:
    """Nothing is taken that has no effect, and nobody takes the refusal for Stripe's."""
    with pytest.raises(StripeError, match=r"^The Stripe emulator does not support the parameter") as raised:
        refined(text)
    assert raised.value.error["param"] == (name or "card[checks][cvc]")


def test_what_shows_nowhere_is_dropped() -> None:
    assert "settings" in IGNORED
    assert refined("name=x&settings[a]=b") == {"name": "x"}


@pytest.mark.parametrize(("text", "code"), [("", "parameter_missing"), ("url=", "parameter_invalid_empty")])
def test_required_parameter(text: str, code: str) -> None:
    class Endpoint(TypedDict):
        url: str

    with pytest.raises(StripeError) as raised:
        refined(text, accept(Endpoint, ("url",)))
    assert code == raised.value.error["code"]


def test_name_that_the_sdk_does_not_know_cannot_be_read() -> None:
    with pytest.raises(KeyError):
        accept(Things, ("nmae",))


def test_sdk_is_read_as_it_is_written() -> None:
    """Names of the client's own options are not parameters; the rest comes as it is typed."""
    customer = fields(params.CustomerUpdateParams)
    assert "stripe_account" not in customer
    assert customer["tax_exempt"] == Kind(choices=("exempt", "none", "reverse"), clears=True)
    assert (customer["metadata"].clears, customer["metadata"].values) == (True, Kind(scalar="string"))
    listed = fields(params.CustomerListParams)["created"]
    assert (listed.scalar, set(listed.fields or {})) == ("integer", {"gt", "gte", "lt", "lte"})
    assert fields(params.WebhookEndpointCreateParams)["url"] == Kind(scalar="string", required=True)


@pytest.mark.parametrize("route", ROUTES, ids=lambda route: f"{route.method} {route.template}")
def test_every_kind_of_every_route_is_understood(route: Route) -> None:
    """However deep, no parameter of the SDK's is of a kind that can take no value."""
    left, seen = [route.params], set()
    while left:
        params_class = left.pop()
        if params_class in seen:
            continue
        seen.add(params_class)
        for name, kind in fields(params_class).items():
            innermost = kind.item or kind.values or kind
            assert innermost.scalar or innermost.choices or innermost.hash, f"{params_class.__name__}: {name}"
            left += [innermost.hash] if innermost.hash else []
