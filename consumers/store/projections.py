"""Writing what was seen of Stripe's objects, and making due the shares that it matters to."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final

import msgspec

from consumers.clone.intents import KEY_PREFIX
from consumers.projection.fold import Projection
from consumers.projection.seen import (
    AccountSeen,
    ConnectedCustomerSeen,
    ConnectedMethodSeen,
    CustomerSeen,
    Kind,
    PaymentMethodSeen,
)
from consumers.store.database import Connection, Database, load_queries

SETTLE: Final = timedelta(seconds=2)
"""How long a doubt waits for the object to arrive by itself before it is read at Stripe."""

CHANNEL_REFRESH: Final = "offshoot_refresh"
"""Notified when something must be read at once."""

READ_AGAIN: Final = timedelta(seconds=60)
"""When a claimed reading that nobody finished is taken up by another."""


@dataclass(frozen=True, slots=True)
class EventNoted:
    """An event for the inbox."""

    id: str
    created: datetime
    type: str


@dataclass(frozen=True, slots=True)
class Refresh:
    """An object to read at Stripe; `claimed` is what its reading must find unchanged."""

    kind: Kind
    id: str
    claimed: datetime


@dataclass(slots=True)
class _Changed:
    customers: set[str]
    accounts: set[str]
    shares: set[int] = field(default_factory=set)


class ProjectionStore:
    """The projections of accounts, customers and payment methods."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._queries = load_queries("projection")

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
        await self._lock(connection, rows)
        changed = _Changed(customers=set(), accounts=set(), shares=set())
        await self._apply_accounts(connection, rows.accounts.values(), changed)
        await self._apply_customers(connection, rows.customers.values(), changed)
        await self._apply_payment_methods(connection, rows.payment_methods.values(), changed)
        await self._doubt(connection, rows)
        await self._apply_connected_methods(connection, rows, changed)
        return await self._make_due(connection, changed, list(rows.connected_customers.values()))

    async def _lock(self, connection: Connection, rows: Projection) -> None:
        customers, accounts, methods = _ids(rows)
        for kind, ids, lock in (
            (Kind.CUSTOMER, customers, self._queries.lock_customers),
            (Kind.ACCOUNT, accounts, self._queries.lock_accounts),
            (Kind.PAYMENT_METHOD, methods, None),
        ):
            if not ids:
                continue
            add_stubs = getattr(self._queries, f"add_{kind}_stubs")
            await add_stubs(connection, ids=sorted(ids))
            if lock is not None:
                async for _ in lock(connection, ids=sorted(ids)):
                    pass

    async def _apply_customers(
        self, connection: Connection, seen: Iterable[CustomerSeen], changed: _Changed
    ) -> None:
        rows = list(seen)
        if rows:
            query = self._queries.apply_customers(connection, **_customer_arrays(rows), settle=SETTLE)
            changed.customers.update([row["id"] async for row in query if row["changed"]])

    async def _apply_payment_methods(
        self, connection: Connection, seen: Iterable[PaymentMethodSeen], changed: _Changed
    ) -> None:
        rows = list(seen)
        if not rows:
            return
        query = self._queries.apply_payment_methods(
            connection,
            **_method_arrays(rows),
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
        await self._queries.doubt_unknown_customers(connection, ids=owners, settle=SETTLE)

    async def _apply_accounts(
        self, connection: Connection, seen: Iterable[AccountSeen], changed: _Changed
    ) -> None:
        rows = list(seen)
        if rows:
            query = self._queries.apply_accounts(
                connection,
                ids=[row.id for row in rows],
                as_of=[row.as_of for row in rows],
                capabilities=[_json(row.capabilities) for row in rows],
                whole=[row.whole for row in rows],
                connected=[row.connected for row in rows],
                settle=SETTLE,
            )
            changed.accounts.update([row["id"] async for row in query if row["changed"]])

    async def _doubt(self, connection: Connection, rows: Projection) -> None:
        for kind in Kind:
            doubts = sorted((id_, as_of) for (each, id_), as_of in rows.doubtful.items() if each is kind)
            if doubts:
                ids, as_of = zip(*doubts, strict=True)
                await getattr(self._queries, f"doubt_{kind}s")(
                    connection, ids=list(ids), as_of=list(as_of), settle=SETTLE
                )

    async def _apply_connected_methods(
        self, connection: Connection, rows: Projection, changed: _Changed
    ) -> None:
        """Write what is on connected accounts, and find the shares that it and their customers matter to."""
        methods, customers = list(rows.connected_methods.values()), rows.connected_customers
        if not methods and not customers:
            return
        if methods:
            await self._queries.apply_connected_methods(
                connection, **_connected_arrays(methods), key_prefix=f"{KEY_PREFIX}:"
            )
        of = {(each.account_id, each.customer_id) for each in methods if each.customer_id} | set(customers)
        shares = self._queries.shares_of_connected(
            connection,
            ids=[each.id for each in methods],
            accounts=[account for account, _ in sorted(of)],
            customers=[customer for _, customer in sorted(of)],
        )
        changed.shares.update([row["id"] async for row in shares])

    async def _make_due(
        self, connection: Connection, changed: _Changed, connected: Sequence[ConnectedCustomerSeen] = ()
    ) -> int:
        if not changed.customers and not changed.accounts and not changed.shares:
            return 0
        touched: dict[str, list[Any]] = {
            "customers": sorted(changed.customers),
            "accounts": sorted(changed.accounts),
            "ids": sorted(changed.shares),
        }
        async for _ in self._queries.lock_shares(connection, **touched):
            pass
        if connected:
            await self._queries.apply_connected_customers(connection, **_connected_customer_arrays(connected))
        due = await _count(self._queries.follow_grants(connection, customers=touched["customers"]))
        due += await _count(self._queries.mark_shares(connection, **touched))
        if due:
            await self._queries.announce_due(connection)
        return due

    async def want_account(self, account: str) -> None:
        """Have an account read at once: a share waits for it, and is due again once it was read."""
        async with self._database.transaction() as connection:
            await self._queries.want_account(connection, id=account)
            await self._queries.announce_refresh(connection)

    async def claim_refreshes(self, limit: int) -> list[Refresh]:
        """Take objects that must be read at Stripe."""
        async with self._database.connection() as connection:
            rows = self._queries.claim_refreshes(connection, limit=limit, again=READ_AGAIN)
            return [Refresh(Kind(row["kind"]), row["id"], row["claimed"]) async for row in rows]

    async def next_refresh_s(self) -> float | None:
        """Give the seconds until the next reading is due, negative if one is; None when none waits."""
        async with self._database.connection() as connection:
            seconds: float | None = await self._queries.next_refresh(connection)
            return seconds

    async def apply_customer_reading(self, seen: CustomerSeen, claimed: datetime) -> int:
        """Write what reading a customer showed, unless it changed since `claimed`; return the shares due."""
        async with self._database.transaction() as connection:
            await self._lock(connection, Projection(customers={seen.id: seen}))
            query = self._queries.read_customers(connection, **_customer_arrays([seen]), claimed=claimed)
            changed = {row["id"] async for row in query if row["changed"]}
            return await self._make_due(connection, _Changed(changed, set()))

    async def apply_payment_method_reading(self, seen: PaymentMethodSeen, claimed: datetime) -> int:
        """Write what reading a method showed, unless it changed since `claimed`; return the shares due."""
        async with self._database.transaction() as connection:
            await self._lock(connection, Projection(payment_methods={seen.id: seen}))
            query = self._queries.read_payment_methods(connection, **_method_arrays([seen]), claimed=claimed)
            changed = {
                row["customer_id"] async for row in query if row["changed"] and row["customer_id"] is not None
            }
            await self._doubt_unknown_owners(connection, [seen])
            return await self._make_due(connection, _Changed(changed, set()))

    async def apply_account_reading(
        self, account: str, read_at: datetime, claimed: datetime, capabilities: dict[str, str] | None
    ) -> int:
        """Write what reading an account showed, None where Stripe refused it; return the shares due."""
        async with self._database.transaction() as connection:
            query = self._queries.read_account(
                connection,
                id=account,
                read_at=read_at,
                claimed=claimed,
                capabilities=_json(capabilities) if capabilities is not None else None,
            )
            changed = {row["id"] async for row in query if row["changed"]}
            return await self._make_due(connection, _Changed(set(), changed))


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


def _customer_arrays(rows: Sequence[CustomerSeen]) -> dict[str, Any]:
    return {
        "ids": [row.id for row in rows],
        "as_of": [row.as_of for row in rows],
        "granted_accounts": [",".join(row.granted_accounts) for row in rows],
        "defaults": [row.default_payment_method_id for row in rows],
        "profiles": [_json(row.profile) for row in rows],
        "deleted": [row.deleted for row in rows],
    }


def _method_arrays(rows: Sequence[PaymentMethodSeen]) -> dict[str, Any]:
    return {
        "ids": [row.id for row in rows],
        "as_of": [row.as_of for row in rows],
        "customers": [row.customer_id for row in rows],
        "types": [row.type for row in rows],
        "hashes": [row.content_hash for row in rows],
        "contents": [_json(row.content) for row in rows],
        "opted_out": [row.opted_out for row in rows],
        "blocked": [row.blocked for row in rows],
        "supported": [row.owner_supported for row in rows],
    }


def _connected_arrays(rows: Sequence[ConnectedMethodSeen]) -> dict[str, Any]:
    return {
        "ids": [row.id for row in rows],
        "as_of": [row.as_of for row in rows],
        "accounts": [row.account_id for row in rows],
        "customers": [row.customer_id for row in rows],
        "types": [row.type for row in rows],
        "contents": [_json(row.content) if row.content is not None else None for row in rows],
        "detached": [row.detached for row in rows],
        "keys": [row.idempotency_key for row in rows],
    }


def _connected_customer_arrays(rows: Sequence[ConnectedCustomerSeen]) -> dict[str, Any]:
    return {
        "ids": [row.id for row in rows],
        "as_of": [row.as_of for row in rows],
        "accounts": [row.account_id for row in rows],
        "defaults": [row.default_payment_method_id for row in rows],
        "deleted": [row.deleted for row in rows],
    }


def _json(value: object) -> str:
    return msgspec.json.encode(value).decode()


async def _count(query: Any) -> int:
    counts = [row["marked"] async for row in query]
    return int(counts[0])
