"""What a person on call asks and does: shares and clones listed, grants, retries, the brake released.

Nothing here speaks to Stripe: it writes down what is wished and marks the shares due; a worker does the rest.
"""

from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from consumers.direct.record import RecordDirect
from consumers.projection.spread import MOST_AT_ONCE, Priority
from consumers.store.database import Connection, Database, load_queries
from consumers.store.direct import DirectRecords
from consumers.store.grants import Grants
from consumers.store.outbox import Outbox
from consumers.store.recording import clone_record
from schemas.commands import GrantShare, Rejected, RevokeShare
from schemas.records import PaymentMethodRecord, State

Told = Callable[[int], None]
"""Is told how many were done so far, where there are more."""


@dataclass(frozen=True, slots=True)
class ListedShare:
    """One platform customer on one connected account; `granted_by` names every grant that it has."""

    customer: str
    account: str
    wanted: bool
    granted_by: tuple[str, ...]
    due_at: datetime | None
    attempts: int


@dataclass(frozen=True, slots=True)
class ShareFilter:
    """Which shares; None is any."""

    customer: str | None = None
    account: str | None = None
    wanted: bool | None = None
    failing: bool | None = None


@dataclass(frozen=True, slots=True)
class CloneFilter:
    """Which clones; None is any."""

    states: Sequence[State] | None = None
    reason: str | None = None
    customer: str | None = None
    account: str | None = None
    payment_method: str | None = None


class CustomerDeletedError(Exception):
    """The platform customer was deleted: there is nothing to share any more."""


@dataclass(frozen=True, slots=True)
class Released:
    """The brake is released: since when it was engaged, None where it was not; the shares that go on."""

    engaged_at: datetime | None
    shares: int


class OperatorStore:
    """The database in the hands of the command line."""

    def __init__(self, database: Database, *, chunk: int = MOST_AT_ONCE) -> None:
        """Args: the database, and how many rows one transaction may touch."""
        self._database = database
        self._chunk = chunk
        self._queries = load_queries("operator")
        self._marking = load_queries("marking")
        # Nothing is adopted from here, so no direct method is spoken of.
        self._grants = Grants(DirectRecords(Outbox(database), record=RecordDirect.NONE, livemode=False))

    async def shares(self, which: ShareFilter) -> AsyncIterator[ListedShare]:
        """List shares, oldest first; read in pages, so that any number may be."""
        async for row in self._pages(
            self._queries.list_shares,
            customer=which.customer,
            account=which.account,
            wanted=which.wanted,
            failing=which.failing,
        ):
            yield _share(row)

    async def clones(self, which: CloneFilter, *, livemode: bool) -> AsyncIterator[PaymentMethodRecord]:
        """List clones, oldest first, each as its record would say it now; version 0: nothing was said yet."""
        async for row in self._pages(
            self._queries.list_clones,
            states=list(which.states) if which.states else None,
            reason=which.reason,
            customer=which.customer,
            account=which.account,
            payment_method=which.payment_method,
        ):
            yield clone_record(row, livemode=livemode)

    async def grant(self, customer: str, account: str) -> ListedShare:
        """Share a platform customer with a connected account, beside what metadata grants.

        Raises:
            CustomerDeletedError: the customer is gone.
        """
        order = GrantShare(customer=customer, account=account)
        async with self._database.transaction() as connection:
            await self._grants.hold(connection, [order])
            if isinstance(await self._grants.grant(connection, order), Rejected):
                raise CustomerDeletedError
            (granted,) = await self._found(connection, customer, account)
            return granted

    async def revoke(self, customer: str, account: str) -> ListedShare | None:
        """Take back a grant by command; None where they were never shared."""
        order = RevokeShare(customer=customer, account=account)
        async with self._database.transaction() as connection:
            await self._grants.hold(connection, [order])
            await self._grants.revoke(connection, order)
            return next(iter(await self._found(connection, customer, account)), None)

    async def retry(self, account: str | None, payment_method: str | None, told: Told) -> int:
        """Take up what waits for somebody, in chunks; return how many clones that are."""
        after, done = 0, 0
        priority = Priority.URGENT
        while True:
            async with self._database.transaction() as connection:
                found = [
                    (row["id"], row["share_id"])
                    async for row in self._queries.next_retryable(
                        connection,
                        account=account,
                        payment_method=payment_method,
                        after=after,
                        most=self._chunk,
                    )
                ]
                done += await self._take_up(connection, found, priority)
                await self._marking.announce_due(connection)
            if len(found) < self._chunk:
                return done
            after, priority = found[-1][0], Priority.BULK
            told(done)

    async def release_brake(self, told: Told) -> Released:
        """Let detaching go on; the shares that were held back are due, in chunks."""
        async with self._database.connection() as connection:
            brake = await self._queries.release_brake(connection)
        after, done = 0, 0
        while True:
            async with self._database.transaction() as connection:
                rows = self._queries.next_braked(connection, after=after, most=self._chunk)
                ids = [row["id"] async for row in rows]
                await self._lock(connection, ids)
                await self._marking.mark_shares(connection, ids=ids, priority=Priority.BULK)
                await self._marking.announce_due(connection)
            done += len(ids)
            if len(ids) < self._chunk:
                return Released(brake["engaged_at"], done)
            after = ids[-1]
            told(done)

    async def _take_up(
        self, connection: Connection, found: Sequence[tuple[int, int]], priority: Priority
    ) -> int:
        await self._lock(connection, sorted({share for _, share in found}))
        taken = self._queries.take_up(connection, ids=[clone for clone, _ in found])
        shares = [row["share_id"] async for row in taken]
        ids = sorted(set(shares))
        await self._queries.forgive_deleted_customers(connection, ids=ids)
        await self._marking.mark_shares(connection, ids=ids, priority=priority)
        return len(shares)

    async def _lock(self, connection: Connection, ids: Sequence[int]) -> None:
        rows = self._marking.lock_shares(connection, customers=[], accounts=[], ids=ids, others=[])
        async for _ in rows:
            pass

    async def _found(self, connection: Connection, customer: str, account: str) -> list[ListedShare]:
        rows = self._queries.list_shares(
            connection, customer=customer, account=account, wanted=None, failing=None, after=0, most=1
        )
        return [_share(row) async for row in rows]

    async def _pages(self, query: Any, **where: Any) -> AsyncIterator[Any]:
        after: int | None = 0
        while after is not None:
            async with self._database.connection() as connection:
                page = [row async for row in query(connection, **where, after=after, most=self._chunk)]
            for row in page:
                yield row
            after = page[-1]["id"] if len(page) == self._chunk else None


def _share(row: Any) -> ListedShare:
    grants = [name for name in ("metadata", "all", "command") if row[f"granted_by_{name}"]]
    return ListedShare(
        customer=row["customer_id"],
        account=row["account_id"],
        wanted=row["wanted"],
        granted_by=tuple(grants),
        due_at=row["due_at"],
        attempts=row["attempts"],
    )
