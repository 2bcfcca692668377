"""Ingest: events from Kafka into Postgres, one process, three shares for each event."""

import asyncio
import itertools
import json
import statistics
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import asyncpg
from aiokafka import AIOKafkaProducer

from deploy.local.deployment import Deployment
from deploy.local.process import ChildProcess
from deploy.local.stack import Infrastructure
from tests.bench.processes import cpu_s
from tests.bench.table import Table
from tests.support.groups import lag
from tests.support.processes import descendants
from tests.support.waiting import until

ROUNDS = 3
CUSTOMERS = 10_000
ACCOUNTS = 300
SHARES_EACH = 3
PREFIX = "ingest."
METHOD = f"""`offshoot work --only ingest` as a process of its own, real Kafka (one node) and Postgres, three
accounts for each customer. {CUSTOMERS:,} events of 2 KB, each of another customer, are written while the
process stands still (SIGSTOP); time from when it goes on until the lag is 0, and every event is in the
inbox. First every customer is new, which makes {SHARES_EACH * CUSTOMERS:,} shares; then their cards come, and
change, which makes the three shares of each due. {ROUNDS} rounds of changes after one to warm up, median. CPU
is user and system time by the kernel's count, of the process and of Postgres; Kafka shares the cores."""


def measure(infrastructure: Infrastructure) -> Table:
    """Measure one process."""
    folder = infrastructure.folder / "ingest"
    folder.mkdir()
    deployment = Deployment(
        folder=folder,
        database_url=infrastructure.postgres.create_database(f"ingest_{uuid.uuid4().hex}"),
        kafka_bootstrap_servers=infrastructure.kafka.bootstrap_servers,
        topic_prefix=PREFIX,
    )
    for command in ("migrate", "topics"):
        deployment.run(command)
    work = deployment.offshoot("work", "work", "--only", "ingest")
    work.start()
    try:
        rows = asyncio.run(_Bench(infrastructure, deployment, work).run())
    finally:
        work.terminate(within_s=10)
    columns = ("what", "events/s", "CPU µs an event", "Postgres' CPU µs an event")
    return Table("Ingest", METHOD, columns, rows)


class _Bench:
    def __init__(self, infrastructure: Infrastructure, deployment: Deployment, work: ChildProcess) -> None:
        self._postgres = infrastructure.postgres.pid
        self._bootstrap_servers = infrastructure.kafka.bootstrap_servers
        self._deployment = deployment
        self._work = work
        self._second = int(time.time()) - 86_400
        self._written = 0

    async def run(self) -> list[tuple[str, ...]]:
        self._producer = AIOKafkaProducer(
            bootstrap_servers=self._bootstrap_servers, acks="all", max_batch_size=500_000
        )
        await self._producer.start()
        self._sql = await asyncpg.connect(self._deployment.database_url)
        self._deployment.wait_ready(self._work, self._deployment.work_ops_url)
        try:
            await self._round(_card(number, self._second, 2030) for number in range(100))
            made = await self._round(_customer(number, self._second) for number in range(CUSTOMERS))
            changes = [await self._changes(2031 + number) for number in range(ROUNDS + 1)][1:]
        finally:
            await self._producer.stop()
            await self._sql.close()
        changed = [statistics.median(each) for each in zip(*changes, strict=True)]
        return [
            (name, f"{per_second:,.0f}", f"{own_us:.0f}", f"{postgres_us:.0f}")
            for name, (per_second, own_us, postgres_us) in (
                ("a new customer: three shares made", made),
                ("a card that changed: three shares due", changed),
            )
        ]

    async def _changes(self, year: int) -> tuple[float, float, float]:
        self._second += 1
        return await self._round(_card(number, self._second, year) for number in range(CUSTOMERS))

    async def _round(self, events: Iterator[tuple[str, dict[str, Any]]]) -> tuple[float, float, float]:
        self._work.freeze()
        acks = [
            await self._producer.send(
                f"{PREFIX}stripe.events", json.dumps(event).encode(), f"platform:{object_id}".encode()
            )
            for object_id, event in events
        ]
        await asyncio.gather(*acks)
        self._written += len(acks)
        began, own, postgres = time.monotonic(), cpu_s(self._work.pid), self._postgres_s()
        self._work.thaw()
        await until(self._caught_up, within_s=120, what="the lag is 0")
        took_s = time.monotonic() - began
        count = len(acks)
        used = (cpu_s(self._work.pid) - own, self._postgres_s() - postgres)
        assert await self._sql.fetchval("SELECT count(*) FROM offshoot.inbox") == self._written
        return count / took_s, used[0] / count * 1e6, used[1] / count * 1e6

    async def _caught_up(self) -> bool:
        return await lag(self._bootstrap_servers, "offshoot", f"{PREFIX}stripe.events") == 0

    def _postgres_s(self) -> float:
        alive = [
            pid for pid in (self._postgres, *descendants(self._postgres)) if Path(f"/proc/{pid}").exists()
        ]
        return sum(cpu_s(pid) for pid in alive)


def _customer(number: int, second: int) -> tuple[str, dict[str, Any]]:
    chosen = itertools.islice(itertools.cycle(range(ACCOUNTS)), number % ACCOUNTS, None)
    accounts = [f"acct_{next(chosen):016d}" for _ in range(SHARES_EACH)]
    id_ = f"cus_{number:014d}"
    customer = {
        "id": id_,
        "object": "customer",
        "name": f"Customer {number}",
        "email": f"customer{number}@example.com",
        "metadata": {"connected_accounts": ",".join(accounts)},
    }
    return id_, _event("customer.created", customer, second)


def _card(number: int, second: int, year: int) -> tuple[str, dict[str, Any]]:
    id_ = f"pm_{number:024d}"
    card = {
        "id": id_,
        "object": "payment_method",
        "type": "card",
        "customer": f"cus_{number:014d}",
        "billing_details": {
            "name": f"Customer {number}",
            "address": {"country": "US", "postal_code": "94107"},
        },
        "card": {"brand": "visa", "exp_month": 12, "exp_year": year, "fingerprint": f"{number:016d}"},
    }
    return id_, _event("payment_method.updated", card, second)


def _event(kind: str, about: dict[str, Any], second: int) -> dict[str, Any]:
    padded = {**about, "description": ""}
    event = {
        "id": f"evt_{uuid.uuid4().hex}",
        "object": "event",
        "type": kind,
        "api_version": "2026-10-28.endive",
        "created": second,
        "livemode": False,
        "pending_webhooks": 1,
        "request": {"id": None, "idempotency_key": None},
        "data": {"object": padded},
    }
    padded["description"] = "x" * max(0, 2000 - len(json.dumps(event)))
    return event
