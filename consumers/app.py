"""The composition root of `offshoot work`: builds the lanes, runs them until a signal, then ends them."""

import asyncio
import contextlib
import functools
import os
import socket
import time
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Any, Final, Protocol

from consumers.accounts import AccountsLane
from consumers.clone.lane import CloneLane
from consumers.clone.policy import DefaultFollows, Leave, OnUpdate, Policy
from consumers.clone.tools import Tools
from consumers.commands.intake import CommandIntake
from consumers.commands.lane import CommandLane
from consumers.commands.tools import CommandTools
from consumers.direct.reading import ConnectedReadingLane
from consumers.direct.record import RecordDirect
from consumers.fanout import FanoutLane
from consumers.ingest.handler import Ingest
from consumers.projection.observe import Reading
from consumers.refresh import RefreshLane
from consumers.relay import RelayLane
from consumers.schema_watch import SchemaWatch
from consumers.store.commands import CommandStore
from consumers.store.database import Database, StoreError
from consumers.store.direct import DirectRecords
from consumers.store.fanouts import FanoutStore
from consumers.store.grants import Grants
from consumers.store.limiter import Limiter
from consumers.store.listing import ListingStore
from consumers.store.outbox import Outbox
from consumers.store.projections import ProjectionStore
from consumers.store.shares import ShareStore
from consumers.store.upkeep import UpkeepStore
from consumers.stripe_calls import KeyWatch, StripeCalls
from consumers.stripe_gateway import StripeGateway
from consumers.topic.dead_letters import DeadLetters
from consumers.topic.handler import Handler
from consumers.topic.lane import TopicLane
from consumers.upkeep import UpkeepLane
from schemas import topics
from service.runtime.health import Health
from service.runtime.kafka.admin import is_answered
from service.runtime.kafka.connection import client_options
from service.runtime.kafka.consumer import GroupReader
from service.runtime.kafka.diagnosis import diagnose
from service.runtime.kafka.publish import AckedPublisher
from service.runtime.kafka.transactional import TransactionalPublisher
from service.runtime.lifecycle import (
    HttpListener,
    ListenError,
    LoopTick,
    Supervisor,
    run_process,
    stop_on_signals,
    wait_for_stop,
)
from service.runtime.logging import configure, get_logger
from service.runtime.metrics import Metrics
from service.runtime.ops import ops_app
from service.runtime.settings import WorkSettings, unknown_settings

BATCH: Final = 1000
ANSWERED_WITHIN_S: Final = 5.0
BACKLOG_EVERY_S: Final = 5.0
STORE_AWAY_PAUSE_S: Final = 1.0
_LAST_S: Final = 1.0
"""Kept back at the end, for what must be closed after the lanes."""


class Lane(StrEnum):
    """The kinds of work that `--only` can choose from."""

    INGEST = "ingest"
    CLONE = "clone"
    RELAY = "relay"


def run(settings: WorkSettings, lanes: Iterable[Lane]) -> int:
    """Work until SIGTERM or SIGINT; give the process' exit status.

    Raises:
        SettingsError: a certificate or key that the settings name cannot be used.

    """
    configure(settings.log_format, settings.log_level)
    for name in unknown_settings(os.environ):
        get_logger().warning("settings.unknown", name=name)
    return run_process(_Work(settings, client_options(settings), frozenset(lanes)).run())


class RunsUntil(Protocol):
    """A lane: works until the stop."""

    async def run(self, stop: asyncio.Event) -> None:
        """Work until the stop."""


class _Work:
    """Everything of one `work` process."""

    def __init__(self, settings: WorkSettings, kafka: dict[str, Any], lanes: frozenset[Lane]) -> None:
        self._settings = settings
        self._kafka = kafka
        self._lanes = lanes
        self._metrics, self._health = Metrics(), Health()
        self._database = Database(settings.database_url.get_secret_value())
        self._outbox = Outbox(self._database)
        # Who only observes announces nothing.
        record = RecordDirect(settings.record_direct) if settings.stripe_writes == "on" else RecordDirect.NONE
        self._direct = DirectRecords(self._outbox, record=record, livemode=settings.livemode)
        self._projections = ProjectionStore(self._database, self._direct)
        self._shares = ShareStore(
            self._database, self._outbox, lease_s=settings.lease_s, livemode=settings.livemode
        )
        self._commands = CommandStore(
            self._database, self._outbox, self._projections, Grants(self._direct), lease_s=settings.lease_s
        )
        self._stripe = StripeGateway(
            api_key=settings.stripe_api_key.get_secret_value(),
            api_base=settings.stripe_api_base,
            timeout_s=settings.stripe_timeout_s,
        )
        self._limiter = Limiter(
            self._database,
            per_second=settings.stripe_requests_per_second,
            bulk_per_second=settings.stripe_bulk_requests_per_second,
        )
        self._watch = KeyWatch(self._stripe, self._metrics)
        self._schema = SchemaWatch(self._database)
        self._reading = Reading(
            metadata_key=settings.share_metadata_key,
            profile_fields=settings.customer_fields,
            livemode=settings.livemode,
            platform_account=settings.platform_account,
            share_with_all=settings.share_with == "all",
        )

    async def run(self) -> int:
        settings = self._settings
        tick = LoopTick()
        self._health.add_liveness("loop", tick)
        ops = HttpListener("ops", ops_app(self._health, self._metrics), settings.ops_host, settings.ops_port)
        async with stop_on_signals() as stop:
            supervisor = Supervisor(stop, self._health)
            try:
                await ops.start()
            except ListenError as error:
                get_logger().error("http.listen_failed", reason=error.strerror)
                return 1
            supervisor.start("tick", functools.partial(tick.run, stop))
            supervisor.start("schema", functools.partial(self._schema.run, stop))
            self._health.add_readiness("postgres", self._schema.health)
            self._start_lanes(supervisor, stop)
            await stop.wait()
            self._limiter.close()
            end = time.monotonic() + settings.shutdown_grace_s
            await supervisor.shut_down(max(0.0, settings.shutdown_grace_s - 2 * _LAST_S))
            await asyncio.gather(self._database.close(_LAST_S), self._stripe.close())
            await ops.stop(max(0.0, min(_LAST_S, end - time.monotonic())))
        get_logger().info("process.stopped")
        return 0

    def _start_lanes(self, supervisor: Supervisor, stop: asyncio.Event) -> None:
        if Lane.INGEST in self._lanes:
            handler = Ingest(self._projections, self._metrics, reading=self._reading)
            ingest = self._reads(topics.STRIPE_EVENTS, handler, self._settings.kafka_group)
            self._health.add_readiness("ingest", ingest.health)
            self._health.add_liveness("ingest", ingest.pulse)
            supervisor.start("ingest", lambda: self._once_migrated(ingest, stop))
            intake = CommandIntake(self._commands, self._metrics, now=_now)
            # A group of its own: a member that joins or leaves disturbs only who reads the same topic.
            commands = self._reads(topics.COMMANDS, intake, f"{self._settings.kafka_group}-commands")
            self._health.add_readiness("commands", commands.health)
            self._health.add_liveness("commands", commands.pulse)
            supervisor.start("commands", lambda: self._once_migrated(commands, stop))
            fanout = FanoutLane(self._database, FanoutStore(self._database, self._direct))
            supervisor.start("fanout", lambda: self._once_migrated(fanout, stop))
            upkeep = UpkeepLane(UpkeepStore(self._database))
            supervisor.start("upkeep", lambda: self._once_migrated(upkeep, stop))
        if Lane.RELAY in self._lanes:
            relay = RelayLane(
                self._database, self._outbox, self._make_publisher, self._settings.topic, self._metrics
            )
            self._health.add_liveness("relay", relay.pulse)
            supervisor.start("relay", lambda: self._once_migrated(relay, stop))
            supervisor.start("outbox", functools.partial(self._count_outbox, stop))
        if Lane.CLONE in self._lanes:
            self._health.add_readiness("stripe", self._watch.health)
            supervisor.start("stripe_key", functools.partial(self._watch.run, stop))
            calls = self._make_calls()
            refresh = self._make_refresh(calls)
            supervisor.start("clone", functools.partial(self._clone, calls, stop))
            supervisor.start("command", functools.partial(self._command, calls, stop))
            supervisor.start("refresh", lambda: self._once_migrated(refresh, stop))
            connected = ConnectedReadingLane(
                self._database, self._projections, calls, self._watch, self._metrics, now=_now
            )
            supervisor.start("connected_reading", lambda: self._once_migrated(connected, stop))
            accounts = AccountsLane(ListingStore(self._database), calls, self._watch, now=_now)
            supervisor.start("accounts", lambda: self._once_migrated(accounts, stop))
            supervisor.start("backlog", functools.partial(self._count_backlog, stop))

    async def _once_migrated(self, lane: RunsUntil, stop: asyncio.Event) -> None:
        if await self._schema.ready(stop):
            await lane.run(stop)

    def _make_calls(self) -> StripeCalls:
        return StripeCalls(self._stripe, self._limiter, self._watch, self._metrics)

    def _make_refresh(self, calls: StripeCalls) -> RefreshLane:
        return RefreshLane(
            self._database,
            self._projections,
            calls,
            self._watch,
            self._metrics,
            reading=self._reading,
            now=_now,
        )

    async def _clone(self, calls: StripeCalls, stop: asyncio.Event) -> None:
        installation = await self._installation(stop)
        if installation is None:
            return
        tools = Tools(
            shares=self._shares,
            projections=self._projections,
            calls=calls,
            policy=_policy(self._settings),
            observe=self._settings.stripe_writes == "observe",
            installation=installation,
            now=_now,
            stopping=stop.is_set,
            clones_per_card_per_hour=self._settings.clones_per_card_per_hour,
            detach_brake=self._settings.detach_brake,
        )
        lane = CloneLane(self._database, tools, self._limiter, self._watch, self._metrics)
        await lane.run(stop)

    async def _command(self, calls: StripeCalls, stop: asyncio.Event) -> None:
        installation = await self._installation(stop)
        if installation is None:
            return
        tools = CommandTools(
            commands=self._commands,
            projections=self._projections,
            calls=calls,
            retry_for=timedelta(seconds=self._settings.retry_for_s),
            observe=self._settings.stripe_writes == "observe",
            installation=installation,
            now=_now,
            stopping=stop.is_set,
        )
        await CommandLane(self._database, tools, self._watch, self._metrics).run(stop)

    async def _installation(self, stop: asyncio.Event) -> str | None:
        while await self._schema.ready(stop):
            try:
                return await self._shares.installation()
            except StoreError:
                await wait_for_stop(stop, STORE_AWAY_PAUSE_S)
        return None

    async def _count_backlog(self, stop: asyncio.Event) -> None:
        if not await self._schema.ready(stop):
            return
        while not await wait_for_stop(stop, BACKLOG_EVERY_S):
            try:
                backlog = await self._shares.backlog()
            except StoreError:
                continue
            self._metrics.shares_due.set(backlog.due)
            self._metrics.share_oldest_due_seconds.set(backlog.oldest_s)

    async def _count_outbox(self, stop: asyncio.Event) -> None:
        """Tell the outbox's age also while nobody leads."""
        if not await self._schema.ready(stop):
            return
        while not await wait_for_stop(stop, BACKLOG_EVERY_S):
            with contextlib.suppress(StoreError):
                self._metrics.outbox_oldest_seconds.set(await self._outbox.oldest_s())

    def _reads(self, topic: topics.Topic, handler: Handler, group: str) -> TopicLane:
        """Make a lane that reads a topic as a member of a group."""
        name, client_id = self._settings.topic(topic.name), f"offshoot-work-{socket.gethostname()}"
        dead_letters = DeadLetters(
            AckedPublisher(self._kafka, client_id=f"{client_id}-dead-letters"),
            self._metrics,
            topic=self._settings.topic(topics.DEAD_LETTERS.name),
            group=group,
            now=_now,
        )
        return TopicLane(
            handler,
            lambda: GroupReader(self._kafka, name, group, most_records=BATCH, client_id=client_id),
            dead_letters,
            self._metrics,
            topic=topic.name,
            diagnose=functools.partial(diagnose, self._kafka),
            kafka_answers=functools.partial(is_answered, self._kafka, ANSWERED_WITHIN_S),
        )

    def _make_publisher(self) -> TransactionalPublisher:
        # One id for the whole deployment: whoever leads fences off whoever led before.
        name = f"{self._settings.kafka_topic_prefix}{self._settings.kafka_group}-relay"
        return TransactionalPublisher(self._kafka, name, client_id="offshoot-relay")


def _policy(settings: WorkSettings) -> Policy:
    return Policy(
        retry_for=timedelta(seconds=settings.retry_for_s),
        on_update=OnUpdate(settings.on_update),
        on_superseded=Leave(settings.on_superseded),
        superseded_grace=timedelta(seconds=settings.superseded_grace_s),
        on_detach=Leave(settings.on_detach),
        default_follows=DefaultFollows(settings.default_follows),
        reuse_existing=settings.reuse_existing,
    )


def _now() -> datetime:
    return datetime.now(UTC)
