"""The outbox: what was said in the transaction that made it true, until Kafka has acknowledged it."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

import msgspec

from consumers.store.database import Connection, Database, load_queries, translated
from schemas import topics
from schemas.cloudevents import Headers
from schemas.commands import CommandName, result_headers
from schemas.records import PaymentMethodRecord

CHANNEL_OUTBOX: Final = "offshoot_outbox"
"""Notified when there is something to publish."""

SIGN_OF_LIFE_EVERY_S: Final = 1.0
SILENT_AT_MOST_S: Final = 3
"""A leader that has given no sign of life for so long is one no more, and another takes over."""

_headers: Final = msgspec.json.Decoder(list[tuple[str, str]])


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
        await self._add(
            connection, topics.PAYMENT_METHODS, record.key, record.headers(occurred_at), record.to_json()
        )

    async def add_command_result(
        self, connection: Connection, name: CommandName, result_type: str, value: bytes, finished_at: datetime
    ) -> None:
        """Say what became of a command."""
        headers = result_headers(name, result_type, finished_at)
        await self._add(connection, topics.COMMAND_RESULTS, name.key, headers, value)

    async def _add(
        self, connection: Connection, topic: topics.Topic, key: str, headers: Headers, value: bytes
    ) -> None:
        await self._queries.add_to_outbox(
            connection,
            topic=topic.name,
            key=key,
            headers=msgspec.json.encode([(name, value.decode()) for name, value in headers]).decode(),
            value=value,
        )
        await self._queries.announce_outbox(connection)

    async def read(self, limit: int) -> list[OutboxRow]:
        """Read the oldest records."""
        async with self._database.connection() as connection:
            rows = [row async for row in self._queries.read_outbox(connection, limit=limit)]
        return [
            OutboxRow(
                id=id_,
                topic=topic,
                key=key.encode(),
                headers=[(name, word.encode()) for name, word in _headers.decode(headers)],
                value=value,
            )
            for id_, topic, key, headers, value in rows
        ]

    async def delete(self, rows: Sequence[OutboxRow]) -> None:
        """Forget what was acknowledged."""
        async with self._database.connection() as connection:
            await self._queries.delete_from_outbox(connection, ids=[row.id for row in rows])

    async def oldest_s(self) -> float:
        """Say how long the oldest record has waited; 0.0 where none does."""
        async with self._database.connection() as connection:
            seconds: float | None = await self._queries.oldest_in_outbox(connection)
        return max(0.0, seconds or 0.0)

    @asynccontextmanager
    async def leading(self) -> AsyncIterator["Leadership | None"]:
        """Try to become the one relay; None where another is. Left, it is given up."""
        async with self._database.own_connection() as connection:
            await self._queries.give_up_when_silent(connection, after=f"{SILENT_AT_MOST_S}s")
            leads = await self._queries.lead_relay(connection)
            yield Leadership(connection, self._queries) if leads else None


class Leadership:
    """The lock that makes one relay the leader, held by a session of its own.

    It only keeps several from doing the same work: that none of them can spoil it, the brokers see to.
    """

    def __init__(self, connection: Connection, queries: Any) -> None:
        self._connection = connection
        self._queries = queries

    async def keep(self) -> None:
        """Hold the lock until cancelled.

        Raises:
            StoreError: it is lost, or nobody can tell.
        """
        while True:
            await asyncio.sleep(SIGN_OF_LIFE_EVERY_S)
            with translated():
                async with asyncio.timeout(SILENT_AT_MOST_S):
                    await self._queries.still_here(self._connection)
