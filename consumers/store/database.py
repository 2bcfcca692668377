"""Postgres: the pool, transactions, and its failures in our words.

    StoreError
    ├── UnavailableError   gone, refusing, or too slow: wait and repeat
    └── ConflictError      deadlock or serialization: repeat at once
    RefusedError           it cannot hold one of the values, nor ever will: leave that one out

Anything else that Postgres objects to is a mistake of ours and passes as it is.
"""

import asyncio
import functools
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from importlib import resources
from typing import Any, Final, TypeAlias, TypeVar

import aiosql
import asyncpg

from consumers.waiting import either
from service.runtime.lifecycle import wait_for_stop

Connection: TypeAlias = (
    "asyncpg.Connection[asyncpg.Record] | asyncpg.pool.PoolConnectionProxy[asyncpg.Record]"
)

STATEMENT_TIMEOUT_S: Final = 10.0
CONNECT_TIMEOUT_S: Final = 5.0
RECONNECT_S: Final = 1.0
CONFLICTS_AT_MOST: Final = 5

_T = TypeVar("_T")


class StoreError(Exception):
    """Postgres did not do it; nothing of the transaction happened, or none can tell."""


class UnavailableError(StoreError):
    """Postgres is gone, refuses connections, or is too slow."""


class ConflictError(StoreError):
    """Two transactions were in each other's way; this one was rolled back."""


class RefusedError(Exception):
    """Postgres cannot hold one of the values; nothing of the transaction happened. Says only which rule."""


@contextmanager
def translated() -> Iterator[None]:
    """Turn Postgres's failures into `StoreError`s."""
    try:
        yield
    except (
        asyncpg.DeadlockDetectedError,
        asyncpg.SerializationError,
        asyncpg.LockNotAvailableError,
    ) as error:
        raise ConflictError(type(error).__name__) from error
    except (
        asyncpg.DataError,
        asyncpg.IntegrityConstraintViolationError,
        asyncpg.ProgramLimitExceededError,
    ) as error:
        raise RefusedError(type(error).__name__) from None  # its text quotes the value
    except (
        OSError,
        TimeoutError,
        asyncpg.InterfaceError,
        asyncpg.InternalClientError,  # what a query on a session meets that Postgres has just ended
        asyncpg.PostgresConnectionError,
        asyncpg.OperatorInterventionError,
        asyncpg.InsufficientResourcesError,
        asyncpg.InvalidAuthorizationSpecificationError,
        asyncpg.InvalidCatalogNameError,
        asyncpg.ObjectInUseError,
        asyncpg.ReadOnlySQLTransactionError,  # another server leads now, or is about to
        asyncpg.PostgresSystemError,  # its disk
    ) as error:
        raise UnavailableError(type(error).__name__) from error


async def past_conflicts(do: Callable[[], Awaitable[_T]]) -> _T:
    """Do what may be done again, and do it again at once where another transaction was in its way.

    Raises:
        ConflictError: that happened `CONFLICTS_AT_MOST` times.
    """
    for _ in range(CONFLICTS_AT_MOST - 1):
        with suppress(ConflictError):
            return await do()
    return await do()


@functools.cache
def load_queries(name: str) -> Any:
    """Load `sql/{name}.sql`: each query by its name, its sentence in the file."""
    text = resources.files("consumers.store").joinpath("sql", f"{name}.sql").read_text(encoding="utf-8")
    return aiosql.from_str(text, "asyncpg")


class Database:
    """A pool of connections, made when first needed, so that Postgres may come later than we do."""

    def __init__(self, dsn: str, *, connections: int = 10) -> None:
        """Args: `postgresql://…`, and the most connections to keep."""
        self._dsn = dsn
        self._connections = connections
        self._pool: asyncpg.Pool[asyncpg.Record] | None = None
        self._making = asyncio.Lock()

    async def _ready_pool(self) -> "asyncpg.Pool[asyncpg.Record]":
        async with self._making:
            if self._pool is None:
                self._pool = await asyncpg.create_pool(
                    self._dsn,
                    min_size=1,
                    max_size=self._connections,
                    timeout=CONNECT_TIMEOUT_S,
                    command_timeout=STATEMENT_TIMEOUT_S,
                    server_settings={"application_name": "offshoot", "timezone": "UTC"},
                )
            return self._pool

    @asynccontextmanager
    async def connection(self) -> AsyncIterator[Connection]:
        """Lend a connection, each statement its own transaction."""
        with translated():
            pool = await self._ready_pool()
            async with pool.acquire(timeout=STATEMENT_TIMEOUT_S) as connection:
                yield connection

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[Connection]:
        """Lend a connection in a transaction: all of it, or nothing. No Stripe or Kafka call inside."""
        async with self.connection() as connection, connection.transaction():
            yield connection

    @asynccontextmanager
    async def own_connection(self) -> AsyncIterator["asyncpg.Connection[asyncpg.Record]"]:
        """Open a connection outside the pool: for listening, and for locks that a session holds."""
        with translated():
            connection = await asyncpg.connect(
                self._dsn,
                timeout=CONNECT_TIMEOUT_S,
                command_timeout=STATEMENT_TIMEOUT_S,
                server_settings={"application_name": "offshoot", "timezone": "UTC"},
            )
            try:
                yield connection
            finally:
                connection.terminate()

    async def ping(self) -> None:
        """Fail with `UnavailableError` unless Postgres answers."""
        async with self.connection() as connection:
            await connection.fetchval("SELECT 1")

    async def close(self, within_s: float) -> None:
        """Close the pool; what is still lent after `within_s` is cut."""
        pool, self._pool = self._pool, None
        if pool is not None:
            try:
                await asyncio.wait_for(pool.close(), within_s)
            except TimeoutError:
                pool.terminate()


async def listen(database: Database, channel: str, wake: Callable[[], None], stop: asyncio.Event) -> None:
    """Call `wake` at each notification on `channel`, until `stop`; connects again when Postgres was away.

    Wakes once at each start too: what was notified before nobody heard. Who is woken also looks by itself
    from time to time, so that a lost notification costs time only.
    """
    while not stop.is_set():
        try:
            await _listen_once(database, channel, wake, stop)
        except UnavailableError:
            await wait_for_stop(stop, RECONNECT_S)


async def _listen_once(
    database: Database, channel: str, wake: Callable[[], None], stop: asyncio.Event
) -> None:
    async with database.own_connection() as connection:
        lost = asyncio.Event()
        connection.add_termination_listener(lambda _: lost.set())
        await connection.add_listener(channel, lambda *_: wake())
        wake()
        await either(lost, stop)
