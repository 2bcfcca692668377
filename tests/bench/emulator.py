"""The Stripe emulator alone, with 100,000 customers in memory: calls for a second of one core."""

import json
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx

from deploy.local.process import ChildProcess, accepts_connections, free_ports
from deploy.local.stack import Infrastructure
from deploy.stripe_emulator.app import DEFAULT_API_KEY
from tests.bench.table import Table
from tests.bench.wrk import FOLDER, Figures, median, wrk

CUSTOMERS = 100_000
ROUNDS, ROUND_S, FILL_S, CONNECTIONS = 5, 3, 5, 16
SAMPLE = 100
METHOD = f"""`offshoot local stripe` by itself, filled through its API with {CUSTOMERS:,} platform customers
who have a card each; events, the call log and the idempotency keys are kept as always, no webhook endpoint
listens. Load by wrk with one thread and {CONNECTIONS} connections, every write under a key of its own;
{ROUNDS} rounds of {ROUND_S} s each, interleaved, medians; for the filling, of its rounds. CPU is user and
system time of the emulator's process, by the kernel's count; requests a CPU second are what a core takes."""

ADA = "name=Ada+Lovelace&email=ada%40example.com&metadata[connected_accounts]=acct_1%2Cacct_2"
Calls = Sequence[Mapping[str, str]]


def measure(infrastructure: Infrastructure) -> Table:
    """Fill an emulator, then measure its answers to some kinds of calls."""
    folder = infrastructure.folder / "emulator"
    folder.mkdir()
    with _emulator(folder) as (process, port):
        api = httpx.Client(base_url=f"http://127.0.0.1:{port}", auth=(DEFAULT_API_KEY, ""))
        new = [_post("/v1/customers", f"{ADA}&payment_method=pm_card_visa")]
        filling = list(_fill(process, port, _written(folder, "fill", new)))
        kinds = {
            name: _written(folder, f"kind{place}", calls)
            for place, (name, calls) in enumerate(_kinds(api).items())
        }
        rounds: dict[str, list[Figures]] = {name: [] for name in kinds}
        for number in range(ROUNDS + 1):
            for name, calls in kinds.items():
                figures = _load(process, port, calls, f"{calls.stem}-{number}")
                if number > 0:
                    rounds[name].append(figures)
        memory = _memory_mib(process.pid)
        api.close()
    measured = {"a customer with a card, while filling": filling, **rounds}
    rows = [_row(name, median(each)) for name, each in measured.items()]
    columns = ("calls", "requests a CPU second", "CPU µs", "requests/s", "p50 ms", "p99 ms")
    method = f"{METHOD} Memory at the end: {memory:,} MiB."
    return Table("The Stripe emulator", method, columns, rows)


@contextmanager
def _emulator(folder: Path) -> Iterator[tuple[ChildProcess, int]]:
    (port,) = free_ports(1)
    argv = [sys.executable, "-m", "deploy.cli", "local", "stripe", "--port", str(port)]
    log = folder / "emulator.log"
    process = ChildProcess(argv, log=log, env=os.environ, cwd=FOLDER.parents[1], name="emulator")
    process.start()
    try:
        process.wait_ready(lambda: accepts_connections(port), within_s=20)
        yield process, port
    finally:
        process.terminate(within_s=5)


def _fill(process: ChildProcess, port: int, calls: Path) -> Iterator[Figures]:
    made = number = 0
    while made < CUSTOMERS:
        number += 1
        figures = wrk(
            process, port, "emulator.lua", calls, f"f{number}", connections=CONNECTIONS, seconds=FILL_S
        )
        made += int(figures.per_second * FILL_S)
        yield figures


def _kinds(api: httpx.Client) -> dict[str, Calls]:
    """Give the calls to measure: those the product makes, and all of them in turn."""
    account = api.post("/v1/accounts", data={"type": "standard", "country": "US"}).json()["id"]
    customers = [each["id"] for each in api.get(f"/v1/customers?limit={SAMPLE}").json()["data"]]
    pairs = [(customer, _card(api, customer)) for customer in customers]
    reads = [{**_post(f"/v1/customers/{customer}"), "method": "GET"} for customer in customers]
    clones = [
        _post("/v1/payment_methods", f"customer={customer}&payment_method={card}", account)
        for customer, card in pairs
    ]
    saves = [_post("/v1/customers", f"{ADA}&payment_method=pm_card_visa", account)]
    lists = [{**read, "path": read["path"] + "/payment_methods"} for read in reads]
    mixed = [call for read, clone in zip(reads, clones, strict=True) for call in (read, clone, *saves)]
    return {
        "read a customer": reads,
        "list a customer's cards": lists,
        "clone a card": clones,
        "make a customer with a card": saves,
        "read, clone, make in turn": mixed,
    }


def _card(api: httpx.Client, customer: str) -> str:
    return str(api.get(f"/v1/customers/{customer}/payment_methods").json()["data"][0]["id"])


def _post(path: str, body: str = "", account: str = "") -> dict[str, str]:
    named = {"account": account} if account else {}
    return {"method": "POST", "path": path, "key": DEFAULT_API_KEY, "body": body, **named}


def _written(folder: Path, name: str, calls: Calls) -> Path:
    """Write calls as a Lua table."""
    lines = [
        "{" + ", ".join(f"{field} = {json.dumps(value)}" for field, value in call.items()) + "},"
        for call in calls
    ]
    path = folder / f"{name}.lua"
    path.write_text("return {\n" + "\n".join(lines) + "\n}\n", encoding="utf-8")
    return path


def _load(process: ChildProcess, port: int, calls: Path, prefix: str) -> Figures:
    return wrk(process, port, "emulator.lua", calls, prefix, connections=CONNECTIONS, seconds=ROUND_S)


def _row(name: str, each: Figures) -> tuple[str, ...]:
    return (
        name,
        f"{1e6 / each.cpu_us:,.0f}",
        f"{each.cpu_us:.0f}",
        f"{each.per_second:,.0f}",
        f"{each.p50_ms:.1f}",
        f"{each.p99_ms:.1f}",
    )


def _memory_mib(pid: int) -> int:
    facts: dict[str, Any] = dict(
        line.split(":", 1) for line in Path(f"/proc/{pid}/status").read_text(encoding="utf-8").splitlines()
    )
    return int(facts["VmRSS"].split()[0]) // 1024
