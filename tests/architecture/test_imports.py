"""Who loads what, seen from a fresh interpreter: what the import rules of pyproject cannot say."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Final

import pytest

ROOT: Final = Path(__file__).parents[2]
_PROBE: Final = """
import importlib, json, sys
before = set(sys.modules)
for name in sys.argv[1:]:
    importlib.import_module(name)
print(json.dumps(sorted({module.partition(".")[0] for module in set(sys.modules) - before})))
"""


def _loaded_by(*modules: str) -> set[str]:
    """The top-level packages that importing these loads."""
    done = subprocess.run(
        [sys.executable, "-c", _PROBE, *modules],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    packages: set[str] = set(json.loads(done.stdout))
    return packages


def _modules(*patterns: str) -> list[str]:
    paths = sorted(path for pattern in patterns for path in ROOT.glob(pattern))
    return [
        ".".join(path.relative_to(ROOT).with_suffix("").parts) for path in paths if path.stem != "__init__"
    ]


@pytest.mark.parametrize(
    "module",
    ["service.app", "deploy.cli", "deploy.cli.serve", "deploy.cli.topics", "deploy.cli.schemas"],
)
def test_neither_stripe_nor_a_database_driver(module: str) -> None:
    """The receiver holds no Stripe key and no database address, so it has no use for their libraries."""
    loaded = _loaded_by(module)

    assert module.partition(".")[0] in loaded
    assert loaded.isdisjoint({"stripe", "asyncpg", "aiosql", "consumers"})


@pytest.mark.parametrize("command", ["shares", "clones", "brake", "migrate"])
def test_what_works_on_the_database_loads_neither_stripe_nor_kafka(command: str) -> None:
    loaded = _loaded_by(f"deploy.cli.{command}")

    assert "asyncpg" in loaded
    assert loaded.isdisjoint({"stripe", "aiokafka", "starlette"})


PURE: Final = _modules(
    "schemas/*.py",
    "schemas/contract/*.py",
    "consumers/projection/*.py",
    "consumers/clone/plan.py",
    "consumers/clone/facts.py",
    "consumers/clone/intents.py",
    "consumers/direct/record.py",
    "consumers/commands/facts.py",
    "consumers/commands/plan.py",
)
IO: Final = {
    *(
        "aiokafka",
        "aiosql",
        "asyncpg",
        "httpx",
        "prometheus_client",
        "starlette",
        "stripe",
        "structlog",
        "uvicorn",
    ),
    *("asyncio", "http", "multiprocessing", "selectors", "socket", "sqlite3", "ssl", "subprocess", "urllib"),
    "service",
}


def test_pure_modules_load_nothing_that_reads_or_writes() -> None:
    """The schemas and every decision: no I/O package, of ours, of others or of Python."""
    assert {"schemas.records", "consumers.projection.fold", "consumers.clone.plan"} <= set(PURE)

    assert _loaded_by(*PURE) & IO == set()


def test_the_check_can_fail() -> None:
    assert {"stripe", "asyncpg", "asyncio", "service"} <= _loaded_by("consumers.app")
