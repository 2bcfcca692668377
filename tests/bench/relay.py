"""The relay: records from the outbox to Kafka, one process, one leader."""

import asyncio
import statistics
import time
import uuid
from datetime import UTC, datetime

import asyncpg
import msgspec

from deploy.local.deployment import Deployment
from deploy.local.stack import Infrastructure
from schemas.records import Origin, PaymentMethodRecord, State
from tests.bench.processes import cpu_s
from tests.bench.table import Table
from tests.support.waiting import until

ROUNDS = 5
RECORDS = 60_000
PREFIX = "relay."
METHOD = f"""`offshoot work --only relay` as a process of its own, real Postgres and Kafka (one node,
acks=all, one transaction a batch). {RECORDS:,} records of 500 bytes appear in the outbox in
one commit; time from it until the outbox is empty, which a record leaves once Kafka has it. {ROUNDS} rounds
after one to warm up, median. CPU is user and system time of that process alone, by the kernel's count;
Postgres and Kafka share the machine's cores."""

_FILL = """
INSERT INTO offshoot.outbox (topic, key, headers, value)
SELECT 'offshoot.payment-methods', key, headers::jsonb, value
FROM unnest($1::text[], $2::text[], $3::bytea[]) AS r (key, headers, value)
"""


def measure(infrastructure: Infrastructure) -> Table:
    """Measure one process."""
    folder = infrastructure.folder / "relay"
    folder.mkdir()
    deployment = Deployment(
        folder=folder,
        database_url=infrastructure.postgres.create_database(f"relay_{uuid.uuid4().hex}"),
        kafka_bootstrap_servers=infrastructure.kafka.bootstrap_servers,
        topic_prefix=PREFIX,
    )
    for command in ("migrate", "topics"):
        deployment.run(command)
    work = deployment.offshoot("work", "work", "--only", "relay")
    work.start()
    try:
        rounds = asyncio.run(_rounds(deployment.database_url, work.pid))
    finally:
        work.terminate(within_s=10)
    per_second, cpu_us = (statistics.median(each) for each in zip(*rounds[1:], strict=True))
    columns = ("records/s", "CPU µs a record")
    return Table("The relay", METHOD, columns, [(f"{per_second:,.0f}", f"{cpu_us:.1f}")])


async def _rounds(dsn: str, pid: int) -> list[tuple[float, float]]:
    connection = await asyncpg.connect(dsn)
    rows = [_row(number) for number in range(RECORDS)]
    keys, headers, values = zip(*rows, strict=True)
    rounds = []

    async def empty() -> bool:
        return bool(await connection.fetchval("SELECT NOT EXISTS (SELECT FROM offshoot.outbox)"))

    for _ in range(ROUNDS + 1):
        async with connection.transaction():
            await connection.execute(_FILL, keys, headers, values)
            await connection.execute("SELECT pg_notify('offshoot_outbox', '')")
        began, before = time.monotonic(), cpu_s(pid)
        await until(empty, within_s=120, what="the outbox is empty")
        took_s = time.monotonic() - began
        rounds.append((RECORDS / took_s, (cpu_s(pid) - before) / RECORDS * 1e6))
        await connection.execute("VACUUM offshoot.outbox")
    await connection.close()
    return rounds


def _row(number: int) -> tuple[str, str, bytes]:
    now = datetime(2026, 1, 1, tzinfo=UTC)
    record = PaymentMethodRecord(
        account=f"acct_{number % 997:016d}",
        origin=Origin.CLONE,
        state=State.READY,
        reason=None,
        platform_customer=f"cus_{number:014d}",
        platform_payment_method=f"pm_{number:024d}",
        connected_customer=f"cus_{number:014d}",
        connected_payment_method=f"pm_{number:024d}",
        type="card",
        default=True,
        generation=1,
        version=1,
        livemode=False,
        occurred_at="2026-01-01T00:00:00Z",
    )
    headers = [(name, value.decode()) for name, value in record.headers(now)]
    return record.key, msgspec.json.encode(headers).decode(), record.to_json()
