"""Newer and newer states in the outbox, and what readers of the compacted topic were left with."""

import asyncio
import itertools
from collections import defaultdict
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, Final, Self, TypeAlias

import asyncpg
import msgspec

from schemas.records import Origin, PaymentMethodRecord, State
from service.runtime.lifecycle import wait_for_stop

KEYS: Final = 20
_AT: Final = datetime(2026, 1, 1, tzinfo=UTC)
Connection: TypeAlias = "asyncpg.Connection[asyncpg.Record]"
_EVERY_S: Final = 0.02
_ADD: Final = """
INSERT INTO offshoot.outbox (topic, key, headers, value)
SELECT 'offshoot.payment-methods', key, headers::jsonb, value
FROM unnest($1::text[], $2::text[], $3::bytea[]) WITH ORDINALITY AS r (key, headers, value, n) ORDER BY n
"""


def state(number: int, version: int) -> PaymentMethodRecord:
    """Some state of the method `number`."""
    return PaymentMethodRecord(
        account="acct_1",
        origin=Origin.CLONE,
        state=State.READY,
        reason=None,
        platform_customer=f"cus_{number}",
        platform_payment_method=f"pm_{number}",
        connected_customer=f"cus_C{number}",
        connected_payment_method=f"pm_C{number}",
        type="card",
        default=True,
        generation=1,
        version=version,
        livemode=False,
        occurred_at="2026-01-01T00:00:00Z",
    )


class Announcing:
    """Adds a newer state of every key to the outbox, again and again, until it is left."""

    def __init__(self, dsn: str) -> None:
        self.newest = 0
        self._dsn = dsn
        self._stop = asyncio.Event()

    async def __aenter__(self) -> Self:
        self._task = asyncio.create_task(self._add())
        return self

    async def __aexit__(self, *_: object) -> None:
        self._stop.set()
        await self._task

    async def _add(self) -> None:
        connection = await asyncpg.connect(self._dsn)
        try:
            for version in itertools.count(1):
                records = [state(number, version) for number in range(KEYS)]
                await add(connection, records)
                self.newest = version
                if await wait_for_stop(self._stop, _EVERY_S):
                    return
        finally:
            await connection.close()


async def add(connection: Connection, records: Sequence[PaymentMethodRecord]) -> None:
    """Add records to the outbox, in one transaction."""
    headers = [[(name, word.decode()) for name, word in each.headers(_AT)] for each in records]
    texts = [msgspec.json.encode(each).decode() for each in headers]
    keys, values = [each.key for each in records], [each.to_json() for each in records]
    await connection.execute(_ADD, keys, texts, values)
    await connection.execute("SELECT pg_notify('offshoot_outbox', '')")


def check(found: Sequence[Any], newest: int) -> int:
    """Hold what is on the topic against what was said; give how many records were repeated.

    Each key ends with its newest state; a state that comes again brings the same id, and all that came after
    it come again behind it.
    """
    states: dict[bytes, list[int]] = defaultdict(list)
    ids: dict[tuple[bytes, int], set[bytes]] = defaultdict(set)
    for record in found:
        version = msgspec.json.decode(record.value)["version"]
        states[record.key].append(version)
        ids[record.key, version].add(dict(record.headers)["ce_id"])
    assert len(states) == KEYS
    for key, versions in states.items():
        assert versions[-1] == newest, f"{key!r} is left at version {versions[-1]}, not {newest}"
        assert set(versions) == set(range(1, newest + 1)), f"{key!r} misses versions"
        gaps = [later - sooner for sooner, later in itertools.pairwise(versions) if later > sooner + 1]
        assert not gaps, f"{key!r} skips versions: {versions}"
    assert all(len(each) == 1 for each in ids.values()), "a repeat has another id"
    return sum(len(versions) for versions in states.values()) - newest * KEYS
