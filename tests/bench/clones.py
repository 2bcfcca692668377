"""From a card saved on the platform to its clone attached, one after the other on an idle system."""

import asyncio
import uuid
from dataclasses import dataclass

from deploy.local.deployment import Deployment
from deploy.local.stack import Infrastructure
from tests.bench.table import Table, percentile
from tests.support.platform import Platform
from tests.support.records import Records

ROUNDS = 100
WARM_UP = 10
PREFIX = "bench."
METHOD = f"""`serve` and `work` as separate processes with default settings but the rate; real Kafka and
Postgres, the emulator without latency. {ROUNDS} rounds after {WARM_UP} to warm up, each begun when the one
before had ended. Time by the emulator's clock, from the effect of the platform's attach call, which sends the
webhook, to the effect of the call that attached the clone; calls counted in the emulator's log."""


@dataclass(frozen=True)
class _Round:
    took_ms: float
    writes: int
    reads: int


def measure(infrastructure: Infrastructure) -> Table:
    """Measure a first card, which needs a new connected customer, and a second one."""
    return asyncio.run(_measure(infrastructure))


async def _measure(infrastructure: Infrastructure) -> Table:
    folder = infrastructure.folder / "bench"
    folder.mkdir()
    deployment = Deployment(
        folder=folder,
        database_url=infrastructure.postgres.create_database(f"bench_{uuid.uuid4().hex}"),
        kafka_bootstrap_servers=infrastructure.kafka.bootstrap_servers,
        topic_prefix=PREFIX,
        settings={"STRIPE_REQUESTS_PER_SECOND": "1000"},
    )
    first: list[_Round] = []
    second: list[_Round] = []
    with deployment:
        async with (
            Platform(deployment.stripe_url) as platform,
            Records(infrastructure.kafka.bootstrap_servers, f"{PREFIX}offshoot.payment-methods") as records,
        ):
            for _ in range(WARM_UP + ROUNDS):
                account = await platform.connect_account()
                customer = await platform.new_customer(account)
                first.append(await _round(platform, records, account, customer))
                second.append(await _round(platform, records, account, customer))
    rows = [_row("new connected customer", first[WARM_UP:]), _row("known one", second[WARM_UP:])]
    columns = ("what", "p50 ms", "p99 ms", "writes a clone", "reads a clone")
    return Table("Event to clone attached, idle system", METHOD, columns, rows)


async def _round(platform: Platform, records: Records, account: str, customer: str) -> _Round:
    before = await platform.calls()
    card = await platform.save_card(customer)
    key = f"{account}:{card}"
    await records.until(lambda latest: key in latest and latest[key]["state"] == "ready", within_s=30)
    calls = await platform.calls(after=str(before[-1]["n"]))
    saved = next(call for call in calls if call["path"] == f"/v1/payment_methods/{card}/attach")
    own = [call for call in calls if call["account"] == account]
    reads = [call for call in calls if call["method"] == "GET"]
    return _Round((own[-1]["at"] - saved["at"]) * 1000, len(own), len(reads))


def _row(name: str, rounds: list[_Round]) -> tuple[str, ...]:
    times = [each.took_ms for each in rounds]
    return (
        name,
        f"{percentile(times, 0.5):.0f}",
        f"{percentile(times, 0.99):.0f}",
        f"{sum(each.writes for each in rounds) / len(rounds):.2f}",
        f"{sum(each.reads for each in rounds) / len(rounds):.2f}",
    )
