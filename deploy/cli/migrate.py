"""`offshoot migrate`: bring the schema to this version."""

import asyncio
import json as json_format
from typing import Annotated

import typer

from consumers.store.database import Database, StoreError
from consumers.store.migrate import MigrationError
from consumers.store.migrate import migrate as apply_migrations
from deploy.cli.faults import FAILED, FAILED_USAGE, print_faults
from service.runtime.settings import MigrateSettings, SettingsError, load


def migrate(
    *, json: Annotated[bool, typer.Option("--json", help="Print the names as a JSON list.")] = False
) -> None:
    """Create or update the schema `offshoot` in Postgres. Safe to repeat, and to run twice at once.

    Example: OFFSHOOT_DATABASE_URL=postgresql://offshoot@127.0.0.1/offshoot offshoot migrate
    """
    try:
        applied = asyncio.run(_migrate(load(MigrateSettings).database_url.get_secret_value()))
    except SettingsError as error:
        print_faults(error)
        raise typer.Exit(FAILED_USAGE) from None
    except StoreError as error:
        typer.echo(
            f"Postgres cannot be used ({error}): see that OFFSHOOT_DATABASE_URL names it and it runs",
            err=True,
        )
        raise typer.Exit(FAILED) from None
    except MigrationError as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(FAILED) from None
    if json:
        typer.echo(json_format.dumps(applied))
    else:
        typer.echo("\n".join(f"applied  {name}" for name in applied) or "the schema is current")


async def _migrate(dsn: str) -> list[str]:
    database = Database(dsn, connections=1)
    try:
        return await apply_migrations(database)
    finally:
        await database.close(within_s=1.0)
