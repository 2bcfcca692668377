"""The list of connected accounts: who is listing, and what the pages say."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Final

from consumers.projection.seen import AccountSeen
from consumers.store import arrays
from consumers.store.connected import SETTLE
from consumers.store.database import Database, load_queries
from consumers.store.marking import Changed, Marking

LEASE: Final = timedelta(minutes=5)
"""How long a page may take, all told; a listing that nobody goes on with is then begun again."""


class ListingStore:
    """One worker of the deployment lists at a time: the row `account_list` of offshoot.cursor says who."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._queries = load_queries("listing")
        self._projection = load_queries("projection")
        self._marking = Marking()

    async def begin(self, every: timedelta) -> str | None:
        """Take the listing up if the last one ended that long ago; return what holds it, else None."""
        async with self._database.connection() as connection:
            await self._queries.add_listing(connection)
            held: str | None = await self._queries.begin_listing(connection, lease=LEASE, every=every)
            return held

    async def apply(self, held: str, accounts: Sequence[AccountSeen]) -> str | None:
        """Write a page of accounts, read at one time; return what holds it now, None if another does.

        Raises:
            StoreError: nothing of it happened, or none can tell.
        """
        async with self._database.transaction() as connection:
            renewed: str | None = await self._queries.renew_listing(connection, lease=LEASE, held=held)
            if renewed is None or not accounts:
                return renewed
            ids = sorted(account.id for account in accounts)
            await self._projection.add_account_stubs(connection, ids=ids)
            async for _ in self._projection.lock_accounts(connection, ids=ids):
                pass
            rows = self._queries.apply_listed_accounts(
                connection,
                ids=[account.id for account in accounts],
                capabilities=[arrays.json_text(account.capabilities) for account in accounts],
                read_at=accounts[0].as_of,
                settle=SETTLE,
            )
            changed = Changed()
            async for row in rows:
                if row["changed"]:
                    changed.accounts.add(row["id"])
                if row["joins"]:
                    changed.joined.add(row["id"])
            await self._marking.make_due(connection, changed)
            return renewed

    async def end(self, held: str) -> None:
        """Note that every account was listed."""
        async with self._database.connection() as connection:
            await self._queries.end_listing(connection, held=held)
