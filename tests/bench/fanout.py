"""One method to a hundred thousand accounts: how long until every share is due, in how long transactions."""

import asyncio
import time
import uuid
from collections.abc import Awaitable
from typing import Any, Final

import asyncpg

from deploy.local.deployment import Deployment
from deploy.local.stack import Infrastructure
from service.runtime.lifecycle import wait_for_stop
from tests.bench.table import Table
from tests.support.platform import Platform
from tests.support.waiting import until

ACCOUNTS: Final = 100_000
SAMPLE_S: Final = 0.005
PREFIX: Final = "fanout."
METHOD: Final = f"""One `serve`, one `work`, real Kafka and Postgres; {ACCOUNTS:,} accounts are known, and
one customer. From the call at the emulator that says what happened to the last share that is due, seen in
Postgres; the longest transaction of Offshoot's by pg_stat_activity, looked at every
{SAMPLE_S * 1000:.0f} ms."""

_LONGEST: Final = """
SELECT coalesce(max(extract(epoch FROM clock_timestamp() - xact_start)), 0)::float8 FROM pg_stat_activity
WHERE application_name = 'offshoot' AND state <> 'idle' AND datname = current_database()
"""


def measure(infrastructure: Infrastructure) -> Table:
    """Measure a customer that is shared with all, and then a card of it."""
    return asyncio.run(_measure(infrastructure))


async def _measure(infrastructure: Infrastructure) -> Table:
    folder = infrastructure.folder / "fanout"
    folder.mkdir()
    deployment = Deployment(
        folder=folder,
        database_url=infrastructure.postgres.create_database(f"bench_{uuid.uuid4().hex}"),
        kafka_bootstrap_servers=infrastructure.kafka.bootstrap_servers,
        topic_prefix=PREFIX,
        settings={"STRIPE_REQUESTS_PER_SECOND": "1", "LOG_LEVEL": "warning"},
    )
    with deployment:
        async with Platform(deployment.stripe_url) as platform:
            sql = await asyncpg.connect(deployment.database_url)
            watching = await asyncpg.connect(deployment.database_url)
            try:
                rows = await _rows(platform, sql, watching)
            finally:
                await sql.close()
                await watching.close()
    columns = ("what", "all shares due after s", "longest transaction ms")
    return Table("One method to 100,000 accounts", METHOD, columns, rows)


async def _rows(platform: Platform, sql: Any, watching: Any) -> list[tuple[str, ...]]:
    await sql.execute(
        "INSERT INTO offshoot.account (id, known, joined, capabilities, as_of) "
        "SELECT 'acct_b' || n, true, true, '{\"card_payments\": \"active\"}', now() "
        "FROM generate_series(1, $1) AS n",
        ACCOUNTS,
    )
    await sql.execute("ANALYZE offshoot.account")
    customer = await platform.new_customer()
    every = {"metadata[connected_accounts]": "*"}
    granting = platform.post(f"/v1/customers/{customer}", **every)
    granted = await _until(granting, "SELECT count(*) FROM offshoot.share", sql, watching)
    await sql.execute("UPDATE offshoot.share SET due_at = NULL WHERE NOT leased")
    await sql.execute("VACUUM ANALYZE offshoot.share")
    marking = "SELECT count(*) FROM offshoot.share WHERE mark > 1"
    marked = await _until(platform.save_card(customer), marking, sql, watching)
    return [
        ("a customer is shared with all: the shares are made", *granted),
        ("a card of it is saved: the shares are marked", *marked),
    ]


async def _until(happens: Awaitable[object], counting: str, sql: Any, watching: Any) -> tuple[str, str]:
    """Let it happen; wait until every share is counted, which it is as soon as it is due."""
    longest = _Longest(watching)
    sampling = asyncio.create_task(longest.watch())
    began = time.monotonic()
    await happens

    async def all_due() -> bool:
        return bool(await sql.fetchval(counting) >= ACCOUNTS)

    try:
        await until(all_due, within_s=120, what="every share is due")
        took_s = time.monotonic() - began
    finally:
        longest.done.set()
        await sampling
    return f"{took_s:.1f}", f"{longest.s * 1000:.0f}"


class _Longest:
    """The age of the oldest transaction that was ever seen."""

    def __init__(self, sql: Any) -> None:
        self._sql = sql
        self.s = 0.0
        self.done = asyncio.Event()

    async def watch(self) -> None:
        while not await wait_for_stop(self.done, SAMPLE_S):
            self.s = max(self.s, await self._sql.fetchval(_LONGEST))
