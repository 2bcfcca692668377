"""What happens on connected accounts: methods and customers there, and what has to be read of them."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from consumers.clone.intents import KEY_PREFIX
from consumers.projection.fold import Projection
from consumers.projection.seen import ConnectedKind, ConnectedMethodSeen
from consumers.store import arrays
from consumers.store.database import Connection, load_queries
from consumers.store.direct import DirectRecords
from consumers.store.marking import Changed

SETTLE: Final = timedelta(seconds=2)
"""How long a doubt waits for the object to arrive by itself before it is read at Stripe."""


@dataclass(frozen=True, slots=True)
class ConnectedReading:
    """An object to read on a connected account; `claimed` as in `Refresh`.

    `as_of` is Stripe's second from which on what it shows counts; None where nothing was heard. `attempts`
    counts the readings begun since the last news of it.
    """

    account_id: str
    kind: ConnectedKind
    id: str
    claimed: datetime
    as_of: datetime | None = None
    attempts: int = 1


class ConnectedObjects:
    """Writes what was seen on connected accounts, in the transaction that writes the projections."""

    def __init__(self, direct: DirectRecords | None) -> None:
        """Args: what announces direct methods; None announces none."""
        self._direct = direct
        self._queries = load_queries("connected")
        self._refresh = load_queries("refresh")

    async def unjoined(self, connection: Connection, rows: Projection) -> set[str]:
        """Give the accounts that only what happened on them tells of, for the first time."""
        speaking = _speaking(rows)
        if not speaking:
            return set()
        return {row["id"] async for row in self._queries.unjoined_accounts(connection, ids=sorted(speaking))}

    async def join(self, connection: Connection, accounts: Iterable[str]) -> set[str]:
        """Let `*` and `all` mean these accounts too; return those that are new."""
        joined = self._queries.join_accounts(connection, ids=sorted(accounts))
        return {row["id"] async for row in joined}

    async def lock(self, connection: Connection, rows: Projection, locked: set[str]) -> None:
        """What a record of a method rests on stays as it is: its account, and its customer there."""
        if others := _speaking(rows) - locked:
            async for _ in self._queries.share_accounts(connection, ids=sorted(others)):
                pass
        saved_on = {
            (row.account_id, row.customer_id) for row in rows.connected_methods.values() if row.customer_id
        }
        # One of whom nothing matters yet has no row: most of an account's customers.
        told = {
            pair
            for pair, row in rows.connected_customers.items()
            if row.deleted or row.default_payment_method_id is not None
        }
        if pairs := _columns(saved_on | told):
            await self._queries.add_connected_customer_stubs(connection, **pairs)
        if pairs := _columns(saved_on | set(rows.connected_customers)):
            async for _ in self._queries.lock_connected_customers(connection, **pairs):
                pass

    async def apply(self, connection: Connection, rows: Projection, changed: Changed) -> None:
        """Write what is on accounts; find the shares that others' doings there matter to, and tell."""
        methods = list(rows.connected_methods.values())
        turned = await self._apply_customers(connection, rows)
        told = await self._direct.of_customers(connection, turned) if self._direct is not None else set()
        if self._direct is not None:
            await self._direct.lock(connection, told | set(rows.connected_methods))
        if methods:
            told |= await self._apply_methods(connection, methods, changed)
        if rows.connected_hints:
            wanted = await self._queries.want_connected_readings(
                connection,
                **arrays.connected_hints(list(rows.connected_hints.values())),
                settle=SETTLE,
                key_prefix=f"{KEY_PREFIX}:",
            )
            if wanted:
                await self._refresh.announce_refresh(connection)
        if self._direct is not None:
            await self._direct.tell(connection, told)

    async def _apply_customers(self, connection: Connection, rows: Projection) -> set[tuple[str, str]]:
        """Write what was seen of customers on accounts; return those that changed."""
        customers = list(rows.connected_customers.values())
        if not customers:
            return set()
        query = self._queries.record_connected_customers(connection, **arrays.connected_customers(customers))
        return {(row["account_id"], row["id"]) async for row in query if row["changed"]}

    async def _apply_methods(
        self, connection: Connection, methods: Sequence[ConnectedMethodSeen], changed: Changed
    ) -> set[str]:
        """Write what was seen of methods on accounts; return those that changed."""
        written = self._queries.apply_connected_methods(
            connection, **arrays.connected_methods(methods), key_prefix=f"{KEY_PREFIX}:"
        )
        by_others = {row["id"]: row["by_others"] async for row in written}
        if news := [id_ for id_, is_news in by_others.items() if is_news]:
            shares = self._queries.shares_of_connected_methods(connection, ids=news)
            changed.shares.update([row["id"] async for row in shares])
        ids = [method.id for method in methods]
        await self._queries.end_method_readings(connection, ids=ids)
        await self._queries.want_untold_methods(connection, ids=ids, settle=SETTLE)
        return set(by_others)

    async def claim_readings(
        self, connection: Connection, limit: int, again: timedelta, longest: timedelta
    ) -> list[ConnectedReading]:
        """Take objects whose reading is due; each is so again after `again`, ever later up to `longest`."""
        rows = self._queries.claim_connected_readings(connection, limit=limit, again=again, longest=longest)
        return [
            ConnectedReading(
                row["account_id"],
                ConnectedKind(row["kind"]),
                row["id"],
                row["claimed"],
                row["as_of"],
                row["attempts"],
            )
            async for row in rows
        ]

    async def next_reading_s(self, connection: Connection) -> float | None:
        """Give the seconds until the next reading is due; None when none waits."""
        seconds: float | None = await self._queries.next_connected_reading(connection)
        return seconds

    async def give_up_reading(self, connection: Connection, reading: ConnectedReading) -> None:
        """It is not read again, unless something was heard of it meanwhile."""
        await self._queries.end_connected_reading(
            connection,
            account=reading.account_id,
            kind=reading.kind,
            id=reading.id,
            claimed=reading.claimed,
        )

    async def end_reading(self, connection: Connection, reading: ConnectedReading) -> None:
        """It was read, and what it showed is written: a method is verified by it."""
        await self.give_up_reading(connection, reading)
        if reading.kind is ConnectedKind.PAYMENT_METHOD:
            await self._queries.verify_connected_methods(connection, ids=[reading.id])
            if self._direct is not None:
                await self._direct.tell(connection, [reading.id])


def _columns(pairs: set[tuple[str, str]]) -> dict[str, list[str]]:
    if not pairs:
        return {}
    accounts, ids = zip(*sorted(pairs), strict=True)
    return {"accounts": list(accounts), "ids": list(ids)}


def _speaking(rows: Projection) -> set[str]:
    """The accounts that something happened on."""
    speaking = {method.account_id for method in rows.connected_methods.values()}
    speaking.update(account for account, _ in rows.connected_customers)
    speaking.update(account for account, _, _ in rows.connected_hints)
    return speaking
