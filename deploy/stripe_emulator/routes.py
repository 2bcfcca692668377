"""The API as one table: method, path, handler, what it accepts.

The lists of parameters are those of docs.stripe.com/api that the emulator gives a meaning to; anything else
is refused.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from deploy.stripe_emulator.model import Call
from deploy.stripe_emulator.pages import PARAMETERS as PAGE
from deploy.stripe_emulator.parameters import Accepted, accept
from deploy.stripe_emulator.resources import (
    accounts,
    attachment,
    customers,
    events,
    payment_methods,
    webhook_endpoints,
)
from deploy.stripe_emulator.shapes import JsonObject

Handler = Callable[[Call], JsonObject]

CREATED = ("created[gt]:integer", "created[gte]:integer", "created[lt]:integer", "created[lte]:integer")
ADDRESS = ("city", "country", "line1", "line2", "postal_code", "state")
BILLING = (
    *(f"billing_details[{name}]" for name in ("email", "name", "phone", "tax_id")),
    *(f"billing_details[address][{name}]" for name in ADDRESS),
)
ACCOUNT = ("email", "metadata[*]", "capabilities[*][requested]:boolean")
CUSTOMER = (
    *("name", "email", "phone", "description", "tax_exempt", "preferred_locales[]", "metadata[*]"),
    *(f"address[{name}]" for name in ADDRESS),
    "invoice_settings[default_payment_method]",
)
NEW_CARD = (
    "card[number]!",
    "card[exp_month]:integer",
    "card[exp_year]:integer",
    "card[cvc]!",
    "card[token]!",
)
NEW_BANK_ACCOUNT = (
    "us_bank_account[account_holder_type]!",
    "us_bank_account[account_number]!",
    "us_bank_account[account_type]!",
    "us_bank_account[routing_number]!",
)
NEW_PAYMENT_METHOD = (
    *("type!", "payment_method!", "customer!", "allow_redisplay", "metadata[*]"),
    *BILLING,
    *NEW_CARD,
    *NEW_BANK_ACCOUNT,
    *(f"{kind}[*]" for kind in payment_methods.BARE_TYPES),
)
CHANGED_PAYMENT_METHOD = (
    *("allow_redisplay", "metadata[*]", "card[exp_month]:integer", "card[exp_year]:integer"),
    *BILLING,
)
ENDPOINT = ("url!", "enabled_events[]!", "connect:boolean", "description", "api_version", "metadata[*]")


@dataclass(frozen=True, slots=True)
class Route:
    """One endpoint of the API."""

    method: str
    template: str
    handler: Handler
    accepted: Accepted


NOTHING = accept()
ROUTES = (
    Route("GET", "/v1/account", accounts.own, NOTHING),
    Route("POST", "/v1/accounts", accounts.create, accept("type!", "country!", "business_type", *ACCOUNT)),
    Route("GET", "/v1/accounts", accounts.list_connected, accept(*PAGE, *CREATED)),
    Route("GET", "/v1/accounts/{account}", accounts.retrieve, NOTHING),
    Route("POST", "/v1/accounts/{account}", accounts.update, accept(*ACCOUNT)),
    Route("DELETE", "/v1/accounts/{account}", accounts.delete, NOTHING),
    Route("GET", "/v1/accounts/{account}/capabilities", accounts.list_capabilities, NOTHING),
    Route("GET", "/v1/accounts/{account}/capabilities/{capability}", accounts.retrieve_capability, NOTHING),
    Route(
        "POST",
        "/v1/accounts/{account}/capabilities/{capability}",
        accounts.update_capability,
        accept("requested:boolean"),
    ),
    Route("POST", "/v1/customers", customers.create, accept(*CUSTOMER, "payment_method!")),
    Route("GET", "/v1/customers", customers.list_all, accept("email", *PAGE, *CREATED)),
    Route("GET", "/v1/customers/{customer}", customers.retrieve, NOTHING),
    Route("POST", "/v1/customers/{customer}", customers.update, accept(*CUSTOMER)),
    Route("DELETE", "/v1/customers/{customer}", customers.delete, NOTHING),
    Route(
        "GET",
        "/v1/customers/{customer}/payment_methods",
        payment_methods.list_of_customer,
        accept("type!", *PAGE),
    ),
    Route(
        "GET", "/v1/customers/{customer}/payment_methods/{payment_method}", payment_methods.retrieve, NOTHING
    ),
    Route("POST", "/v1/payment_methods", payment_methods.create, accept(*NEW_PAYMENT_METHOD)),
    Route(
        "GET", "/v1/payment_methods", payment_methods.list_by_parameter, accept("customer!", "type!", *PAGE)
    ),
    Route("GET", "/v1/payment_methods/{payment_method}", payment_methods.retrieve, NOTHING),
    Route(
        "POST",
        "/v1/payment_methods/{payment_method}",
        payment_methods.update,
        accept(*CHANGED_PAYMENT_METHOD),
    ),
    Route("POST", "/v1/payment_methods/{payment_method}/attach", attachment.attach, accept("customer!")),
    Route("POST", "/v1/payment_methods/{payment_method}/detach", attachment.detach, NOTHING),
    Route(
        "GET",
        "/v1/events",
        events.list_all,
        accept("type!", "types[]!", "delivery_success:boolean", *PAGE, *CREATED),
    ),
    Route("GET", "/v1/events/{event}", events.retrieve, NOTHING),
    Route(
        "POST",
        "/v1/webhook_endpoints",
        webhook_endpoints.create,
        accept(*ENDPOINT, required=("url", "enabled_events")),
    ),
    Route("GET", "/v1/webhook_endpoints", webhook_endpoints.list_all, accept(*PAGE)),
    Route("GET", "/v1/webhook_endpoints/{webhook_endpoint}", webhook_endpoints.retrieve, NOTHING),
    Route("DELETE", "/v1/webhook_endpoints/{webhook_endpoint}", webhook_endpoints.delete, NOTHING),
)


def _pattern(template: str) -> re.Pattern[str]:
    return re.compile(re.sub(r"{(\w+)}", r"(?P<\1>[^/]+)", template) + r"\Z")


_BY_METHOD: Mapping[str, list[tuple[re.Pattern[str], Route]]] = {
    method: [(_pattern(route.template), route) for route in ROUTES if route.method == method]
    for method in sorted({route.method for route in ROUTES})
}


def find(method: str, path: str) -> tuple[Route, dict[str, str]] | None:
    """Give the route of a request and what its path names; None where the API has no such URL."""
    for pattern, route in _BY_METHOD.get(method, ()):
        match = pattern.match(path)
        if match:
            return route, match.groupdict()
    return None


def templates() -> frozenset[str]:
    """Name every path of the API, as fault rules and the call log name them."""
    return frozenset(route.template for route in ROUTES)
