"""Members of the ingest group on servers that a test harms, and the verdict on them."""

import asyncio
import contextlib
import time
import uuid
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path

from deploy.local.kafka import Kafka
from deploy.local.postgres import Postgres
from tests.fault.support.events import Events, check
from tests.fault.support.members import Member
from tests.fault.support.preparing import prepare
from tests.fault.support.verdict import report
from tests.support.groups import lag
from tests.support.waiting import until

STEADY = 300
"""Events before a test begins its harm."""


@dataclass
class Ingesting:
    """A group on one topic, and the events that it is given."""

    dsn: str
    bootstrap_servers: str
    topic: str
    group: str
    folder: Path
    settings: dict[str, str]
    events: Events
    members: list[Member] = field(default_factory=list)

    async def join(self) -> Member:
        """Start another member and wait until it has its partitions."""
        member = Member(self.folder, "ingest", self.settings)
        self.members.append(member)
        member.process.start()
        await self.until_assigned(member, 1, within_s=60)
        return member

    def assignments(self, member: Member) -> int:
        """How often the group has given a member its partitions of the events."""
        return len(member.logged("consumer.assigned", topic=self.topic))

    async def until_assigned(self, member: Member, count: int, *, within_s: float = 30) -> None:
        """Wait until that has been so often."""
        await member.until_logged("consumer.assigned", topic=self.topic, count=count, within_s=within_s)

    async def until_steady(self) -> None:
        """Wait until events have flowed for a while."""
        start = len(self.events.told.events)

        async def enough() -> bool:
            return len(self.events.told.events) >= start + STEADY

        await until(enough, within_s=60, what=f"{STEADY} events written")

    async def verdict(self, name: str, since: float, *, within_s: float) -> float:
        """End the events, wait until the group has read them all, and hold Postgres against them.

        Args:
            name: of what was done to them, for the line of figures.
            since: when it was over, by `time.monotonic`.
            within_s: until when the lag must be 0.
        """
        await self.events.end()
        over = time.monotonic()

        async def caught_up() -> bool:
            return await lag(self.bootstrap_servers, self.group, self.topic) == 0

        await until(caught_up, within_s=within_s, what="the group's lag is 0")
        took_s = time.monotonic() - since
        await check(self.events.told, self.dsn)
        report(
            f"ingest, {name}: lag 0 after {took_s:.1f} s, {time.monotonic() - over:.1f} s after the last"
            f" event; {len(self.events.told.events)} events, none missing"
        )
        return took_s


@contextlib.asynccontextmanager
async def ingesting(
    kafka: Kafka, postgres: Postgres, topic_prefix: str, folder: Path
) -> AsyncIterator[Ingesting]:
    """A fresh database and topics, events under way, and no member yet."""
    name = f"ingest_{uuid.uuid4().hex}"
    group, dsn = f"{topic_prefix}group", postgres.create_database(name)
    settings = {
        "KAFKA_BOOTSTRAP_SERVERS": kafka.bootstrap_servers,
        "KAFKA_TOPIC_PREFIX": topic_prefix,
        "KAFKA_GROUP": group,
        "DATABASE_URL": dsn,
    }
    await asyncio.to_thread(prepare, folder, settings)
    topic = f"{topic_prefix}stripe.events"
    async with Events(kafka.bootstrap_servers, topic) as events:
        all_of_it = Ingesting(dsn, kafka.bootstrap_servers, topic, group, folder, settings, events)
        try:
            yield all_of_it
        finally:
            for member in all_of_it.members:
                member.process.kill()
