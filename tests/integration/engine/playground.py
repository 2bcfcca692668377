"""The whole engine in one process, with real Postgres and the Stripe emulator: events in, clones out.

No Kafka and no waiting: a test says what happens at Stripe, and lets everything come to rest.
"""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import uvicorn

from consumers.clone.policy import Policy
from consumers.clone.tools import Tools
from consumers.clone.worker import Ending, ShareWorker
from consumers.ingest.batch import digest
from consumers.projection.observe import Reading
from consumers.refresh import RefreshLane
from consumers.store.database import Database
from consumers.store.limiter import Limiter
from consumers.stripe_calls import KeyWatch, StripeCalls
from consumers.stripe_gateway import StripeGateway
from deploy.stripe_emulator.app import DEFAULT_API_KEY, Options, build
from deploy.stripe_emulator.server import _Protocol, _Server
from schemas.records import PaymentMethodRecord
from service.runtime.kafka.consumer import Record
from service.runtime.metrics import Metrics
from tests.integration.store.world import World
from tests.support.platform import Platform
from tests.support.waiting import until

READING = Reading(metadata_key="connected_accounts", profile_fields=("name", "email"), livemode=False)
POLICY = Policy(retry_for=timedelta(hours=72))
ROUNDS_AT_MOST = 60
SHARES_AT_MOST = 400
SETTLED = timedelta(seconds=5)
"""Doubts are read after 2 s: not waited for."""

_DUE_BY_OUR_CLOCK = (
    "UPDATE offshoot.account SET refresh_at = now() WHERE refresh_at <= $1",
    "UPDATE offshoot.customer SET refresh_at = now() WHERE refresh_at <= $1",
    "UPDATE offshoot.payment_method SET refresh_at = now() WHERE refresh_at <= $1",
)


@asynccontextmanager
async def playground(world: World, pool: Database, **choices: Any) -> AsyncIterator["Playground"]:
    """Make one; `choices` go to the policy, or to the tools where they are not of the policy."""
    emulator = build(Options())
    config = uvicorn.Config(
        emulator,
        port=0,
        http=_Protocol,
        lifespan="on",
        log_config=None,
        access_log=False,
        timeout_graceful_shutdown=1,
    )
    server = _Server(config)
    serving = asyncio.create_task(server.serve())
    await until(lambda: _started(server), within_s=10, what="the emulator listens")
    port = server.servers[0].sockets[0].getsockname()[1]
    url = f"http://127.0.0.1:{port}"
    gateway = StripeGateway(api_key=DEFAULT_API_KEY, api_base=url, timeout_s=10)
    try:
        async with Platform(url) as platform:
            yield Playground(world, pool, platform, gateway, emulator=emulator, choices=choices)
    finally:
        await gateway.close()
        emulator.close()
        server.should_exit = True
        await serving


async def _started(server: uvicorn.Server) -> bool:
    return server.started


class Playground:
    """What happens at Stripe, and what the engine makes of it."""

    def __init__(
        self,
        world: World,
        pool: Database,
        platform: Platform,
        gateway: StripeGateway,
        *,
        emulator: Any,
        choices: dict[str, Any],
    ) -> None:
        self.world = world
        self.stripe = platform
        self.emulator = emulator
        self._ahead = timedelta()
        self._told: set[str] = set()
        metrics = Metrics()
        watch = KeyWatch(gateway, metrics)
        calls = StripeCalls(gateway, Limiter(pool, name="stripe", per_second=10_000), watch, metrics)
        of_policy = {name: choices.pop(name) for name in list(choices) if hasattr(POLICY, name)}
        self.tools = Tools(
            shares=world.shares,
            projections=world.projections,
            calls=calls,
            policy=replace(POLICY, **of_policy),
            observe=False,
            installation="",
            now=self.now,
            stopping=lambda: False,
            **choices,
        )
        self._refresh = RefreshLane(
            pool, world.projections, calls, watch, metrics, reading=READING, now=self.now
        )

    def now(self) -> datetime:
        return datetime.now(UTC) + self._ahead

    async def settle(self) -> None:
        """Ingest what Stripe tells, read what is in doubt, work on what is due, until all is at rest."""
        if not self.tools.installation:
            self.tools = replace(self.tools, installation=await self.world.shares.installation())
        for _ in range(ROUNDS_AT_MOST):
            busy = await self.ingest()
            busy += await self._read()
            busy += await self.work()
            if not busy:
                return
        raise AssertionError("it never comes to rest")

    async def ingest(self) -> int:
        """Ingest every event that Stripe has made since."""
        events = self._events()
        said = digest([_record(event) for event in events], READING)
        assert said.unreadable == 0
        await self.world.projections.note_and_apply(said.events, said.projection)
        return len(events)

    async def work(self) -> int:
        """Work on every due share once; return how many there were."""
        await self.world.sql.execute(
            "UPDATE offshoot.share SET due_at = now() WHERE due_at <= $1", self.now()
        )
        leases = await self.world.shares.claim(SHARES_AT_MOST)
        for lease in leases:
            ending = await ShareWorker(self.tools, lease).run()
            assert ending in (Ending.RESTED, Ending.POSTPONED), ending
        return len(leases)

    async def pass_time(self, time: timedelta) -> None:
        """Let it be later, for us and at Stripe."""
        self._ahead += time
        self.emulator.engine.world.clock.advance(time.total_seconds())

    async def records(self) -> dict[str, PaymentMethodRecord]:
        """The last record of each key."""
        return {record.key: record for record in await self.history()}

    async def history(self) -> list[PaymentMethodRecord]:
        """Every record, in order."""
        rows = await self.world.sql.fetch("SELECT value FROM offshoot.outbox ORDER BY id")
        return [msgspec.json.decode(row["value"], type=PaymentMethodRecord) for row in rows]

    async def record(self, account: str, method: str) -> PaymentMethodRecord:
        return (await self.records())[f"{account}:{method}"]

    async def writes(self, account: str) -> list[tuple[str, str]]:
        """The writes on an account: method and route."""
        calls = await self.stripe.calls(account)
        return [(call["route"], call["path"]) for call in calls if call["method"] != "GET"]

    async def _read(self) -> int:
        for statement in _DUE_BY_OUR_CLOCK:
            await self.world.sql.execute(statement, self.now() + SETTLED)
        claimed = await self.world.projections.claim_refreshes(100)
        for refresh in claimed:
            await self._refresh._read(refresh)  # noqa: SLF001
        return len(claimed)

    def _events(self) -> list[dict[str, Any]]:
        world = self.emulator.engine.world
        accounts = [world.platform, *world.connected.values()]
        fresh = [
            event
            for account in accounts
            for event in account.events.values()
            if event["id"] not in self._told
        ]
        self._told.update(event["id"] for event in fresh)
        return sorted(fresh, key=lambda event: event["created"])


def _record(event: dict[str, Any]) -> Record:
    return Record("stripe.events", 0, 0, None, json.dumps(event).encode(), [], datetime.now(UTC))
