"""What is forgotten after its time: events, writes whose outcome is known, the turns of cards."""

from datetime import timedelta
from typing import Final

from consumers.store.database import Database, load_queries

KEEP_EVENTS: Final = timedelta(days=32)
"""Stripe sends and lists an event for 30 days: https://docs.stripe.com/webhooks."""

KEEP_INTENTS: Final = timedelta(days=30)
"""Far longer than Stripe knows a key, which is 24 hours."""

KEEP_TURNS: Final = timedelta(days=1)
CHUNK: Final = 1_000


class UpkeepStore:
    """One process at a time keeps the tables."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._queries = load_queries("upkeep")

    async def keep_inbox(self) -> None:
        """Make the inbox's next partitions, and drop the old.

        Raises:
            StoreError: nothing of it happened.
        """
        async with self._database.transaction() as connection:
            await self._queries.wait_briefly(connection)
            if await self._queries.lead_upkeep(connection):
                await self._queries.keep_inbox(connection, keep=KEEP_EVENTS)

    async def forget(self) -> int:
        """Delete some of what is old; return how many writes that were, 0 when all is done.

        Raises:
            StoreError: nothing of it happened.
        """
        async with self._database.transaction() as connection:
            if not await self._queries.lead_upkeep(connection):
                return 0
            await self._queries.forget_turns(connection, older=KEEP_TURNS)
            forgotten: int = await self._queries.forget_intents(connection, older=KEEP_INTENTS, most=CHUNK)
            return forgotten
