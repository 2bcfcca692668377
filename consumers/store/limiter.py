"""The rate of Stripe calls, one bucket for the whole deployment, in Postgres.

A worker takes tokens a few at a time and keeps those left over at hand, so that an idle system does not wait.
No Postgres, no tokens.
"""

import asyncio
from typing import Final

from consumers.store.database import Database, StoreError, load_queries

_LOT: Final = 4
_PAUSE_S: Final = 0.1


class Limiter:
    """Hands out permission for one Stripe call each."""

    def __init__(self, database: Database, *, name: str, per_second: float) -> None:
        self._database = database
        self._queries = load_queries("limiter")
        self._name = name
        self._per_second = per_second
        self._at_hand = 0
        self._turn = asyncio.Lock()

    async def take(self) -> None:
        """Wait for one call's turn, first come first served."""
        async with self._turn:
            while self._at_hand < 1:
                try:
                    self._at_hand += await self._fetch()
                except StoreError:
                    self._at_hand = 0
                if self._at_hand < 1:
                    await asyncio.sleep(max(_PAUSE_S, 1 / self._per_second / 2))
            self._at_hand -= 1

    async def _fetch(self) -> int:
        async with self._database.connection() as connection:
            taken = await self._take(connection)
            if taken is None:
                await self._queries.add_limiter(connection, name=self._name, rate=self._per_second)
                taken = await self._take(connection)
        return int(taken or 0)

    async def _take(self, connection: object) -> int | None:
        taken: int | None = await self._queries.take_tokens(
            connection, name=self._name, rate=self._per_second, wanted=_LOT
        )
        return taken
