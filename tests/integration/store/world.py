"""The stores over one database, and what a test asks of the tables behind them."""

import asyncio
from collections.abc import Coroutine
from datetime import datetime
from typing import Any, TypeAlias, TypeVar

import asyncpg

from consumers.clone.facts import MethodFacts
from consumers.direct.record import RecordDirect
from consumers.projection.fold import fold
from consumers.projection.seen import AccountSeen, CustomerSeen, Kind, PaymentMethodSeen, Seen
from consumers.store.database import Database
from consumers.store.direct import DirectRecords
from consumers.store.fanouts import FanoutStore
from consumers.store.outbox import Outbox
from consumers.store.projections import ProjectionStore, Refresh
from consumers.store.shares import Lease, ShareStore
from tests.support.waiting import until
from tests.unit.consumers.sightings import START, account, card, customer

Connection: TypeAlias = "asyncpg.Connection[asyncpg.Record]"
LEASE_S = 60.0

_WAITING = "SELECT count(*) FROM pg_locks WHERE NOT granted"

_T = TypeVar("_T")


class World:
    """One deployment's stores."""

    def __init__(self, database: Database, sql: Connection) -> None:
        self.database = database
        self.sql = sql
        self.outbox = Outbox(database)
        self.direct = DirectRecords(self.outbox, record=RecordDirect.ALL, livemode=False)
        self.projections = ProjectionStore(database, self.direct)
        self.fanouts = FanoutStore(database, self.direct)
        self.shares = ShareStore(database, self.outbox, lease_s=LEASE_S, livemode=False)

    async def see(self, *seen: Seen) -> int:
        """Ingest a batch that says this; return how many shares became due."""
        return await self.projections.note_and_apply([], fold(seen))

    async def expand(self) -> int:
        """Do everything that was left to chunks; return how many chunks that was."""
        chunks = 0
        while await self.fanouts.expand() is not None:
            chunks += 1
        return chunks

    async def see_share(self) -> Lease:
        """Let a customer with a card be shared with one capable account; return the share's lease."""
        await self.see(account(1, whole=True, card_payments="active"), customer(1, "acct_1"), card(1))
        (lease,) = await self.shares.claim(10)
        return lease

    async def see_other_share(self) -> Lease:
        """As `see_share`, another customer and card on the same account."""
        await self.see(customer(1, "acct_1", name="cus_Q"), card(1, name="pm_Q", of="cus_Q"))
        (lease,) = await self.shares.claim(10)
        return lease

    async def row(self, table: str, id_: str) -> dict[str, Any]:
        (row,) = await self.sql.fetch(f"SELECT * FROM offshoot.{table} WHERE id = $1", id_)  # noqa: S608
        return dict(row)

    async def share(self, customer_id: str = "cus_P", account_id: str = "acct_1") -> dict[str, Any]:
        (row,) = await self.sql.fetch(
            "SELECT * FROM offshoot.share WHERE customer_id = $1 AND account_id = $2", customer_id, account_id
        )
        return dict(row)

    async def marks(self) -> dict[tuple[str, str], int]:
        """The mark of every share."""
        rows = await self.sql.fetch("SELECT customer_id, account_id, mark FROM offshoot.share")
        return {(row["customer_id"], row["account_id"]): row["mark"] for row in rows}

    async def due(self) -> list[tuple[str, str]]:
        """The shares that are due now."""
        rows = await self.sql.fetch(
            "SELECT customer_id, account_id FROM offshoot.share WHERE due_at <= now() ORDER BY 1, 2"
        )
        return [(row["customer_id"], row["account_id"]) for row in rows]

    async def settle(self) -> None:
        """As if every share had been worked on: nothing is due, nothing is leased."""
        await self.sql.execute("UPDATE offshoot.share SET due_at = NULL, lease_end = NULL")

    async def in_doubt(self, kind: Kind, id_: str) -> bool:
        return (await self.row(kind, id_))["refresh_at"] is not None

    async def doubt(self, kind: Kind, id_: str) -> Refresh:
        """Make a reading of this object due, and claim it."""
        await self.sql.execute(
            f"UPDATE offshoot.{kind} SET refresh_at = now() WHERE id = $1",  # noqa: S608
            id_,
        )
        (claimed,) = [refresh for refresh in await self.projections.claim_refreshes(10) if refresh.id == id_]
        return claimed

    async def read(
        self,
        refresh: Refresh,
        seen: CustomerSeen | PaymentMethodSeen | AccountSeen | None,
        read_at: datetime = START,
    ) -> int:
        """Write what a claimed reading showed; None: Stripe refused the account."""
        match seen:
            case CustomerSeen():
                return await self.projections.apply_customer_reading(seen, refresh.claimed)
            case PaymentMethodSeen():
                return await self.projections.apply_payment_method_reading(seen, refresh.claimed)
            case AccountSeen():
                return await self.projections.apply_account_reading(
                    refresh.id, seen.as_of, refresh.claimed, dict(seen.capabilities)
                )
            case None:
                return await self.projections.apply_account_reading(
                    refresh.id, read_at, refresh.claimed, None
                )

    async def mark_of(self, lease: Lease) -> int:
        return int(await self.sql.fetchval("SELECT mark FROM offshoot.share WHERE id = $1", lease.share_id))

    async def method(self, lease: Lease) -> MethodFacts:
        """The one method of a share."""
        (found,) = (await self.shares.load(lease)).methods
        return found

    async def outbox_keys(self) -> list[str]:
        return [row["key"] for row in await self.sql.fetch("SELECT key FROM offshoot.outbox ORDER BY id")]

    async def start(self, work: Coroutine[Any, Any, _T]) -> "asyncio.Task[_T]":
        """Start what will have to wait for a lock, and return once it waits."""
        before = await self._waiting()
        task = asyncio.create_task(work)

        async def waits() -> bool:
            return task.done() or await self._waiting() > before

        await until(waits, within_s=10, what="it waits for a lock")
        return task

    async def _waiting(self) -> int:
        return int(await self.sql.fetchval(_WAITING))
