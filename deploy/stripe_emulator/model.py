"""The state: accounts, and what each of them has.

An object is kept as the JSON the API shows, beside the few facts that the API hides (consumed, the decline
that waits, the secret). Nothing here knows HTTP, and nothing waits.
"""

import copy
from dataclasses import dataclass, field
from typing import Any

from deploy.stripe_emulator import ids, shapes
from deploy.stripe_emulator.behaviour import Behaviour
from deploy.stripe_emulator.clock import Clock
from deploy.stripe_emulator.shapes import JsonObject


@dataclass(slots=True)
class PaymentMethod:
    """A payment method, with what the API does not show.

    `consumed` once it was charged or cloned without a customer, or detached: of no more use. `verified` is
    false for a bank account whose owner nobody has asked, `set_up` true once its holder has agreed to
    payments off session.
    """

    body: JsonObject
    behaviour: Behaviour = field(default_factory=Behaviour)
    consumed: bool = False
    verified: bool = True
    set_up: bool = False

    @property
    def id(self) -> str:
        """Its `pm_…`."""
        return str(self.body["id"])

    @property
    def customer(self) -> str | None:
        """The customer it is attached to."""
        owner = self.body["customer"]
        return None if owner is None else str(owner)


@dataclass(slots=True)
class Customer:
    """A customer; after its deletion only its id is shown."""

    body: JsonObject
    deleted: bool = False


@dataclass(slots=True)
class Intent:
    """A payment intent or a setup intent, with what was said when it was confirmed.

    `attempts_left` counts the guesses at a microdeposit; `settles_s` is when the bank answers a debit, in
    seconds of the emulator's clock.
    """

    body: JsonObject
    off_session: bool = False
    refuses_action: bool = False
    mandate: str | None = None
    attempts_left: int = 10
    settles_s: float | None = None

    @property
    def id(self) -> str:
        """Its `pi_…` or `seti_…`."""
        return str(self.body["id"])

    @property
    def status(self) -> str:
        """How far it has got."""
        return str(self.body["status"])


@dataclass(slots=True)
class Account:
    """The platform or a connected account; `authorized` is false once it has revoked access."""

    id: str
    body: JsonObject
    authorized: bool = True
    deleted: bool = False
    customers: dict[str, Customer] = field(default_factory=dict)
    payment_methods: dict[str, PaymentMethod] = field(default_factory=dict)
    capabilities: dict[str, JsonObject] = field(default_factory=dict)
    events: dict[str, JsonObject] = field(default_factory=dict)
    payment_intents: dict[str, Intent] = field(default_factory=dict)
    setup_intents: dict[str, Intent] = field(default_factory=dict)
    charges: dict[str, JsonObject] = field(default_factory=dict)
    mandates: dict[str, JsonObject] = field(default_factory=dict)

    def attached(self, customer_id: str) -> list[PaymentMethod]:
        """Give a customer's payment methods, oldest first."""
        return [each for each in self.payment_methods.values() if each.customer == customer_id]


@dataclass(slots=True)
class WebhookEndpoint:
    """Where events go: the platform's own, or with `connect` those of its connected accounts."""

    body: JsonObject
    secret: str
    connect: bool

    def wants(self, event: JsonObject) -> bool:
        """Say whether this endpoint is to get an event."""
        enabled = self.body["enabled_events"]
        return self.connect == ("account" in event) and ("*" in enabled or event["type"] in enabled)


@dataclass(slots=True)
class World:
    """Everything the emulator remembers, and the events it has not handed to delivery yet."""

    platform: Account
    application_id: str
    api_version: str
    clock: Clock
    connected: dict[str, Account] = field(default_factory=dict)
    endpoints: dict[str, WebhookEndpoint] = field(default_factory=dict)
    undelivered: list[JsonObject] = field(default_factory=list)
    settling: list[tuple[Account, Intent]] = field(default_factory=list)

    def account(self, account_id: str) -> Account | None:
        """Give an account the platform may act for, or None."""
        if account_id == self.platform.id:
            return self.platform
        account = self.connected.get(account_id)
        return account if account and account.authorized and not account.deleted else None

    def now(self) -> int:
        """Say the time in the whole seconds that objects carry."""
        return int(self.clock.now_s())

    def take_undelivered(self) -> list[JsonObject]:
        """Hand over the events that happened since the last time."""
        events, self.undelivered = self.undelivered, []
        return events


@dataclass(slots=True)
class Call:
    """One call that is being executed: who acts, with what, and what came of it.

    `effects` are the changes it made, in the order they happened, in the words of the call log.
    """

    world: World
    account: Account
    path: dict[str, str] = field(default_factory=dict)
    parameters: dict[str, Any] = field(default_factory=dict)
    request_id: str | None = None
    idempotency_key: str | None = None
    effects: list[str] = field(default_factory=list)

    @property
    def application(self) -> str | None:
        """Name the platform as an object of a connected account does; its own objects name nobody."""
        return None if self.account is self.world.platform else self.world.application_id

    def emit(self, kind: str, body: JsonObject, *, before: JsonObject | None = None) -> None:
        """Record an event on the acting account; with `before`, what changed, and no event if nothing did."""
        data: JsonObject = {"object": body}
        if before is not None:
            changes = previous_attributes(before, body)
            if not changes:
                return
            data["previous_attributes"] = changes
        world, account = self.world, self.account
        event = shapes.event(
            ids.object_id("evt", account.id, world.now()),
            kind=kind,
            created=world.now(),
            api_version=world.api_version,
            data=data,
            request={"id": self.request_id, "idempotency_key": self.idempotency_key},
            account_id=None if account is world.platform else account.id,
        )
        event["pending_webhooks"] = sum(endpoint.wants(event) for endpoint in world.endpoints.values())
        account.events[event["id"]] = event
        world.undelivered.append(event)


def previous_attributes(before: JsonObject, after: JsonObject) -> JsonObject:
    """Give the old values of what differs, key by key; null for a key that is new.

    Source: [doc] api/events/object.
    """
    changes: JsonObject = {}
    for key in before.keys() | after.keys():
        old, new = before.get(key), after.get(key)
        if old == new:
            continue
        if isinstance(old, dict) and isinstance(new, dict):
            changes[key] = previous_attributes(old, new)
        else:
            changes[key] = copy.deepcopy(old)
    return changes
