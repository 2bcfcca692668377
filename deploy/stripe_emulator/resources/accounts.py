"""Accounts and their capabilities ([doc] docs.stripe.com/api/accounts, api/capabilities; STRIPE.md 2)."""

import copy
from dataclasses import replace
from typing import Any

from deploy.stripe_emulator import ids, metadata, pages, shapes
from deploy.stripe_emulator.errors import invalid_value, missing_object
from deploy.stripe_emulator.model import Account, Call
from deploy.stripe_emulator.shapes import JsonObject

CAPABILITIES = (
    "acss_debit_payments",
    "bacs_debit_payments",
    "card_payments",
    "legacy_payments",
    "link_payments",
    "sepa_debit_payments",
    "transfers",
    "us_bank_account_ach_payments",
)
"""The capabilities the emulator knows."""

V2_NAMES = {"us_bank_account_ach_payments": "ach_debit_payments"}
"""What Accounts v2 calls a capability, where it is something else."""

UPDATE_READS = ("email", "metadata", "capabilities", "business_profile")
CREATE_READS = ("type", "controller", "country", "business_type", *UPDATE_READS)

STATUSES = ("active", "inactive", "pending", "unrequested")


def create(call: Call) -> JsonObject:
    """Make a connected account. What it asks for is `inactive` until the control side moves it."""
    world, parameters = call.world, call.parameters
    requested = _requested(parameters)
    created = world.now()
    account_id = ids.account_id(created)
    body = shapes.account(
        account_id,
        created=created,
        country=parameters.get("country") or world.platform.body["country"],
        email=parameters.get("email") or None,
        kind=parameters.get("type", "standard"),
        business_type=parameters.get("business_type") or None,
    )
    _control(body, parameters)
    _present(body, parameters)
    body["metadata"] = metadata.merge({}, parameters.get("metadata", {}))
    account = Account(account_id, body)
    world.connected[account_id] = account
    call.effects.append("account.created")
    _request(replace(call, account=account), requested)
    return body


def own(call: Call) -> JsonObject:
    """Show the account that acts."""
    return call.account.body


def retrieve(call: Call) -> JsonObject:
    """Show an account."""
    return _named(call).body


def list_connected(call: Call) -> JsonObject:
    """List the connected accounts."""
    created = call.parameters.get("created")
    bodies = (
        each.body for each in reversed(call.world.connected.values()) if each.authorized and not each.deleted
    )
    return pages.page(
        "/v1/accounts",
        "account",
        bodies,
        call.parameters,
        keep=lambda body: pages.created_within(body, created),
    )


def update(call: Call) -> JsonObject:
    """Change an account's metadata, business profile, address of mail and requested capabilities."""
    account, parameters = _named(call), call.parameters
    requested = _requested(parameters)
    merged = metadata.merge(account.body["metadata"], parameters.get("metadata", {}))
    before = copy.deepcopy(account.body)
    account.body["metadata"] = merged
    _present(account.body, parameters)
    if "email" in parameters:
        account.body["email"] = parameters["email"] or None
    on_account = replace(call, account=account)
    if account.body != before:
        call.effects.append("account.updated")
        on_account.emit("account.updated", account.body, before=before)
    _request(on_account, requested)
    return account.body


def delete(call: Call) -> JsonObject:
    """Delete an account: nobody may act for it afterwards ([rec] clone-attached.yml, the last exchange).

    The event that tells of it is the one by which the Stripe CLI's `trigger account.application.deauthorized`
    expects to cause it.
    """
    account = _named(call)
    replace(call, account=account).emit(
        "account.application.deauthorized", shapes.application(call.world.application_id)
    )
    account.deleted = True
    call.effects.append("account.deleted")
    return shapes.deleted("account", account.id)


def list_capabilities(call: Call) -> JsonObject:
    """List what an account has asked for."""
    account = _named(call)
    url = f"/v1/accounts/{account.id}/capabilities"
    return shapes.listing(url, list(account.capabilities.values()), has_more=False)


def retrieve_capability(call: Call) -> JsonObject:
    """Show one capability, requested or not."""
    account, name = _named(call), _known(call.path["capability"])
    return account.capabilities.get(name) or shapes.capability(name, account.id)


def update_capability(call: Call) -> JsonObject:
    """Ask for a capability, or give it up."""
    account, name = _named(call), _known(call.path["capability"])
    if "requested" in call.parameters:
        _request(replace(call, account=account), {name: call.parameters["requested"]})
    return account.capabilities.get(name) or shapes.capability(name, account.id)


def move_capability(call: Call, name: str, status: str) -> None:
    """Set a capability of the acting account; `charges_enabled` follows; both events are emitted."""
    account = call.account
    before = copy.deepcopy(account.body)
    capability = account.capabilities.setdefault(name, shapes.capability(name, account.id))
    old = copy.deepcopy(capability)
    wanted = status != "unrequested"
    if capability["requested"] != wanted:
        capability["requested"], capability["requested_at"] = wanted, call.world.now() if wanted else None
    capability["status"] = status
    capability["requirements"] = shapes.requirements(shapes.REQUIREMENTS if status == "inactive" else ())
    if wanted:
        account.body["capabilities"][name] = status
    else:
        account.body["capabilities"].pop(name, None)
    _follow(account.body)
    call.emit("capability.updated", capability, before=old)
    call.emit("account.updated", account.body, before=before)
    if account.of_v2 and capability != old:
        _tell_v2(call, name)


def _tell_v2(call: Call, capability: str) -> None:
    """Tell of a moved capability as API v2 does (STRIPE.md 2)."""
    of_v2 = {"updated_capability": V2_NAMES.get(capability, capability)}
    kind = "v2.core.account[configuration.merchant].capability_status_updated"
    call.world.tell_of_account(call.account, kind, of_v2)


def _control(body: JsonObject, parameters: dict[str, Any]) -> None:
    """Say who pays and who answers for an account, in place of a type ([doc] connect/accounts)."""
    if "controller" in parameters:
        if "type" in parameters:
            raise invalid_value(
                "controller", "You may only specify one of these parameters: type, controller."
            )
        body["controller"].update(parameters["controller"])
        body["type"] = "none"


def _present(body: JsonObject, parameters: dict[str, Any]) -> None:
    """Say how an account shows itself to its customers; an empty text unsets."""
    given = parameters.get("business_profile", {})
    body["business_profile"].update({name: None if value == "" else value for name, value in given.items()})


def _follow(body: JsonObject) -> None:
    payments = (name for name in body["capabilities"] if name != "transfers")
    enabled = any(body["capabilities"][name] == "active" for name in payments)
    body["charges_enabled"] = body["payouts_enabled"] = body["details_submitted"] = enabled
    body["requirements"] = shapes.requirements(() if enabled else shapes.REQUIREMENTS)


def _request(call: Call, requested: dict[str, bool]) -> None:
    for name, wanted in requested.items():
        has = name in call.account.body["capabilities"]
        if wanted != has:
            call.effects.append("capability.requested" if wanted else "capability.unrequested")
            move_capability(call, name, "inactive" if wanted else "unrequested")


def _requested(parameters: dict[str, Any]) -> dict[str, bool]:
    asked = parameters.get("capabilities", {})
    for name in asked:
        if name not in CAPABILITIES:
            raise invalid_value(
                f"capabilities[{name}]", f"The capability '{name}' is not one the emulator knows."
            )
    return {name: value["requested"] for name, value in asked.items() if "requested" in value}


def _known(name: str) -> str:
    if name not in CAPABILITIES:
        raise missing_object("capability", name, "capability", in_path=True)
    return name


def _named(call: Call) -> Account:
    """Give the account in the path; that the platform may act for it was settled before."""
    account = call.world.account(call.path["account"])
    if account is None:
        raise missing_object("account", call.path["account"], "account", in_path=True)
    return account
