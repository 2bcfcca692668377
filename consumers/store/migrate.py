"""Bring the schema to this version: the files of `migrations/`, in order, each once, one runner at a time.

A file that was applied is never edited: its checksum is kept, and another one is an error.
"""

import hashlib
from dataclasses import dataclass
from importlib import resources
from typing import Final

from consumers.store.database import Connection, Database

_SETUP = """
CREATE SCHEMA IF NOT EXISTS offshoot;
CREATE TABLE IF NOT EXISTS offshoot.migration (
    name       text PRIMARY KEY,
    checksum   text NOT NULL,
    applied_at timestamptz NOT NULL DEFAULT now()
);
"""
_LOCK = "SELECT pg_advisory_xact_lock(hashtextextended('offshoot.migrate', 0))"
LONG_S: Final = 3600.0
"""A migration may rebuild a table, and may wait for another runner that does."""


class MigrationError(Exception):
    """The schema is not what this version's files make; the message says how."""


@dataclass(frozen=True, slots=True)
class Migration:
    """One file of `migrations/`."""

    name: str
    sql: str

    @property
    def checksum(self) -> str:
        """SHA-256 of the file's text."""
        return hashlib.sha256(self.sql.encode()).hexdigest()


def migrations() -> list[Migration]:
    """List this version's migrations in order."""
    folder = resources.files("consumers.store").joinpath("migrations")
    files = sorted((file for file in folder.iterdir() if file.name.endswith(".sql")), key=lambda f: f.name)
    return [Migration(file.name.removesuffix(".sql"), file.read_text(encoding="utf-8")) for file in files]


async def migrate(database: Database) -> list[str]:
    """Apply what is missing, all in one transaction; return the names applied.

    Raises:
        MigrationError: an applied file was edited, or the schema is of a newer version.
    """
    async with database.transaction() as connection:
        await connection.execute(_LOCK, timeout=LONG_S)
        await connection.execute(_SETUP)
        missing = _missing(await _applied(connection))
        for migration in missing:
            await connection.execute(migration.sql, timeout=LONG_S)
            await connection.execute(
                "INSERT INTO offshoot.migration (name, checksum) VALUES ($1, $2)",
                migration.name,
                migration.checksum,
            )
    return [migration.name for migration in missing]


async def pending(database: Database) -> list[str]:
    """Name the migrations that are not applied yet, changing nothing; raises as `migrate` does."""
    async with database.connection() as connection:
        there = await connection.fetchval("SELECT to_regclass('offshoot.migration') IS NOT NULL")
        applied = await _applied(connection) if there else {}
    return [migration.name for migration in _missing(applied)]


async def _applied(connection: Connection) -> dict[str, str]:
    rows = await connection.fetch("SELECT name, checksum FROM offshoot.migration")
    return {row["name"]: row["checksum"] for row in rows}


def _missing(applied: dict[str, str]) -> list[Migration]:
    known = {migration.name: migration for migration in migrations()}
    for name, checksum in applied.items():
        if name not in known:
            raise MigrationError(f"the schema has {name}, which this version does not know: run a newer one")
        if known[name].checksum != checksum:
            raise MigrationError(f"{name} was edited after it was applied: restore it and add a new file")
    return [migration for name, migration in known.items() if name not in applied]
