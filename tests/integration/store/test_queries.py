"""Every query against the schema that the migrations make."""

from importlib import resources
from typing import Any

import asyncpg
import pytest

from consumers.store.database import load_queries

FILES = sorted(
    file.name.removesuffix(".sql")
    for file in resources.files("consumers.store").joinpath("sql").iterdir()
    if file.name.endswith(".sql")
)
QUERIES = [
    pytest.param(getattr(queries, name), id=f"{file}.{name}")
    for file in FILES
    for queries in [load_queries(file)]
    for name in queries.available_queries
    if not name.endswith("_cursor")
]


@pytest.mark.parametrize("query", QUERIES)
async def test_it_prepares_against_the_migrated_schema(query: Any, migrated: str) -> None:
    connection = await asyncpg.connect(migrated)
    try:
        statement = await connection.prepare(query.sql)
        assert len(statement.get_parameters()) == len(query.parameters or ())
    finally:
        await connection.close()


@pytest.mark.parametrize("query", QUERIES)
def test_it_has_its_sentence(query: Any) -> None:
    assert query.__doc__
    assert query.__doc__.strip().endswith(".")


def test_a_name_exists_once() -> None:
    names = [str(parameter.id).partition(".")[2] for parameter in QUERIES]

    assert len(names) > 40
    assert sorted(names) == sorted(set(names))
