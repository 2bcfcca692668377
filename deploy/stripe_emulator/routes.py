"""The API as one table: method, path, handler, and the SDK's class of what Stripe takes there."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache, cached_property

from stripe import params
from stripe.params.v2 import core

from deploy.stripe_emulator.model import Call
from deploy.stripe_emulator.pages import READS as PAGE
from deploy.stripe_emulator.parameters import Accepted, accept
from deploy.stripe_emulator.resources import (
    accounts,
    attachment,
    charges,
    core_events,
    customers,
    event_destinations,
    events,
    mandates,
    payment_intents,
    payment_methods,
    setup_intents,
    verification,
    webhook_endpoints,
)
from deploy.stripe_emulator.shapes import JsonObject
from deploy.stripe_emulator.signatures import Kind

Handler = Callable[[Call], JsonObject]


@dataclass(frozen=True)
class Route:
    """One endpoint of the API.

    `params` is the SDK's class of what Stripe takes, `reads` what the handler gives a meaning to. A list with
    a `cursor` also takes the `page` that its own next URL has.
    """

    method: str
    template: str
    handler: Handler
    params: type
    reads: Sequence[str] = ()
    cursor: bool = False

    @cached_property
    def name(self) -> str:
        """Say method and path, as a limit or a message names the endpoint."""
        return f"{self.method} {self.template}"

    @cached_property
    def accepted(self) -> Accepted:
        """Give what the endpoint accepts; read from the SDK once."""
        return accept(self.params, self.reads, also={"page": Kind(scalar="string")} if self.cursor else {})


_V1 = (
    Route("GET", "/v1/account", accounts.own, params.AccountRetrieveCurrentParams),
    Route("POST", "/v1/accounts", accounts.create, params.AccountCreateParams, accounts.CREATE_READS),
    Route("GET", "/v1/accounts", accounts.list_connected, params.AccountListParams, (*PAGE, "created")),
    Route("GET", "/v1/accounts/{account}", accounts.retrieve, params.AccountRetrieveParams),
    Route(
        "POST", "/v1/accounts/{account}", accounts.update, params.AccountUpdateParams, accounts.UPDATE_READS
    ),
    Route("DELETE", "/v1/accounts/{account}", accounts.delete, params.AccountDeleteParams),
    Route(
        "GET",
        "/v1/accounts/{account}/capabilities",
        accounts.list_capabilities,
        params.AccountCapabilityListParams,
    ),
    Route(
        "GET",
        "/v1/accounts/{account}/capabilities/{capability}",
        accounts.retrieve_capability,
        params.AccountCapabilityRetrieveParams,
    ),
    Route(
        "POST",
        "/v1/accounts/{account}/capabilities/{capability}",
        accounts.update_capability,
        params.AccountCapabilityUpdateParams,
        ("requested",),
    ),
    Route("POST", "/v1/customers", customers.create, params.CustomerCreateParams, customers.CREATE_READS),
    Route("GET", "/v1/customers", customers.list_all, params.CustomerListParams, ("email", *PAGE, "created")),
    Route("GET", "/v1/customers/{customer}", customers.retrieve, params.CustomerRetrieveParams),
    Route(
        "POST",
        "/v1/customers/{customer}",
        customers.update,
        params.CustomerUpdateParams,
        customers.UPDATE_READS,
    ),
    Route("DELETE", "/v1/customers/{customer}", customers.delete, params.CustomerDeleteParams),
    Route(
        "GET",
        "/v1/customers/{customer}/payment_methods",
        payment_methods.list_of_customer,
        params.CustomerPaymentMethodListParams,
        ("type", *PAGE),
    ),
    Route(
        "GET",
        "/v1/customers/{customer}/payment_methods/{payment_method}",
        payment_methods.retrieve,
        params.CustomerPaymentMethodRetrieveParams,
    ),
    Route(
        "POST",
        "/v1/payment_methods",
        payment_methods.create,
        params.PaymentMethodCreateParams,
        payment_methods.CREATE_READS,
    ),
    Route(
        "GET",
        "/v1/payment_methods",
        payment_methods.list_by_parameter,
        params.PaymentMethodListParams,
        ("customer", "type", *PAGE),
    ),
    Route(
        "GET",
        "/v1/payment_methods/{payment_method}",
        payment_methods.retrieve,
        params.PaymentMethodRetrieveParams,
    ),
    Route(
        "POST",
        "/v1/payment_methods/{payment_method}",
        payment_methods.update,
        params.PaymentMethodUpdateParams,
        payment_methods.UPDATE_READS,
    ),
    Route(
        "POST",
        "/v1/payment_methods/{payment_method}/attach",
        attachment.attach,
        params.PaymentMethodAttachParams,
        ("customer",),
    ),
    Route(
        "POST",
        "/v1/payment_methods/{payment_method}/detach",
        attachment.detach,
        params.PaymentMethodDetachParams,
    ),
    Route(
        "POST",
        "/v1/payment_intents",
        payment_intents.create,
        params.PaymentIntentCreateParams,
        payment_intents.CREATE_READS,
    ),
    Route(
        "GET",
        "/v1/payment_intents",
        payment_intents.list_all,
        params.PaymentIntentListParams,
        ("customer", *PAGE, "created"),
    ),
    Route(
        "GET",
        "/v1/payment_intents/{intent}",
        payment_intents.retrieve,
        params.PaymentIntentRetrieveParams,
        ("client_secret",),
    ),
    Route(
        "POST",
        "/v1/payment_intents/{intent}",
        payment_intents.update,
        params.PaymentIntentUpdateParams,
        payment_intents.UPDATE_READS,
    ),
    Route(
        "POST",
        "/v1/payment_intents/{intent}/confirm",
        payment_intents.confirm,
        params.PaymentIntentConfirmParams,
        payment_intents.CONFIRM_READS,
    ),
    Route(
        "POST",
        "/v1/payment_intents/{intent}/capture",
        payment_intents.capture,
        params.PaymentIntentCaptureParams,
        ("amount_to_capture",),
    ),
    Route(
        "POST",
        "/v1/payment_intents/{intent}/cancel",
        payment_intents.cancel,
        params.PaymentIntentCancelParams,
        ("cancellation_reason",),
    ),
    Route(
        "POST",
        "/v1/payment_intents/{intent}/verify_microdeposits",
        verification.verify_payment,
        params.PaymentIntentVerifyMicrodepositsParams,
        verification.READS,
    ),
    Route(
        "POST",
        "/v1/setup_intents",
        setup_intents.create,
        params.SetupIntentCreateParams,
        setup_intents.CREATE_READS,
    ),
    Route(
        "GET",
        "/v1/setup_intents",
        setup_intents.list_all,
        params.SetupIntentListParams,
        ("customer", "payment_method", *PAGE, "created"),
    ),
    Route(
        "GET",
        "/v1/setup_intents/{intent}",
        setup_intents.retrieve,
        params.SetupIntentRetrieveParams,
        ("client_secret",),
    ),
    Route(
        "POST",
        "/v1/setup_intents/{intent}",
        setup_intents.update,
        params.SetupIntentUpdateParams,
        setup_intents.UPDATE_READS,
    ),
    Route(
        "POST",
        "/v1/setup_intents/{intent}/confirm",
        setup_intents.confirm,
        params.SetupIntentConfirmParams,
        setup_intents.CONFIRM_READS,
    ),
    Route(
        "POST",
        "/v1/setup_intents/{intent}/cancel",
        setup_intents.cancel,
        params.SetupIntentCancelParams,
        ("cancellation_reason",),
    ),
    Route(
        "POST",
        "/v1/setup_intents/{intent}/verify_microdeposits",
        verification.verify_setup,
        params.SetupIntentVerifyMicrodepositsParams,
        verification.READS,
    ),
    Route(
        "GET",
        "/v1/charges",
        charges.list_all,
        params.ChargeListParams,
        ("customer", "payment_intent", *PAGE, "created"),
    ),
    Route("GET", "/v1/charges/{charge}", charges.retrieve, params.ChargeRetrieveParams),
    Route("GET", "/v1/mandates/{mandate}", mandates.retrieve, params.MandateRetrieveParams),
    Route(
        "GET",
        "/v1/events",
        events.list_all,
        params.EventListParams,
        ("type", "types", "delivery_success", "created", *PAGE),
    ),
    Route("GET", "/v1/events/{event}", events.retrieve, params.EventRetrieveParams),
    Route(
        "POST",
        "/v1/webhook_endpoints",
        webhook_endpoints.create,
        params.WebhookEndpointCreateParams,
        webhook_endpoints.CREATE_READS,
    ),
    Route("GET", "/v1/webhook_endpoints", webhook_endpoints.list_all, params.WebhookEndpointListParams, PAGE),
    Route(
        "GET",
        "/v1/webhook_endpoints/{webhook_endpoint}",
        webhook_endpoints.retrieve,
        params.WebhookEndpointRetrieveParams,
    ),
    Route(
        "POST",
        "/v1/webhook_endpoints/{webhook_endpoint}",
        webhook_endpoints.update,
        params.WebhookEndpointUpdateParams,
        webhook_endpoints.UPDATE_READS,
    ),
    Route(
        "DELETE",
        "/v1/webhook_endpoints/{webhook_endpoint}",
        webhook_endpoints.delete,
        params.WebhookEndpointDeleteParams,
    ),
)

_V2 = (
    Route(
        "GET",
        "/v2/core/events",
        core_events.list_all,
        core.EventListParams,
        ("created", "limit", "object_id", "types"),
        cursor=True,
    ),
    Route("GET", "/v2/core/events/{event}", core_events.retrieve, core.EventRetrieveParams),
    Route(
        "POST",
        "/v2/core/event_destinations",
        event_destinations.create,
        core.EventDestinationCreateParams,
        event_destinations.CREATE_READS,
    ),
    Route(
        "GET",
        "/v2/core/event_destinations",
        event_destinations.list_all,
        core.EventDestinationListParams,
        ("include", "limit"),
        cursor=True,
    ),
    Route(
        "GET",
        "/v2/core/event_destinations/{event_destination}",
        event_destinations.retrieve,
        core.EventDestinationRetrieveParams,
        ("include",),
    ),
    Route(
        "POST",
        "/v2/core/event_destinations/{event_destination}",
        event_destinations.update,
        core.EventDestinationUpdateParams,
        event_destinations.UPDATE_READS,
    ),
    Route(
        "DELETE",
        "/v2/core/event_destinations/{event_destination}",
        event_destinations.delete,
        core.EventDestinationDeleteParams,
    ),
    Route(
        "POST",
        "/v2/core/event_destinations/{event_destination}/disable",
        event_destinations.disable,
        core.EventDestinationDisableParams,
    ),
    Route(
        "POST",
        "/v2/core/event_destinations/{event_destination}/enable",
        event_destinations.enable,
        core.EventDestinationEnableParams,
    ),
    Route(
        "POST",
        "/v2/core/event_destinations/{event_destination}/ping",
        event_destinations.ping,
        core.EventDestinationPingParams,
    ),
)

ROUTES = (*_V1, *_V2)


def _pattern(template: str) -> re.Pattern[str]:
    return re.compile(re.sub(r"{(\w+)}", r"(?P<\1>[^/]+)", template) + r"\Z")


def _place(method: str, path: str) -> tuple[str, int, str]:
    """Say where a path is looked for: with its method, its length, and its first noun."""
    segments = path.split("/", 4)
    return method, path.count("/"), "/".join(segments[1:3])


_BY_PLACE: dict[tuple[str, int, str], list[tuple[re.Pattern[str], Route]]] = {}
for _route in ROUTES:
    _BY_PLACE.setdefault(_place(_route.method, _route.template), []).append(
        (_pattern(_route.template), _route)
    )


def find(method: str, path: str) -> tuple[Route, dict[str, str]] | None:
    """Give the route of a request and what its path names; None where the API has no such URL."""
    for pattern, route in _BY_PLACE.get(_place(method, path), ()):
        match = pattern.match(path)
        if match:
            return route, match.groupdict()
    return None


@cache
def templates() -> frozenset[str]:
    """Name every path of the API, as fault rules and the call log name them."""
    return frozenset(route.template for route in ROUTES)
