"""Load by wrk, and what it costs the process that answers."""

import json
import shutil
import statistics
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from deploy.local.process import ChildProcess
from tests.bench.processes import cpu_s

FOLDER = Path(__file__).parent


@dataclass(frozen=True)
class Figures:
    """One round, or the medians of several; CPU is that of the answering process, for one request."""

    per_second: float
    p50_ms: float
    p99_ms: float
    cpu_us: float


def wrk(
    process: ChildProcess,
    port: int,
    script: str,
    *arguments: object,
    connections: int,
    seconds: int,
) -> Figures:
    """Load a process for so many seconds.

    Args:
        process: answers, and has its CPU time read from the kernel.
        port: where it listens, on loopback.
        script: one of this folder, which ends with a line of `FIGURES`.
        arguments: for the script.
        connections: kept open, each with one request at a time.
        seconds: how long.

    Raises:
        SystemExit: there is no wrk.
        RuntimeError: a request failed.
    """
    if shutil.which("wrk") is None:
        raise SystemExit("this bench needs wrk (Debian package wrk)")
    before_s = cpu_s(process.pid)
    options = ["-t1", f"-c{connections}", f"-d{seconds}s", "--timeout", "10s", "-s", str(FOLDER / script)]
    argv = ["wrk", *options, f"http://127.0.0.1:{port}", "--", *map(str, arguments)]
    output = subprocess.run(argv, check=True, capture_output=True, text=True).stdout
    figures = json.loads(output.split("FIGURES ", 1)[1])
    if figures["failed"]:
        raise RuntimeError(f"{process.name}: {figures['failed']} requests failed")
    return Figures(
        figures["requests"] / figures["duration_s"],
        figures["p50_ms"],
        figures["p99_ms"],
        (cpu_s(process.pid) - before_s) / figures["requests"] * 1e6,
    )


def median(rounds: Sequence[Figures]) -> Figures:
    """Give the medians of several rounds."""
    return Figures(
        statistics.median(each.per_second for each in rounds),
        statistics.median(each.p50_ms for each in rounds),
        statistics.median(each.p99_ms for each in rounds),
        statistics.median(each.cpu_us for each in rounds),
    )
