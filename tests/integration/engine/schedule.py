"""One schedule: what happens at Stripe, what of it arrives, and workers that go on a step at a time.

Every operation is total: it picks what it is about by number from what there is, and does nothing where there
is nothing.
"""

import asyncio
import copy
from collections.abc import Coroutine, Sequence
from datetime import datetime, timedelta
from typing import Any, Final

from consumers.clone.worker import ShareWorker
from deploy.stripe_emulator.faults import Cut, Rule, Status
from deploy.stripe_emulator.model import Account, Call, PaymentMethod
from tests.integration.engine.actors import Actor
from tests.integration.engine.judge import Judge
from tests.integration.engine.oracle import Happened
from tests.integration.engine.playground import NEXT_DUE, Playground
from tests.integration.engine.stripe_here import OurCall
from tests.integration.engine.witness import Witness

ACTORS_AT_MOST: Final = 4
ATTACH: Final = "/v1/payment_methods/{payment_method}/attach"
LONG: Final = timedelta(hours=20)
LEASE: Final = timedelta(seconds=61)
STEPS_TO_REST: Final = 300

FAULTS: Final[dict[str, Status | Cut]] = {
    "429 lock": Status(429, "before", stored=False, body=None, headers={}),
    "429 rate": Status(
        429, "before", stored=False, body=None, headers={"Stripe-Rate-Limited-Reason": "global-rate"}
    ),
    "409": Status(409, "before", stored=False, body=None, headers={}),
    "500 before, stored": Status(500, "before", stored=True, body=None, headers={}),
    "500 before": Status(500, "before", stored=False, body=None, headers={}),
    "500 after, stored": Status(500, "after", stored=True, body=None, headers={}),
    "500 after": Status(500, "after", stored=False, body=None, headers={}),
    "503 after": Status(503, "after", stored=False, body=None, headers={}),
    "cut before": Cut("before"),
    "cut after": Cut("after"),
}

_TAKE_UP = """
WITH failed AS (UPDATE offshoot.clone SET taken_up = true WHERE state = 'failed' RETURNING share_id)
UPDATE offshoot.share SET mark = mark + 1, due_at = least(due_at, now())
WHERE id IN (SELECT share_id FROM failed) RETURNING id
"""


class Schedule:
    """What a schedule does, and what it is held to."""

    def __init__(self, play: Playground, destinations: str = "snapshot") -> None:
        self.play = play
        self.world = play.emulator.engine.worlds[False]
        self.happened = Happened()
        self.witness = Witness(play.emulator, play.world.sql, play.clock, self.happened)
        self.actors: list[Actor] = []
        self.destinations = destinations
        self.told: list[dict[str, Any]] = []
        """Every event that was taken in, for repeats."""
        self.untold: list[dict[str, Any]] = []
        self._heard: set[str] = set()
        self._fault: str | None = None
        play.http.watch = self._watch

    # -- at the platform

    async def connect(self, capable: bool) -> None:  # noqa: FBT001 -- drawn as a deed
        if len(self.world.connected) < 3:
            await self.play.stripe.connect_account(capable=capable)

    async def new_customer(self) -> None:
        if len(self.world.platform.customers) < 3:
            await self.play.stripe.new_customer()

    async def save_card(self, customer: int, token: str) -> None:
        if (owner := self._customer(customer)) is not None and len(self.happened.owners) < 5:
            card = await self.play.stripe.save_card(owner, token)
            self.happened.owners[card] = owner

    async def change_card(self, card: int, parameters: dict[str, str]) -> None:
        if (method := self._card(card)) is not None and method.customer is not None:
            await self.play.stripe.post(f"/v1/payment_methods/{method.id}", **parameters)

    async def renumber_card(self, card: int) -> None:
        """The network has given the card another number: it has another fingerprint."""
        if (method := self._card(card)) is not None and method.customer is not None:
            before = copy.deepcopy(method.body)
            method.body["card"]["fingerprint"] = f"{before['card']['fingerprint'][:-1]}~"
            call = Call(self.world, self.world.platform)
            call.emit("payment_method.automatically_updated", method.body, before=before)

    async def detach_card(self, card: int) -> None:
        if (method := self._card(card)) is not None and method.customer is not None:
            await self.play.stripe.post(f"/v1/payment_methods/{method.id}/detach")

    async def delete_customer(self, customer: int) -> None:
        if (owner := self._customer(customer)) is not None:
            await self.play.stripe.delete(f"/v1/customers/{owner}")

    async def share_everywhere(self, customer: int) -> None:
        await self.share(customer, [], everywhere=True)

    async def share(self, customer: int, accounts: Sequence[int], *, everywhere: bool = False) -> None:
        if (owner := self._customer(customer)) is None:
            return
        every = list(self.world.connected)
        named = sorted({every[number % len(every)] for number in accounts}) if every else []
        value = "*" if everywhere else ",".join(named)
        await self.play.stripe.post(f"/v1/customers/{owner}", **{"metadata[connected_accounts]": value})
        self.happened.granted.update((account, owner) for account in (every if everywhere else named))

    async def set_default(self, card: int) -> None:
        if (method := self._card(card)) is not None and method.customer is not None:
            await self.play.stripe.post(
                f"/v1/customers/{method.customer}",
                **{"invoice_settings[default_payment_method]": method.id},
            )

    # -- on the accounts

    async def capability(self, account: int, status: str) -> None:
        if (found := self._account(account)) is not None:
            await self.play.stripe.set_capability(found.id, status)

    async def authorize(self, account: int, access: bool) -> None:  # noqa: FBT001 -- drawn as a deed
        if (found := self._account(account)) is not None:
            self.happened.away.add(found.id)
            await self.play.stripe.control(
                "POST", f"accounts/{found.id}/{'authorize' if access else 'deauthorize'}"
            )

    async def decline(self, account: int, code: str) -> None:
        """The issuer says no to the next attach on the account."""
        if (found := self._account(account)) is not None:
            error = {"type": "card_error", "code": "card_declined", "decline_code": code, "message": "No."}
            action = {"kind": "status", "status": 402, "when": "before", "body": {"error": error}}
            fault = {"method": "POST", "route": ATTACH, "account": found.id, "count": 1, "action": action}
            await self.play.stripe.control("POST", "faults", fault)

    async def detach_there(self, clone: int) -> None:
        if (found := self._attached_there(clone)) is not None:
            account, method = found
            if method.id in self.witness.made:
                self.happened.detached_there.add(self.witness.made[method.id])
            await self._there(account, "POST", f"/v1/payment_methods/{method.id}/detach")

    async def delete_there(self, customer: int) -> None:
        living = [
            (account, id_)
            for account in self.world.connected.values()
            for id_, each in account.customers.items()
            if not each.deleted
        ]
        if living:
            account, id_ = living[customer % len(living)]
            if id_ in self.witness.customers:
                self.happened.customer_deleted_there.add(self.witness.customers[id_])
            await self._there(account, "DELETE", f"/v1/customers/{id_}")

    async def default_there(self, clone: int) -> None:
        if (found := self._attached_there(clone)) is not None:
            account, method = found
            await self._there(
                account,
                "POST",
                f"/v1/customers/{method.customer}",
                **{"invoice_settings[default_payment_method]": method.id},
            )

    async def change_there(self, clone: int, year: str) -> None:
        """Somebody there, or Stripe's updater."""
        if (found := self._attached_there(clone)) is not None:
            account, method = found
            self.happened.changed_there.add(method.id)
            await self._there(account, "POST", f"/v1/payment_methods/{method.id}", **{"card[exp_year]": year})

    async def save_there(self, customer: int, token: str) -> None:
        """A card is saved on a connected customer directly."""
        living = [
            (account, id_)
            for account in self.world.connected.values()
            for id_, each in account.customers.items()
            if not each.deleted and account.authorized
        ]
        if living and sum(len(each.payment_methods) for each in self.world.connected.values()) < 12:
            account, id_ = living[customer % len(living)]
            saved = await self.play.stripe.post(
                "/v1/payment_methods", account.id, type="card", **{"card[token]": token}
            )
            await self.play.stripe.post(f"/v1/payment_methods/{saved['id']}/attach", account.id, customer=id_)

    # -- what arrives

    async def deliver(self, numbers: Sequence[int] | None) -> None:
        """Take some of what was not told yet in, in this order, as one batch; None: everything."""
        await self.play.take_in(self._choose(numbers))

    async def deliver_at_once(self, one: Sequence[int], other: Sequence[int]) -> None:
        """Two batches by two consumers, at the same time."""
        batches = [self._choose(one), self._choose(other)]
        await asyncio.gather(*[self._until_taken_in(batch) for batch in batches])

    async def repeat(self, numbers: Sequence[int]) -> None:
        """Take some in again."""
        if self.told:
            await self.play.take_in([self.told[number % len(self.told)] for number in numbers])

    def _hear(self) -> None:
        """What Stripe has made since comes as its destinations are: snapshots, thin ones, or both."""
        accounts = [self.world.platform, *self.world.connected.values()]
        for event in [event for account in accounts for event in account.events.values()]:
            if event.thin_id not in self._heard:
                self._heard.add(event.thin_id)
                if self.destinations != "thin":
                    self.untold.append(event.snapshot())
                if self.destinations != "snapshot":
                    self.untold.append(event.notification())

    def _choose(self, numbers: Sequence[int] | None) -> list[dict[str, Any]]:
        self._hear()
        if numbers is None:
            numbers = [0] * len(self.untold)
        numbers = numbers[: len(self.untold)]
        chosen = [self.untold.pop(number % len(self.untold)) for number in numbers]
        self.told += chosen
        return chosen

    async def _until_taken_in(self, events: list[dict[str, Any]]) -> None:
        await self.play.take_in(events)

    # -- the engine

    async def claim(self, limit: int, steps: int) -> None:
        """Start workers, and let each go some steps."""
        await self.play.world.expand()
        if room := max(0, min(limit, ACTORS_AT_MOST - len(self.actors))):
            for lease in await self.play.tools.shares.claim(room):
                await self._start(ShareWorker(self.play.tools, lease).run(), steps)

    async def read_doubt(self, steps: int) -> None:
        """Start a reader, and let it go some steps."""
        if len(self.actors) < ACTORS_AT_MOST:
            for refresh in await self.play.projections.claim_refreshes(1):
                await self._start(self.play.reader._read(refresh), steps)  # noqa: SLF001
            for reading in await self.play.projections.claim_connected_readings(1):
                await self._start(self.play.connected_reader.read(reading), steps)

    async def step(self, actor: int, steps: int) -> None:
        if self.actors:
            chosen = self.actors[actor % len(self.actors)]
            for _ in range(steps):
                if not await chosen.step():
                    break
            self._forget_ended()

    async def crash(self, actor: int) -> None:
        if self.actors:
            await self.actors[actor % len(self.actors)].crash()
            self._forget_ended()

    async def pass_time(self, by: timedelta) -> None:
        """Whoever is about to send cannot have stood there for a day: such a freeze nobody outlives."""
        if by >= LONG:
            for actor in self.actors:
                await actor.crash()
            self._forget_ended()
        await self.play.clock.advance(by)

    def fault(self, kind: str) -> None:
        """The next call of the engine's meets this."""
        self._fault = kind

    # -- the end

    async def come_to_rest(self) -> None:
        """Nothing fails any more, everything arrives: until nothing is left to do."""
        self._fault = None
        late = self.actors[1::2]
        for actor in self.actors[::2]:
            await actor.crash()
        self.actors = []
        await self.rest()
        for actor in late:
            await actor.finish()
        await self.rest()

    async def rest(self) -> None:
        await self.play.prepare()
        for _ in range(STEPS_TO_REST):
            self._hear()
            events, self.untold = self.untold, []
            self.told += events
            await self.play.take_in(events)
            busy = len(events) + await self.play.world.expand()
            busy += await self.play.read() + await self.play.work()
            await self.witness.check()
            if busy:
                continue
            due: datetime | None = await self.play.world.sql.fetchval(NEXT_DUE)
            if due is None:
                return
            await self.play.clock.advance(max(due - self.play.now(), timedelta(seconds=1)))
        raise AssertionError("it never comes to rest")

    async def judge(self) -> None:
        """Hold the end against what must have become of it; what failed is taken up once more before."""
        if await self.play.world.sql.fetch(_TAKE_UP):
            await self.rest()
        await Judge(self.play, self.witness, self.happened).judge()

    # -- helpers

    async def _start(self, work: Coroutine[Any, Any, Any], steps: int) -> None:
        self.actors.append(Actor(work))
        await self.step(len(self.actors) - 1, steps)

    def _forget_ended(self) -> None:
        self.actors = [actor for actor in self.actors if actor.at is not None]

    async def _watch(self, call: OurCall, answer: Any) -> Any:
        if self._fault is None:
            return await self.witness.watch(call, answer)
        kind, self._fault = self._fault, None
        rule = Rule(FAULTS[kind])
        self.play.emulator.engine.faults.add(rule)
        try:
            return await self.witness.watch(call, answer)
        finally:
            self.play.emulator.engine.faults.rules.pop(rule.id, None)

    async def _there(self, account: Account, method: str, path: str, **parameters: str) -> None:
        """What somebody on the account does there: whether the platform has access does not matter."""
        access, account.authorized = account.authorized, True
        try:
            if method == "DELETE":
                await self.play.stripe.delete(path, account.id)
            else:
                await self.play.stripe.post(path, account.id, **parameters)
        finally:
            account.authorized = access

    def _customer(self, number: int) -> str | None:
        living = [id_ for id_, each in self.world.platform.customers.items() if not each.deleted]
        return living[number % len(living)] if living else None

    def _card(self, number: int) -> PaymentMethod | None:
        cards = list(self.happened.owners)
        return self.world.platform.payment_methods[cards[number % len(cards)]] if cards else None

    def _account(self, number: int) -> Account | None:
        accounts = list(self.world.connected.values())
        return accounts[number % len(accounts)] if accounts else None

    def _attached_there(self, number: int) -> tuple[Account, PaymentMethod] | None:
        attached = [
            (account, method)
            for account in self.world.connected.values()
            for method in account.payment_methods.values()
            if method.customer is not None
        ]
        return attached[number % len(attached)] if attached else None
