"""A hundred thousand bulk shares due: how much of the rate they use, and what a new customer waits."""

import asyncio
import uuid
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import asyncpg

from deploy.local.deployment import Deployment
from deploy.local.stack import Infrastructure
from tests.bench.table import Table, percentile
from tests.support.platform import Platform
from tests.support.records import Records
from tests.support.waiting import until

ACCOUNTS: Final = 300
CUSTOMERS: Final = 334
RATE: Final = 60
WINDOW_S: Final = 30.0
ROUNDS: Final = 60
PREFIX: Final = "backlog."
METHOD: Final = f"""One `serve`, one `work`, real Kafka and Postgres, the emulator without latency.
{CUSTOMERS} customers with a card each, shared with all {ACCOUNTS} accounts: {CUSTOMERS * ACCOUNTS:,} bulk
shares; {RATE} calls a second are allowed, and pacing by card is off. Calls by the emulator's log, over
{WINDOW_S:.0f} s; "most in a second" is over every second that begins with a call. A new customer with a card
on one account of its own, {ROUNDS} times, one after the other: from the effect of the platform's attach call
to that of the call that attached the clone."""


@dataclass(frozen=True)
class _Used:
    name: str
    allowed: float
    calls: int
    most_in_a_second: int
    limited: int

    @property
    def row(self) -> tuple[str, ...]:
        used = f"{self.calls / (self.allowed * WINDOW_S):.1%} of {self.allowed:.0f}/s"
        return self.name, f"{used}; most in a second {self.most_in_a_second}; 429: {self.limited}"


def measure(infrastructure: Infrastructure) -> Table:
    """Measure with bulk work's default share of the rate, and with all of it."""
    return asyncio.run(_measure(infrastructure))


async def _measure(infrastructure: Infrastructure) -> Table:
    folder = infrastructure.folder / "backlog"
    folder.mkdir()
    rows: list[tuple[str, ...]] = []
    for name, bulk in (("half the rate (default)", RATE / 2), ("all of the rate", float(RATE))):
        rows += await _with_share(infrastructure, folder, name, bulk)
    return Table("A backlog of 100,000 bulk shares", METHOD, ("what", "figure"), rows)


async def _with_share(
    infrastructure: Infrastructure, folder: Path, name: str, bulk: float
) -> list[tuple[str, ...]]:
    prefix = f"{PREFIX}{bulk:.0f}."
    own = folder / f"{bulk:.0f}"
    own.mkdir()
    deployment = Deployment(
        folder=own,
        database_url=infrastructure.postgres.create_database(f"bench_{uuid.uuid4().hex}"),
        kafka_bootstrap_servers=infrastructure.kafka.bootstrap_servers,
        topic_prefix=prefix,
        settings={
            "STRIPE_REQUESTS_PER_SECOND": str(RATE),
            "STRIPE_BULK_REQUESTS_PER_SECOND": str(bulk),
            "CLONES_PER_CARD_PER_HOUR": "100000",
            "LOG_LEVEL": "warning",
        },
    )
    servers, topic = infrastructure.kafka.bootstrap_servers, f"{prefix}offshoot.payment-methods"
    with deployment:
        async with Platform(deployment.stripe_url) as platform, Records(servers, topic) as records:
            sql = await asyncpg.connect(deployment.database_url)
            await _fill(platform, sql)
            used = await _used(platform, name, bulk)
            waits = [await _new_customer(platform, records) for _ in range(ROUNDS)]
            due = await sql.fetchval("SELECT count(*) FROM offshoot.share WHERE due_at <= now()")
            await sql.close()
            memory_mb = _resident_mb(deployment.work.pid)
    return [
        (f"bulk has {name}: due at the end", f"{due:,}"),
        (f"bulk has {name}: rate used", used.row[1]),
        (
            f"bulk has {name}: a new customer waits",
            f"p50 {percentile(waits, 0.5):.0f} ms, p99 {percentile(waits, 0.99):.0f} ms",
        ),
        (f"bulk has {name}: memory of `work`", f"{memory_mb:.0f} MB resident"),
    ]


async def _fill(platform: Platform, sql: Any) -> None:
    """Connect the accounts, save the cards, and wait until the last share is due."""
    for _ in range(ACCOUNTS):
        await platform.connect_account()

    async def joined() -> bool:
        return bool(await sql.fetchval("SELECT count(*) >= $1 FROM offshoot.account WHERE known", ACCOUNTS))

    await until(joined, within_s=120, what="every account is known")
    for _ in range(CUSTOMERS):
        await platform.save_card(await platform.new_customer("*"))

    async def shared() -> bool:
        return bool(await sql.fetchval("SELECT count(*) >= $1 FROM offshoot.share", ACCOUNTS * CUSTOMERS))

    await until(shared, within_s=300, what="every share is there")


async def _used(platform: Platform, name: str, allowed: float) -> _Used:
    last = await _newest(platform)
    await asyncio.sleep(WINDOW_S)  # what is measured is what happens in this time
    calls = [call for call in await platform.calls(after=str(last["n"])) if _is_ours(call)]
    calls = [call for call in calls if call["at"] - last["at"] <= WINDOW_S]
    statuses = Counter(call["status"] for call in calls)
    return _Used(name, allowed, len(calls), _most_in_a_second(calls), statuses[429])


async def _newest(platform: Platform) -> dict[str, Any]:
    await platform.connect_account()
    return (await platform.calls())[-1]


def _is_ours(call: dict[str, Any]) -> bool:
    return bool(call["account"]) and call["account"] != "platform"


def _most_in_a_second(calls: Sequence[dict[str, Any]]) -> int:
    times = sorted(call["at"] for call in calls)
    return max((sum(1 for at in times if began <= at < began + 1) for began in times), default=0)


async def _new_customer(platform: Platform, records: Records) -> float:
    """Save a card of a new customer on an account of its own; return the milliseconds until it is cloned."""
    account = await platform.connect_account()
    customer = await platform.new_customer(account)
    card = await platform.save_card(customer)
    key = f"{account}:{card}"
    await records.until(lambda latest: key in latest and latest[key]["state"] == "ready", within_s=60)
    (saved,) = await platform.calls(path=f"/v1/payment_methods/{card}/attach")
    made = await platform.calls(account=account, path="/v1/customers")
    return float(made[-1]["at"] - saved["at"]) * 1000


def _resident_mb(pid: int) -> float:
    pages = int(Path(f"/proc/{pid}/statm").read_text(encoding="utf-8").split()[1])
    return pages * 4096 / 1e6
