"""The outbox: what was said in the transaction that made it true, until Kafka has acknowledged it."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

import msgspec

from consumers.store.database import Connection, Database, load_queries
from schemas import topics
from schemas.cloudevents import Headers
from schemas.records import PaymentMethodRecord

CHANNEL_OUTBOX: Final = "offshoot_outbox"
"""Notified when there is something to publish."""


@dataclass(frozen=True, slots=True)
class OutboxRow:
    """One record to publish; `topic` is without the deployment's prefix."""

    id: int
    topic: str
    key: bytes
    headers: Headers
    value: bytes


class Outbox:
    """Adding to the outbox, in somebody's transaction, and emptying it, as the one leader."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._queries = load_queries("outbox")

    async def add_payment_method(
        self, connection: Connection, record: PaymentMethodRecord, occurred_at: datetime
    ) -> None:
        """Say the present state of a method."""
        headers = record.headers(occurred_at)
        await self._queries.add_to_outbox(
            connection,
            topic=topics.PAYMENT_METHODS.name,
            key=record.key,
            headers=msgspec.json.encode([(name, value.decode()) for name, value in headers]).decode(),
            value=record.to_json(),
        )
        await self._queries.announce_outbox(connection)

    @asynccontextmanager
    async def leading(self) -> AsyncIterator["LeadingOutbox | None"]:
        """Try to become the one relay; None where another is. Leading ends with the connection."""
        async with self._database.own_connection() as connection:
            leads = await self._queries.lead_relay(connection)
            yield LeadingOutbox(connection, self._queries) if leads else None


class LeadingOutbox:
    """The outbox in the hands of its one reader, over the connection that holds the lock."""

    def __init__(self, connection: Connection, queries: Any) -> None:
        self._connection = connection
        self._queries = queries

    async def read(self, limit: int) -> list[OutboxRow]:
        """Read the oldest records."""
        return [
            OutboxRow(
                id=row["id"],
                topic=row["topic"],
                key=row["key"].encode(),
                headers=[
                    (name, value.encode())
                    for name, value in msgspec.json.decode(row["headers"], type=list[tuple[str, str]])
                ],
                value=row["value"],
            )
            async for row in self._queries.read_outbox(self._connection, limit=limit)
        ]

    async def delete(self, rows: Sequence[OutboxRow]) -> None:
        """Forget what was acknowledged."""
        await self._queries.delete_from_outbox(self._connection, ids=[row.id for row in rows])
