"""How commands print: a table for people, JSON for programs; what is on its way goes to stderr."""

import json as json_format
from collections.abc import AsyncIterable, Iterable, Sequence
from datetime import datetime
from typing import Any, Final

import typer
from rich.console import Console
from rich.table import Table

from schemas.cloudevents import rfc3339

_WIDEST: Final = 10_000


def print_table(names: Sequence[str], rows: Iterable[Sequence[str | None]]) -> None:
    """Print a table: on a terminal as wide as that, else whole lines, so that grep finds all of them."""
    table = Table(*names, box=None, pad_edge=False, header_style="bold")
    for row in rows:
        table.add_row(*(cell if cell is not None else "-" for cell in row))
    console = Console(highlight=False, markup=False)
    if not console.is_terminal:
        console.width = _WIDEST
    console.print(table)


def print_json(value: Any) -> None:
    """Print JSON on one line."""
    typer.echo(_json(value))


async def print_json_list(values: AsyncIterable[Any]) -> None:
    """Print a JSON list as its members come, a line each: any number of them, without holding them."""
    before = "[\n"
    async for value in values:
        typer.echo(before + _json(value), nl=False)
        before = ",\n"
    typer.echo("[]" if before == "[\n" else "\n]")


def _json(value: Any) -> str:
    return json_format.dumps(value, ensure_ascii=False, separators=(",", ":"))


def progress(done: int, *, what: str) -> None:
    """Say on stderr how far long work is."""
    typer.echo(f"{done:,} {what} …", err=True)


def moment(at: datetime | None) -> str | None:
    """Write a moment as records do."""
    return rfc3339(at) if at is not None else None
