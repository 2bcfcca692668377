"""What every command does that works on the database: its settings, its connection, and what may be wrong."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

import typer

from consumers.store.database import Database, StoreError
from consumers.store.migrate import MigrationError, pending
from deploy.cli.faults import FAILED, FAILED_USAGE, print_faults
from service.runtime.settings import SettingsError, StoreSettings, load

_S = TypeVar("_S", bound=StoreSettings)
_T = TypeVar("_T")

CLOSE_WITHIN_S = 1.0


def with_store(
    settings: type[_S], work: Callable[[_S, Database], Awaitable[_T]], *, migrated: bool = True
) -> _T:
    """Do some work on the database, and end the process with a line that helps where it cannot be done.

    Args:
        settings: what is read from the environment.
        work: is given the settings and a database to work on.
        migrated: whether the schema has to be current.

    Raises:
        typer.Exit: with 2 where settings are wrong, with 1 where Postgres or the schema is.

    """
    try:
        return asyncio.run(_lend(load(settings), work, migrated=migrated))
    except SettingsError as error:
        print_faults(error)
        raise typer.Exit(FAILED_USAGE) from None
    except StoreError as error:
        typer.echo(
            f"Postgres cannot be used ({error}): see that OFFSHOOT_DATABASE_URL names it and it runs",
            err=True,
        )
    except MigrationError as error:
        typer.echo(str(error), err=True)
    raise typer.Exit(FAILED)


async def _lend(settings: _S, work: Callable[[_S, Database], Awaitable[_T]], *, migrated: bool) -> _T:
    database = Database(settings.database_url.get_secret_value(), connections=1)
    try:
        if migrated and (missing := await pending(database)):
            raise MigrationError(f"the schema lacks {', '.join(missing)}: run offshoot migrate")
        return await work(settings, database)
    finally:
        await database.close(within_s=CLOSE_WITHIN_S)
