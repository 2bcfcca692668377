"""The state: accounts, and what each of them has.

An object is kept as the JSON the API shows, beside the few facts that the API hides (consumed, the decline
that waits, the secret). Nothing here knows HTTP, and nothing waits.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from deploy.stripe_emulator import ids
from deploy.stripe_emulator.behaviour import Behaviour
from deploy.stripe_emulator.clock import Clock
from deploy.stripe_emulator.events.changes import impact, previous_attributes
from deploy.stripe_emulator.events.destination import Destination, Destinations
from deploy.stripe_emulator.events.event import KEPT_MS, Event, related_object
from deploy.stripe_emulator.events.faults import EventFaults, Lost, Twice
from deploy.stripe_emulator.shapes import JsonObject
from deploy.stripe_emulator.texts import compact, in_live_mode


@dataclass(slots=True)
class PaymentMethod:
    """A payment method, with what the API does not show.

    `consumed` once it was charged or cloned without a customer, or detached: of no more use. `verified` is
    false for a bank account whose owner nobody has asked, `set_up` true once its holder has agreed to
    payments off session. `place` is its place among all of its account.
    """

    body: JsonObject
    behaviour: Behaviour = field(default_factory=Behaviour)
    consumed: bool = False
    verified: bool = True
    set_up: bool = False
    place: int = 0

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
    """A customer, and what is attached to it; after its deletion only its id is shown."""

    body: JsonObject
    deleted: bool = False
    payment_methods: dict[str, PaymentMethod] = field(default_factory=dict)


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
    """The platform or a connected account; `authorized` is false once it has revoked access.

    Of an account that is `of_v2` API v2 tells as well.
    """

    id: str
    body: JsonObject
    authorized: bool = True
    deleted: bool = False
    of_v2: bool = False
    customers: dict[str, Customer] = field(default_factory=dict)
    payment_methods: dict[str, PaymentMethod] = field(default_factory=dict)
    capabilities: dict[str, JsonObject] = field(default_factory=dict)
    events: dict[str, Event] = field(default_factory=dict)
    thin_events: dict[str, Event] = field(default_factory=dict)
    payment_intents: dict[str, Intent] = field(default_factory=dict)
    setup_intents: dict[str, Intent] = field(default_factory=dict)
    charges: dict[str, JsonObject] = field(default_factory=dict)
    mandates: dict[str, JsonObject] = field(default_factory=dict)

    def attached(self, customer_id: str) -> list[PaymentMethod]:
        """Give a customer's payment methods, oldest first."""
        customer = self.customers.get(customer_id)
        methods = () if customer is None else customer.payment_methods.values()
        return sorted(methods, key=lambda each: each.place)

    def add(self, method: PaymentMethod) -> None:
        """Take in a new payment method."""
        method.place = len(self.payment_methods)
        self.payment_methods[method.id] = method

    def attach(self, method: PaymentMethod, customer_id: str) -> None:
        """Let a payment method be a customer's; a customer that is not there is a KeyError."""
        self.customers[customer_id].payment_methods[method.id] = method
        method.body["customer"] = customer_id

    def detach(self, method: PaymentMethod) -> None:
        """Let a payment method be nobody's again."""
        del self.customers[str(method.customer)].payment_methods[method.id]
        method.body["customer"] = None

    def forget_events(self, now_ms: int) -> None:
        """Forget the events that are too old; they stand in the order they happened."""
        for events in (self.events, self.thin_events):
            while events:
                oldest = next(iter(events))
                if events[oldest].created_ms > now_ms - KEPT_MS:
                    break
                del events[oldest]


@dataclass(slots=True)
class World:
    """Everything the emulator remembers of one mode, and the events it has not handed to delivery yet.

    `lost` are the events that a fault kept from being generated, `addressed` those for one destination alone.
    """

    platform: Account
    application_id: str
    api_version: str
    clock: Clock
    livemode: bool = False
    connected: dict[str, Account] = field(default_factory=dict)
    settling: list[tuple[Account, Intent]] = field(default_factory=list)
    destinations: Destinations = field(default_factory=Destinations)
    event_faults: EventFaults = field(default_factory=EventFaults)
    lost: list[JsonObject] = field(default_factory=list)
    undelivered: list[Event] = field(default_factory=list)
    addressed: list[tuple[Event, Destination]] = field(default_factory=list)

    def account(self, account_id: str) -> Account | None:
        """Give an account the platform may act for, or None."""
        if account_id == self.platform.id:
            return self.platform
        account = self.connected.get(account_id)
        return account if account and account.authorized and not account.deleted else None

    def now(self) -> int:
        """Say the time in the whole seconds that objects carry."""
        return int(self.clock.now_s())

    def now_ms(self) -> int:
        """Say the time as finely as API v2 tells it."""
        return int(self.clock.now_s() * 1000)

    def take_undelivered(self) -> list[Event]:
        """Hand over the events that happened since the last time."""
        events, self.undelivered = self.undelivered, []
        return events

    def take_addressed(self) -> list[tuple[Event, Destination]]:
        """Hand over the events for one destination alone."""
        addressed, self.addressed = self.addressed, []
        return addressed

    def record(self, event: Event, on: Account) -> None:
        """Keep an event of an account, and deliver it after the call; those too old are forgotten."""
        if event.id is not None:
            wanting = self.destinations.wanting(event)
            event.pending = frozenset(each.id for each in wanting if each.payload == "snapshot")
            on.events[event.id] = event
        on.thin_events[event.thin_id] = event
        on.forget_events(self.now_ms())
        self.undelivered.append(event)

    def tell(self, kind: str, related: JsonObject | None, data: JsonObject | None = None) -> Event:
        """Make an event of API v2's own; such are the platform's, of a v2 account too (STRIPE.md 2)."""
        event = Event(
            type=kind,
            id=None,
            thin_id=ids.thin_event_id(livemode=self.livemode),
            created_ms=self.now_ms(),
            api_version=self.api_version,
            livemode=self.livemode,
            owner=self.platform.id,
            account=None,
            request={"id": None, "idempotency_key": None},
            related=related,
            data=compact(data),
        )
        self.platform.thin_events[event.thin_id] = event
        return event

    def announce(self, kind: str, related: JsonObject | None, data: JsonObject | None = None) -> Event:
        """Make an event of API v2's own, to be delivered to whoever wants it."""
        event = self.tell(kind, related, data)
        self.undelivered.append(event)
        return event

    def tell_of_account(self, account: Account, kind: str, data: JsonObject | None = None) -> Event:
        """Make an event of API v2 about an account; what it is about is named, not where it happened."""
        url = f"/v2/core/accounts/{account.id}"
        return self.announce(kind, {"id": account.id, "type": "v2.core.account", "url": url}, data)


@dataclass(slots=True)
class Call:
    """One call that is being executed: who acts, with what, and what came of it.

    `effects` are the changes it made, in the order they happened, in the words of the call log.
    `require_read` refuses with 403 where the call's key may not read an object of some kind (`customer`).
    """

    world: World
    account: Account
    path: dict[str, str] = field(default_factory=dict)
    parameters: dict[str, Any] = field(default_factory=dict)
    request_id: str | None = None
    idempotency_key: str | None = None
    effects: list[str] = field(default_factory=list)
    require_read: Callable[[str], None] = field(default=lambda _: None)

    @property
    def application(self) -> str | None:
        """Name the platform as an object of a connected account does; its own objects name nobody."""
        return None if self.account is self.world.platform else self.world.application_id

    def emit(self, kind: str, body: JsonObject, *, before: JsonObject | None = None) -> None:
        """Record an event on the acting account; with `before`, what changed, and no event if nothing did."""
        changes = None if before is None else previous_attributes(before, body)
        if changes == {}:
            return
        world, account = self.world, self.account
        connected = None if account is world.platform else account.id
        fault = world.event_faults.of_generation(kind, connected)
        if isinstance(fault, Lost):
            world.lost.append(impact(kind, body, connected))
            return
        for _ in range(2 if isinstance(fault, Twice) else 1):
            world.record(self._event(kind, body, changes, connected), account)

    def _event(self, kind: str, body: JsonObject, changes: JsonObject | None, account: str | None) -> Event:
        world, owner = self.world, self.account.id
        data = {"object": body} if changes is None else {"object": body, "previous_attributes": changes}
        return Event(
            type=kind,
            id=ids.object_id("evt", owner, world.now()),
            thin_id=ids.thin_event_id(livemode=world.livemode),
            created_ms=world.now_ms(),
            api_version=world.api_version,
            livemode=world.livemode,
            owner=owner,
            account=account,
            request={"id": self.request_id, "idempotency_key": self.idempotency_key},
            related=related_object(body),
            data=compact(in_live_mode(data) if world.livemode else data),
        )
