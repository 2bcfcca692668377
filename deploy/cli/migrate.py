"""`offshoot migrate`: bring the schema to this version."""

import json as json_format
from typing import Annotated

import typer

from consumers.store.database import Database
from consumers.store.migrate import migrate as apply_migrations
from deploy.cli.store import with_store
from service.runtime.settings import StoreSettings


def migrate(
    *, json: Annotated[bool, typer.Option("--json", help="Print the names as a JSON list.")] = False
) -> None:
    """Create or update the schema `offshoot` in Postgres. Safe to repeat, and to run twice at once.

    Example: OFFSHOOT_DATABASE_URL=postgresql://offshoot@127.0.0.1/offshoot offshoot migrate
    """
    applied = with_store(StoreSettings, _migrate, migrated=False)
    if json:
        typer.echo(json_format.dumps(applied))
    else:
        typer.echo("\n".join(f"applied  {name}" for name in applied) or "the schema is current")


async def _migrate(_: StoreSettings, database: Database) -> list[str]:
    return await apply_migrations(database)
