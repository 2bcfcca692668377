"""Every object the API answers with, as Stripe writes it.

Shapes of payment methods, customers, accounts, lists: [rec] clone-attached.yml and account-revoked.yml, field
by field. Capability, event, application, webhook endpoint, bank account: [doc] docs.stripe.com/api, and the
SDK's typed objects.
"""

from collections.abc import Sequence
from typing import Any

JsonObject = dict[str, Any]

CURRENCIES = {
    "AU": "aud",
    "CA": "cad",
    "CH": "chf",
    "GB": "gbp",
    "JP": "jpy",
    "NZ": "nzd",
    "SE": "sek",
    "US": "usd",
}
REQUIREMENTS = (
    "business_profile.product_description",
    "business_profile.support_phone",
    "business_profile.url",
    "external_account",
    "tos_acceptance.date",
    "tos_acceptance.ip",
)
"""What a new Standard account still owes ([rec] clone-attached.yml)."""


def nulls(*names: str) -> JsonObject:
    """Give an object whose fields are all null."""
    return dict.fromkeys(names)


def empty_address() -> JsonObject:
    """Give the address of someone who gave none."""
    return nulls("city", "country", "line1", "line2", "postal_code", "state")


def listing(url: str, data: Sequence[JsonObject], *, has_more: bool) -> JsonObject:
    """Wrap one page of objects."""
    return {"object": "list", "data": list(data), "has_more": has_more, "url": url}


def payment_method(
    object_id: str,
    *,
    created: int,
    kind: str,
    details: JsonObject,
    billing_details: JsonObject,
    metadata: JsonObject,
    allow_redisplay: str = "unspecified",
) -> JsonObject:
    """Give a payment method that nobody owns yet."""
    return {
        "id": object_id,
        "object": "payment_method",
        "allow_redisplay": allow_redisplay,
        "billing_details": {
            "address": empty_address(),
            **nulls("email", "name", "phone", "tax_id"),
            **billing_details,
        },
        kind: details,
        "created": created,
        "customer": None,
        "customer_account": None,
        "livemode": False,
        "metadata": metadata,
        "shared_payment_granted_token": None,
        "type": kind,
    }


def card(
    *,
    brand: str,
    country: str,
    funding: str,
    exp_month: int,
    exp_year: int,
    fingerprint: str,
    last4: str,
    cvc: bool,
) -> JsonObject:
    """Give the `card` part of a payment method; its security code is not checked before it is attached."""
    return {
        "brand": brand,
        "checks": {
            "address_line1_check": None,
            "address_postal_code_check": None,
            "cvc_check": "unchecked" if cvc else None,
        },
        "country": country,
        "display_brand": brand,
        "exp_month": exp_month,
        "exp_year": exp_year,
        "fingerprint": fingerprint,
        "funding": funding,
        "generated_from": None,
        "last4": last4,
        "networks": {"available": [brand], "preferred": None},
        "regulated_status": "unregulated",
        "three_d_secure_usage": {"supported": True},
        "wallet": None,
    }


def us_bank_account(*, holder: str, kind: str, fingerprint: str, last4: str, routing: str) -> JsonObject:
    """Give the `us_bank_account` part of a payment method."""
    return {
        "account_holder_type": holder,
        "account_type": kind,
        "bank_name": "STRIPE TEST BANK",
        "financial_connections_account": None,
        "fingerprint": fingerprint,
        "last4": last4,
        "networks": {"preferred": "ach", "supported": ["ach"]},
        "routing_number": routing,
        "status_details": {},
    }


def customer(object_id: str, *, created: int, invoice_prefix: str) -> JsonObject:
    """Give a customer about whom nothing is known."""
    return {
        "id": object_id,
        "object": "customer",
        "address": None,
        "balance": 0,
        "created": created,
        "currency": None,
        "customer_account": None,
        "default_source": None,
        "delinquent": False,
        "description": None,
        "discount": None,
        "email": None,
        "invoice_prefix": invoice_prefix,
        "invoice_settings": nulls("custom_fields", "default_payment_method", "footer", "rendering_options"),
        "livemode": False,
        "metadata": {},
        "name": None,
        "next_invoice_sequence": 1,
        "phone": None,
        "preferred_locales": [],
        "shipping": None,
        "tax_exempt": "none",
        "test_clock": None,
    }


def deleted(kind: str, object_id: str) -> JsonObject:
    """Give what is left of a deleted object."""
    return {"id": object_id, "object": kind, "deleted": True}


def requirements(owed: Sequence[str] = ()) -> JsonObject:
    """Give what Stripe wants to know: everything in `owed` is past due."""
    return {
        "alternatives": [],
        "current_deadline": None,
        "currently_due": list(owed),
        "disabled_reason": "requirements.past_due" if owed else None,
        "errors": [],
        "eventually_due": list(owed),
        "past_due": list(owed),
        "pending_verification": [],
    }


def account(
    object_id: str,
    *,
    created: int,
    country: str,
    email: str | None,
    kind: str | None,
    business_type: str | None,
) -> JsonObject:
    """Give a connected account one second old: nothing requested, nothing known, nothing enabled."""
    company = {} if business_type in (None, "individual") else {"company": _company(country)}
    return {
        "id": object_id,
        "object": "account",
        "business_profile": nulls(
            *(
                "annual_revenue",
                "estimated_worker_count",
                "mcc",
                "minority_owned_business_designation",
                "name",
            ),
            *(
                "product_description",
                "specified_commercial_transactions_act_url",
                "support_address",
                "support_email",
            ),
            *("support_phone", "support_url", "url"),
        ),
        "business_type": business_type,
        "capabilities": {},
        "charges_enabled": False,
        **company,
        "controller": {
            "fees": {"payer": "account"},
            "is_controller": True,
            "losses": {"payments": "stripe"},
            "requirement_collection": "stripe",
            "stripe_dashboard": {"type": "full"},
            "type": "application",
        },
        "country": country,
        "created": created,
        "default_currency": CURRENCIES.get(country, "eur"),
        "details_submitted": False,
        "email": email,
        "external_accounts": {
            **listing(f"/v1/accounts/{object_id}/external_accounts", [], has_more=False),
            "total_count": 0,
        },
        "future_requirements": requirements(),
        "metadata": {},
        "payouts_enabled": False,
        "requirements": requirements(REQUIREMENTS),
        "settings": _settings(),
        "tos_acceptance": nulls("date", "ip", "user_agent"),
        "type": kind,
    }


def _company(country: str) -> JsonObject:
    return {
        "address": {**empty_address(), "country": country},
        "directors_provided": False,
        "executives_provided": False,
        "name": None,
        "owners_provided": False,
        "tax_id_provided": False,
        "verification": {"document": nulls("back", "details", "details_code", "front")},
    }


def _settings() -> JsonObject:
    return {
        "bacs_debit_payments": nulls("display_name", "service_user_number"),
        "branding": nulls("icon", "logo", "primary_color", "secondary_color"),
        "card_issuing": {"tos_acceptance": nulls("date", "ip")},
        "card_payments": {
            "decline_on": {"avs_failure": False, "cvc_failure": False},
            **nulls("statement_descriptor_prefix", "statement_descriptor_prefix_kana"),
            **nulls("statement_descriptor_prefix_kanji"),
        },
        "dashboard": {"display_name": None, "timezone": "Etc/UTC"},
        "invoices": {"default_account_tax_ids": None, "hosted_payment_method_save": "offer"},
        "payments": nulls("statement_descriptor", "statement_descriptor_kana", "statement_descriptor_kanji"),
        "payouts": {
            "debit_negative_balances": True,
            "schedule": {"delay_days": 2, "interval": "daily"},
            "statement_descriptor": None,
        },
        "sepa_debit_payments": {},
    }


def capability(name: str, account_id: str) -> JsonObject:
    """Give a capability that nobody requested."""
    return {
        "id": name,
        "object": "capability",
        "account": account_id,
        "future_requirements": requirements(),
        "requested": False,
        "requested_at": None,
        "requirements": requirements(),
        "status": "unrequested",
    }


def application(object_id: str) -> JsonObject:
    """Give the platform as a connected account sees it."""
    return {"id": object_id, "object": "application", "name": "Stripe emulator platform"}


def webhook_endpoint(object_id: str, *, created: int, url: str, enabled_events: Sequence[str]) -> JsonObject:
    """Give an endpoint as it is shown after its creation: without its secret."""
    return {
        "id": object_id,
        "object": "webhook_endpoint",
        "api_version": None,
        "application": None,
        "created": created,
        "description": None,
        "enabled_events": list(enabled_events),
        "livemode": False,
        "metadata": {},
        "status": "enabled",
        "url": url,
    }


def event_destination(
    object_id: str,
    *,
    created: str,
    name: str,
    description: str,
    enabled_events: Sequence[str],
    event_payload: str,
    events_from: Sequence[str],
) -> JsonObject:
    """Give an event destination of API v2 ([doc] api/v2/core/event_destinations)."""
    return {
        "id": object_id,
        "object": "v2.core.event_destination",
        "created": created,
        "description": description,
        "enabled_events": list(enabled_events),
        "event_payload": event_payload,
        "events_from": list(events_from),
        "livemode": False,
        "metadata": {},
        "name": name,
        "snapshot_api_version": None,
        "status": "enabled",
        "status_details": None,
        "type": "webhook_endpoint",
        "updated": created,
    }
