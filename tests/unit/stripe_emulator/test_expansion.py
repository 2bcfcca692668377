"""Which paths can be expanded: the SDK's classes say so."""

import pytest

from deploy.stripe_emulator.errors import StripeError
from deploy.stripe_emulator.expansion import check, shown
from deploy.stripe_emulator.routes import ROUTES, Route

CARD, CARDS = "/v1/payment_methods/{payment_method}", "/v1/payment_methods"


@pytest.mark.parametrize(
    ("method", "template", "path"),
    [
        ("GET", CARD, "customer"),
        ("POST", f"{CARD}/attach", "customer.invoice_settings.default_payment_method"),
        ("POST", CARDS, "customer"),
        ("GET", CARDS, "data.customer"),
        ("GET", "/v1/customers/{customer}", "test_clock.anything"),
        ("GET", "/v1/customers/{customer}", "address"),
        ("GET", "/v1/customers/{customer}", "sources.data"),
        ("GET", "/v1/accounts/{account}/capabilities", "data.account"),
    ],
)
def test_path_of_an_object_is_taken(method: str, template: str, path: str) -> None:
    check([path], template, method=method)


@pytest.mark.parametrize(
    ("method", "template", "path", "text"),
    [
        ("GET", CARD, "costumer", "(costumer)."),
        ("GET", CARD, "type", "(type)."),
        ("GET", CARD, "customer.email.domain", "(customer.email)."),
        ("GET", CARDS, "customer", "(customer). You may want to try expanding 'data.customer' instead."),
        ("GET", CARDS, "data.type", "(data.type)."),
        ("POST", CARDS, "data.customer", "(data)."),
    ],
)
def test_path_of_anything_else_is_refused(method: str, template: str, path: str, text: str) -> None:
    with pytest.raises(StripeError) as raised:
        check([path], template, method=method)
    assert (400, f"This property cannot be expanded {text}") == (raised.value.status, str(raised.value))


def test_path_has_at_most_four_levels() -> None:
    path = "customer.invoice_settings.default_payment_method.customer"
    check([path], CARD, method="GET")
    with pytest.raises(StripeError, match="more than 4 levels"):
        check([path + ".address"], CARD, method="GET")


@pytest.mark.parametrize("route", ROUTES, ids=lambda route: f"{route.method} {route.template}")
def test_every_route_shows_something(route: Route) -> None:
    """A path whose object is not known could not be expanded."""
    assert shown(route.template)[0]
