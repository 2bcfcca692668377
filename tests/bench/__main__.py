"""`make bench`: measure on this machine, print the tables, and write them to docs/benchmarks.md.

`python -m tests.bench NAME …` measures the named ones alone.
"""

import argparse
import os
import platform
import sys
import time
from collections.abc import Callable
from typing import Final

from deploy.local.stack import Infrastructure
from tests.bench import backlog, clones, emulator, fanout, ingest, receiver, relay
from tests.bench.page import write_section
from tests.bench.table import Table

Measure = Callable[[Infrastructure], Table]
"""Measures one thing with a Kafka and a Postgres of its own, both started."""

BENCHES: Final[dict[str, Measure]] = {
    "receiver": receiver.measure,
    "clones": clones.measure,
    "ingest": ingest.measure,
    "relay": relay.measure,
    "backlog": backlog.measure,
    "fanout": fanout.measure,
    "emulator": emulator.measure,
}
"""Every bench, in the order of the page."""


def main() -> None:
    """Run the named benches, or all, one after the other; each is written down as soon as it is done."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench")
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(BENCHES)}; none means all")
    names = parser.parse_args().names or list(BENCHES)
    if unknown := sorted(set(names) - set(BENCHES)):
        parser.error(f"no such bench: {', '.join(unknown)}")
    for name in names:
        with Infrastructure(say=print) as infrastructure:
            infrastructure.start()
            table = BENCHES[name](infrastructure)
            section = f"{table}\n\n{_machine(infrastructure)}\n"
        sys.stdout.write(f"{section}\n")
        write_section(name, section, order=list(BENCHES))


def _machine(infrastructure: Infrastructure) -> str:
    return (
        f"Measured {time.strftime('%Y-%m-%d')} on {os.cpu_count()} cores, {platform.machine()}, "
        f"{platform.system()}; Python {platform.python_version()}; {infrastructure.kafka.version}, "
        f"{infrastructure.postgres.version}."
    )


if __name__ == "__main__":
    main()
