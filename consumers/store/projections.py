"""Writing what was seen of Stripe's objects, and making due the shares that it matters to."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from consumers.projection.fold import Projection, fold
from consumers.projection.seen import (
    AccountSeen,
    ConnectedCustomerSeen,
    ConnectedMethodSeen,
    CustomerSeen,
    Kind,
    PaymentMethodSeen,
)
from consumers.store import arrays
from consumers.store.connected import SETTLE, ConnectedObjects, ConnectedReading
from consumers.store.database import Connection, Database, load_queries
from consumers.store.direct import DirectRecords
from consumers.store.marking import Changed, Marking

CHANNEL_REFRESH: Final = "offshoot_refresh"
"""Notified when something must be read at once."""

READ_AGAIN: Final = timedelta(seconds=60)
"""When a claimed reading that nobody finished is taken up by another; twice as long after each failure."""

READ_AGAIN_AT_MOST: Final = timedelta(minutes=15)


@dataclass(frozen=True, slots=True)
class EventNoted:
    """An event for the inbox."""

    id: str
    created: datetime
    type: str


@dataclass(frozen=True, slots=True)
class Refresh:
    """An object to read at Stripe; `claimed` is what its reading must find unchanged.

    `attempts` counts the readings begun since the last that went well, with this one.
    """

    kind: Kind
    id: str
    claimed: datetime
    attempts: int = 1


class ProjectionStore:
    """The projections of accounts, customers and payment methods."""

    def __init__(self, database: Database, direct: DirectRecords | None = None) -> None:
        """Args: the database, and what announces direct methods; None announces none."""
        self._database = database
        self._connected = ConnectedObjects(direct)
        self._queries = load_queries("projection")
        self._refresh = load_queries("refresh")
        self._marking = Marking()

    async def unseen(self, connection: Connection, events: Sequence[EventNoted]) -> set[str]:
        """Note events in the inbox; return the ids of those not noted before."""
        return {
            row["id"]
            async for row in self._queries.remember_events(
                connection,
                ids=[event.id for event in events],
                created=[event.created for event in events],
                types=[event.type for event in events],
            )
        }

    async def note_and_apply(self, events: Sequence[EventNoted], projection: Projection) -> int:
        """Note events and write what they say; return how many shares became due.

        Raises:
            StoreError: nothing of it happened, or none can tell; it may all be repeated.
        """
        async with self._database.transaction() as connection:
            if events:
                await self.unseen(connection, events)
            return await self._apply(connection, projection) if projection else 0

    async def _apply(self, connection: Connection, rows: Projection) -> int:
        # First stubs and locks, customers before accounts and each in id order; only later statements read.
        # A card and its customer come by different partitions: else each of two transactions could miss the
        # other's half.
        heard = await self._connected.unjoined(connection, rows)
        await self._lock(connection, rows, heard)
        changed = Changed(connected_customers=list(rows.connected_customers.values()))
        await self._apply_accounts(connection, rows.accounts.values(), heard, changed)
        await self._apply_customers(connection, rows.customers.values(), changed)
        await self._apply_payment_methods(connection, rows.payment_methods.values(), changed)
        await self._doubt(connection, rows)
        await self._connected.apply(connection, rows, changed)
        return await self._marking.make_due(connection, changed)

    async def _lock(self, connection: Connection, rows: Projection, heard: Iterable[str] = ()) -> None:
        customers, accounts, methods = _ids(rows)
        accounts.update(heard)
        if customers:
            await self._queries.add_customer_stubs(connection, ids=sorted(customers))
            async for _ in self._queries.lock_customers(connection, ids=sorted(customers)):
                pass
        if accounts:
            await self._queries.add_account_stubs(connection, ids=sorted(accounts))
            async for _ in self._queries.lock_accounts(connection, ids=sorted(accounts)):
                pass
        if methods:
            await self._queries.add_payment_method_stubs(connection, ids=sorted(methods))
        await self._connected.lock(connection, rows, accounts)

    async def _apply_customers(
        self, connection: Connection, seen: Iterable[CustomerSeen], changed: Changed
    ) -> None:
        rows = list(seen)
        if rows:
            query = self._queries.apply_customers(connection, **arrays.customers(rows), settle=SETTLE)
            _note_customers(changed, [row async for row in query])

    async def _apply_payment_methods(
        self, connection: Connection, seen: Iterable[PaymentMethodSeen], changed: Changed
    ) -> None:
        rows = list(seen)
        if not rows:
            return
        query = self._queries.apply_payment_methods(
            connection,
            **arrays.payment_methods(rows),
            detached=[row.detached for row in rows],
            settle=SETTLE,
        )
        changed.customers.update(
            [row["customer_id"] async for row in query if row["changed"] and row["customer_id"] is not None]
        )
        await self._doubt_unknown_owners(connection, rows)

    async def _doubt_unknown_owners(
        self, connection: Connection, methods: Iterable[PaymentMethodSeen]
    ) -> None:
        """A method's customer that was never seen is read, unless its event arrives meanwhile."""
        owners = sorted(
            {method.customer_id for method in methods if method.customer_id and method.owner_supported}
        )
        await self._refresh.doubt_unknown_customers(connection, ids=owners, settle=SETTLE)

    async def _apply_accounts(
        self, connection: Connection, seen: Iterable[AccountSeen], heard: set[str], changed: Changed
    ) -> None:
        rows = list(seen)
        if heard:
            changed.joined.update(await self._connected.join(connection, heard))
        if rows:
            query = self._queries.apply_accounts(connection, **arrays.accounts(rows), settle=SETTLE)
            _note_accounts(changed, [row async for row in query])

    async def _doubt(self, connection: Connection, rows: Projection) -> None:
        for kind, doubt in (
            (Kind.CUSTOMER, self._refresh.doubt_customers),
            (Kind.ACCOUNT, self._refresh.doubt_accounts),
            (Kind.PAYMENT_METHOD, self._refresh.doubt_payment_methods),
        ):
            doubts = sorted((id_, as_of) for (each, id_), as_of in rows.doubtful.items() if each is kind)
            if doubts:
                ids, as_of = zip(*doubts, strict=True)
                await doubt(connection, ids=list(ids), as_of=list(as_of), settle=SETTLE)

    async def claim_connected_readings(self, limit: int) -> list[ConnectedReading]:
        """Take objects on connected accounts that must be read at Stripe."""
        async with self._database.connection() as connection:
            return await self._connected.claim_readings(connection, limit, READ_AGAIN, READ_AGAIN_AT_MOST)

    async def next_connected_reading_s(self) -> float | None:
        """Give the seconds until the next such reading is due, negative if one is; None when none waits."""
        async with self._database.connection() as connection:
            return await self._connected.next_reading_s(connection)

    async def apply_connected_reading(
        self, reading: ConnectedReading, seen: ConnectedMethodSeen | ConnectedCustomerSeen | None
    ) -> int:
        """Write what a reading showed, None where that was nothing; return how many shares became due."""
        rows = fold([seen] if seen is not None else [])
        async with self._database.transaction() as connection:
            due = await self._apply(connection, rows) if rows else 0
            await self._connected.end_reading(connection, reading)
            return due

    async def give_up_connected_reading(self, reading: ConnectedReading) -> None:
        """An object on an account cannot be read, and is not read again before more is heard of it."""
        async with self._database.transaction() as connection:
            await self._connected.give_up_reading(connection, reading)

    async def apply_connected_method(self, connection: Connection, seen: ConnectedMethodSeen) -> None:
        """Write, in somebody's transaction, what an answer to a write of ours showed."""
        await self._apply(connection, fold([seen]))

    async def want_account(self, account: str, *, called_invalid: bool = False) -> None:
        """Have an account read at once: a share waits for it, and is due again once it was read.

        `called_invalid`: Stripe said so to another call; a reading that says so too settles it.
        """
        async with self._database.transaction() as connection:
            await self._refresh.want_account(connection, id=account, called_invalid=called_invalid)
            await self._refresh.announce_refresh(connection)

    async def want_reading(self, kind: Kind, id_: str) -> None:
        """Have a platform's customer or method read at once: a detach waits for it.

        Whoever asks holds no share meanwhile: ingest locks what is read first, and then the shares.
        """
        async with self._database.transaction() as connection:
            await self._refresh.want_reading(connection, kind=kind, id=id_)
            await self._refresh.announce_refresh(connection)

    async def claim_refreshes(self, limit: int) -> list[Refresh]:
        """Take objects that must be read at Stripe."""
        async with self._database.connection() as connection:
            rows = self._refresh.claim_refreshes(
                connection, limit=limit, again=READ_AGAIN, longest=READ_AGAIN_AT_MOST
            )
            return [
                Refresh(Kind(row["kind"]), row["id"], row["claimed"], row["attempts"]) async for row in rows
            ]

    async def next_refresh_s(self) -> float | None:
        """Give the seconds until the next reading is due, negative if one is; None when none waits."""
        async with self._database.connection() as connection:
            seconds: float | None = await self._refresh.next_refresh(connection)
            return seconds

    async def end_doubt(self, refresh: Refresh, *, not_found: bool) -> int:
        """A customer or method cannot be read, and is not read again; return the shares due.

        What was heard of it stands. `not_found`: Stripe does not know it, which justifies a detach as well.
        """
        query = {
            Kind.CUSTOMER: self._refresh.end_doubt_of_customer,
            Kind.PAYMENT_METHOD: self._refresh.end_doubt_of_payment_method,
        }[refresh.kind]
        async with self._database.transaction() as connection:
            rows = query(connection, id=refresh.id, claimed=refresh.claimed, not_found=not_found)
            waited = {row["customer_id"] async for row in rows if row["changed"] and row["customer_id"]}
            return await self._marking.make_due(connection, Changed(customers=waited))

    async def apply_customer_reading(self, seen: CustomerSeen, claimed: datetime) -> int:
        """Write what reading a customer showed, unless it changed since `claimed`; return the shares due."""
        async with self._database.transaction() as connection:
            await self._lock(connection, Projection(customers={seen.id: seen}))
            query = self._refresh.read_customers(connection, **arrays.customers([seen]), claimed=claimed)
            changed = Changed()
            _note_customers(changed, [row async for row in query])
            return await self._marking.make_due(connection, changed)

    async def apply_payment_method_reading(self, seen: PaymentMethodSeen, claimed: datetime) -> int:
        """Write what reading a method showed, unless it changed since `claimed`; return the shares due."""
        async with self._database.transaction() as connection:
            await self._lock(connection, Projection(payment_methods={seen.id: seen}))
            query = self._refresh.read_payment_methods(
                connection, **arrays.payment_methods([seen]), claimed=claimed
            )
            customers = {
                row["customer_id"] async for row in query if row["changed"] and row["customer_id"] is not None
            }
            await self._doubt_unknown_owners(connection, [seen])
            return await self._marking.make_due(connection, Changed(customers=customers))

    async def apply_account_reading(
        self,
        account: str,
        read_at: datetime,
        claimed: datetime,
        capabilities: dict[str, str] | None,
        *,
        invalid: bool = True,
    ) -> int:
        """Write what reading an account showed; return the shares due.

        Args:
            account: its id.
            read_at: our clock before the reading was sent.
            claimed: of the `Refresh`; nothing is written where something was heard since.
            capabilities: None where Stripe did not show it.
            invalid: it was not shown because Stripe called the account invalid.
        """
        async with self._database.transaction() as connection:
            query = self._refresh.read_account(
                connection,
                id=account,
                read_at=read_at,
                claimed=claimed,
                settle=SETTLE,
                invalid=invalid,
                capabilities=arrays.json_text(capabilities) if capabilities is not None else None,
            )
            changed = Changed()
            _note_accounts(changed, [row async for row in query])
            return await self._marking.make_due(connection, changed)


def _note_customers(changed: Changed, rows: Iterable[Any]) -> None:
    of = {row["id"]: row["turned"] for row in rows if row["changed"]}
    changed.customers.update(of)
    changed.granting.update(of)
    changed.turned.update(id_ for id_, turned in of.items() if turned)


def _note_accounts(changed: Changed, rows: Iterable[Any]) -> None:
    for row in rows:
        if row["changed"]:
            changed.accounts.add(row["id"])
        if row["joins"]:
            changed.joined.add(row["id"])


def _ids(rows: Projection) -> tuple[set[str], set[str], set[str]]:
    """Every customer, account and method that these rows name."""
    methods = set(rows.payment_methods)
    customers = set(rows.customers)
    customers.update(row.customer_id for row in rows.payment_methods.values() if row.customer_id)
    accounts = set(rows.accounts)
    accounts.update(account for row in rows.customers.values() for account in row.granted_accounts)
    ids = {Kind.CUSTOMER: customers, Kind.ACCOUNT: accounts, Kind.PAYMENT_METHOD: methods}
    for kind, id_ in rows.doubtful:
        ids[kind].add(id_)
    return customers, accounts, methods
