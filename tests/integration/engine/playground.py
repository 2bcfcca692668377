"""The whole engine in one process, with real Postgres and the Stripe emulator: events in, clones out.

No Kafka, no network and no waiting: a test says what happens at Stripe, and lets everything come to rest.
"""

import json
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import msgspec

from consumers.clone.policy import Policy
from consumers.clone.tools import Tools
from consumers.clone.worker import Ending, ShareWorker
from consumers.direct.reading import ConnectedReadingLane
from consumers.ingest.batch import digest
from consumers.projection.observe import Reading
from consumers.projection.spread import Priority
from consumers.refresh import RefreshLane
from consumers.store.database import Database
from consumers.store.limiter import Limiter
from consumers.store.outbox import Outbox
from consumers.stripe_calls import KeyWatch, StripeCalls
from deploy.stripe_emulator.app import Emulator, Options, build
from deploy.stripe_emulator.clock import Clock
from schemas.records import PaymentMethodRecord
from service.runtime.kafka.consumer import Record
from service.runtime.metrics import Metrics
from tests.integration.engine.boundaries import SteppedProjections, SteppedShares
from tests.integration.engine.clock import VirtualClock
from tests.integration.engine.stripe_here import GatewayHere, Here, SdkHere
from tests.integration.store.world import LEASE_S, World
from tests.support.platform import Platform

READING = Reading(metadata_key="connected_accounts", profile_fields=("name", "email"), livemode=False)
POLICY = Policy(retry_for=timedelta(hours=72))
ROUNDS_AT_MOST = 60
SHARES_AT_MOST = 400
SETTLED = timedelta(seconds=5)
"""Doubts are read after 2 s: `settle` lets them pass."""

NEXT_DUE = """
SELECT min(at) FROM (
    SELECT min(greatest(due_at, lease_end)) AS at FROM offshoot.share WHERE due_at IS NOT NULL
    UNION ALL SELECT min(refresh_at) FROM offshoot.account WHERE NOT revoked
    UNION ALL SELECT min(refresh_at) FROM offshoot.customer
    UNION ALL SELECT min(refresh_at) FROM offshoot.payment_method
    UNION ALL SELECT min(greatest(due_at, coalesce(lease_end, due_at))) FROM offshoot.command
    UNION ALL SELECT min(r.due_at) FROM offshoot.connected_reading AS r
        JOIN offshoot.account AS a ON a.id = r.account_id WHERE a.disconnected_at IS NULL
) AS next
"""


class Unlimited(Limiter):
    """Every call has its turn at once."""

    async def take(self, priority: Priority = Priority.URGENT) -> bool:
        """Take it."""
        del priority
        return True


@asynccontextmanager
async def playground(world: World, pool: Database, **choices: Any) -> AsyncIterator["Playground"]:
    """Make one; `choices` go to the policy, or to the tools where they are not of the policy."""
    clock = VirtualClock(world.sql)
    await clock.reset()
    emulator = build(Options(clock=Clock(clock.seconds)))
    async with Platform("http://127.0.0.1", Here(emulator)) as platform:
        yield Playground(world, pool, platform, emulator=emulator, clock=clock, choices=choices)


class Playground:
    """What happens at Stripe, and what the engine makes of it."""

    def __init__(
        self,
        world: World,
        pool: Database,
        platform: Platform,
        *,
        emulator: Emulator,
        clock: VirtualClock,
        choices: dict[str, Any],
    ) -> None:
        self.world = world
        self.stripe = platform
        self.emulator = emulator
        self.clock = clock
        self.now = clock.now
        self.http = SdkHere(emulator)
        self._told: set[str] = set()
        self.metrics = metrics = Metrics()
        gateway = GatewayHere(self.http)
        watch = KeyWatch(gateway, metrics, clock=clock.seconds)
        calls = StripeCalls(gateway, Unlimited(pool, name="stripe", per_second=1), watch, metrics)
        of_policy = {name: choices.pop(name) for name in list(choices) if hasattr(POLICY, name)}
        self.projections = SteppedProjections(pool, world.direct)
        self.tools = Tools(
            shares=SteppedShares(pool, Outbox(pool), lease_s=LEASE_S, livemode=False),
            projections=self.projections,
            calls=calls,
            policy=replace(POLICY, **of_policy),
            observe=False,
            installation="",
            now=self.now,
            stopping=lambda: False,
            **choices,
        )
        self.reader = RefreshLane(
            pool, self.projections, calls, watch, metrics, reading=READING, now=self.now
        )
        self.connected_reader = ConnectedReadingLane(
            pool, self.projections, calls, watch, metrics, now=self.now
        )

    async def settle(self, within: timedelta = SETTLED) -> None:
        """Ingest what Stripe tells, read what is in doubt, work on what is due, until all is at rest.

        What is due within that time is waited for.
        """
        await self.prepare()
        for _ in range(ROUNDS_AT_MOST):
            busy = await self.ingest()
            busy += await self.world.expand()
            busy += await self.read()
            busy += await self.work()
            if not busy and not await self._skip(within):
                return
        raise AssertionError("it never comes to rest")

    async def prepare(self) -> None:
        """Learn the installation's id, which every key names."""
        if not self.tools.installation:
            self.tools = replace(self.tools, installation=await self.world.shares.installation())

    async def ingest(self) -> int:
        """Ingest every event that Stripe has made since; return how many there were."""
        events = self.events()
        await self.take_in(events)
        return len(events)

    async def take_in(self, events: Iterable[dict[str, Any]]) -> None:
        """Ingest these as one batch."""
        said = digest([record_of(event, self.now()) for event in events], READING)
        assert not said.unreadable
        await self.projections.note_and_apply(said.events, said.projection)

    async def read(self) -> int:
        """Read at Stripe what is due to be read; return how much that was."""
        claimed = await self.projections.claim_refreshes(100)
        for refresh in claimed:
            await self.reader._read(refresh)  # noqa: SLF001
        readings = await self.projections.claim_connected_readings(100)
        for reading in readings:
            await self.connected_reader.read(reading)
        return len(claimed) + len(readings)

    async def work(self) -> int:
        """Work on every due share once; return how many there were."""
        leases = await self.tools.shares.claim(SHARES_AT_MOST)
        for lease in leases:
            ending = await ShareWorker(self.tools, lease).run()
            assert ending in (Ending.RESTED, Ending.POSTPONED), ending
        return len(leases)

    async def pass_time(self, time: timedelta) -> None:
        """Let it be later, for us and at Stripe."""
        await self.clock.advance(time)

    async def records(self) -> dict[str, PaymentMethodRecord]:
        """The last record of each key."""
        return {record.key: record for record in await self.history()}

    async def history(self) -> list[PaymentMethodRecord]:
        """Every record, in order."""
        rows = await self.world.sql.fetch(
            "SELECT value FROM offshoot.outbox WHERE topic = 'offshoot.payment-methods' ORDER BY id"
        )
        return [msgspec.json.decode(row["value"], type=PaymentMethodRecord) for row in rows]

    async def record(self, account: str, method: str) -> PaymentMethodRecord:
        return (await self.records())[f"{account}:{method}"]

    async def writes(self, account: str) -> list[tuple[str, str]]:
        """The writes on an account: method and route."""
        calls = await self.stripe.calls(account)
        return [(call["route"], call["path"]) for call in calls if call["method"] != "GET"]

    def events(self) -> list[dict[str, Any]]:
        """Every event that Stripe has made since the last time, in order."""
        world = self.emulator.engine.worlds[False]
        accounts = [world.platform, *world.connected.values()]
        fresh = [
            event.snapshot()
            for account in accounts
            for event in account.events.values()
            if event.id not in self._told
        ]
        self._told.update(event["id"] for event in fresh)
        return sorted(fresh, key=lambda event: event["created"])

    async def _skip(self, within: timedelta) -> bool:
        """Let the time pass until the next thing is due, if it is soon."""
        due: datetime | None = await self.world.sql.fetchval(NEXT_DUE)
        if due is None or due > self.now() + within:
            return False
        await self.clock.advance(max(due - self.now(), timedelta(seconds=1)))
        return True


def record_of(event: dict[str, Any], recorded_at: datetime) -> Record:
    """The record that such an event is in the topic."""
    return Record("stripe.events", 0, 0, None, json.dumps(event).encode(), [], recorded_at)
