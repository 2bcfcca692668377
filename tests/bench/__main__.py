"""`make bench`: measure on this machine, print the tables, and write them to docs/benchmarks.md."""

import asyncio
import os
import platform
import sys
from pathlib import Path

from deploy.local.stack import Infrastructure
from tests.bench import clones, receiver
from tests.bench.table import Table

PAGE = Path(__file__).parents[2] / "docs" / "benchmarks.md"
HEAD = """# Benchmarks

Written by `make bench`; do not edit. Brokers, database, emulator, processes and load share the machine's
cores, so times are upper bounds.
"""


def main() -> None:
    """Run every bench, one after the other."""
    with Infrastructure(say=print) as infrastructure:
        infrastructure.start()
        stack = f"{infrastructure.kafka.version}, {infrastructure.postgres.version}"
        tables: list[Table] = [
            asyncio.run(clones.measure(infrastructure)),
            receiver.measure(infrastructure),
        ]
    python = f"Python {platform.python_version()}"
    machine = (
        f"Machine: {os.cpu_count()} cores, {platform.machine()}, {platform.system()}; {python}; {stack}."
    )
    text = "\n".join([HEAD, machine, *(str(table) for table in tables)]) + "\n"
    sys.stdout.write(text)
    PAGE.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
