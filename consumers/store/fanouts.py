"""What is done in chunks, one short transaction each: marking many shares, granting many."""

from typing import Any

from consumers.projection.spread import CHUNK, Fanout, Priority, priority_of
from consumers.store.database import Connection, Database, load_queries
from consumers.store.direct import DirectRecords
from consumers.store.marking import Marking


class FanoutStore:
    """Expands what ingest left to chunks. Any number of processes may: each takes another one."""

    def __init__(
        self, database: Database, direct: DirectRecords | None = None, *, chunk: int = CHUNK
    ) -> None:
        """Args: the database, what announces direct methods, and how many rows one transaction may touch."""
        self._database = database
        self._direct = direct
        self._chunk = chunk
        self._marking = Marking()
        self._queries = load_queries("fanout")
        self._projection = load_queries("projection")
        self._marks = load_queries("marking")
        self._directs = load_queries("direct")
        self._refresh = load_queries("refresh")

    async def expand(self) -> int | None:
        """Do one chunk of the oldest; return how many shares it touched, None where nothing waits.

        Raises:
            StoreError: nothing of the chunk happened, or none can tell; it may be repeated.
        """
        async with self._database.transaction() as connection:
            held = await self._queries.hold_fanout(connection)
            if held is None:
                return None
            position, subjects = await self._next(connection, held)
            if position is None or len(subjects) < self._chunk:
                await self._queries.end_fanout(connection, id=held["id"])
            else:
                await self._queries.move_fanout(connection, id=held["id"], position=position)
            # Few after all: what was too much beside others is not held back behind bulk work.
            all_of_it = held["position"] == "" and len(subjects) < self._chunk
            priority = priority_of(len(subjects)) if all_of_it else Priority.BULK
            touched = await self._do(connection, held, subjects, priority)
            if touched:
                await self._marks.announce_due(connection)
            return touched

    async def _next(self, connection: Connection, held: Any) -> tuple[str | None, list[Any]]:
        """Give the last subject of the next chunk, and the chunk: share ids, or accounts, or customers."""
        after, most, subject = held["position"], self._chunk, held["subject_id"]
        found: list[tuple[str, Any]]
        match Fanout(held["kind"]):
            case Fanout.MARK_CUSTOMER:
                rows = self._queries.next_shares_of_customer(
                    connection, customer=subject, after=after, most=most
                )
                found = [(row["position"], row["id"]) async for row in rows]
            case Fanout.MARK_ACCOUNT:
                rows = self._queries.next_shares_of_account(
                    connection, account=subject, after=after, most=most
                )
                found = [(row["position"], row["id"]) async for row in rows]
            case Fanout.GRANT_CUSTOMER:
                rows = self._queries.next_accounts(connection, customer=subject, after=after, most=most)
                found = [(row["id"], row["id"]) async for row in rows]
            case Fanout.GRANT_ACCOUNT:
                rows = self._queries.next_customers(connection, after=after, most=most)
                found = [(row["id"], row["id"]) async for row in rows]
            case Fanout.DIRECT_ACCOUNT:
                rows = self._directs.next_direct(connection, account=subject, after=after, most=most)
                found = [(row["id"], row["id"]) async for row in rows]
        return found[-1][0] if found else None, [each for _, each in found]

    async def _do(self, connection: Connection, held: Any, subjects: list[Any], priority: Priority) -> int:
        if not subjects:
            return 0
        match Fanout(held["kind"]):
            case Fanout.MARK_CUSTOMER | Fanout.MARK_ACCOUNT:
                return await self._mark(connection, subjects, priority)
            case Fanout.GRANT_CUSTOMER:
                pairs = [(held["subject_id"], account) for account in subjects]
                return await self._grant(connection, pairs, priority, mark=True)
            case Fanout.GRANT_ACCOUNT:
                pairs = [(customer, held["subject_id"]) for customer in subjects]
                return await self._grant(connection, pairs, priority, mark=False)
            case Fanout.DIRECT_ACCOUNT:
                if self._direct is not None:
                    await self._direct.account_changed(connection, subjects)
                    await self._refresh.announce_refresh(connection)
                return 0

    async def _mark(self, connection: Connection, ids: list[int], priority: Priority) -> int:
        rows = self._marks.lock_shares(connection, customers=[], accounts=[], ids=ids, others=[])
        locked = sorted([row["id"] async for row in rows])
        await self._marks.mark_shares(connection, ids=locked, priority=priority)
        return len(locked)

    async def _grant(
        self, connection: Connection, pairs: list[tuple[str, str]], priority: Priority, *, mark: bool
    ) -> int:
        """Locked as in ingest: customers, then shares. What the customers say is read behind their locks."""
        customers = sorted({customer for customer, _ in pairs})
        async for _ in self._projection.lock_customers(connection, ids=customers):
            pass
        rows = self._queries.lock_pairs(
            connection,
            customers=[customer for customer, _ in pairs],
            accounts=[account for _, account in pairs],
        )
        there = {row["id"] async for row in rows}
        touched = await self._marking.grant(connection, pairs, priority)
        if mark and (others := there - touched):
            await self._marks.mark_shares(connection, ids=sorted(others), priority=priority)
            touched |= others
        return len(touched)
