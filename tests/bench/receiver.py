"""The receiver under load, against a bare 200 and against what one would usually write; interleaved."""

import json
import os
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import stripe

from deploy.local.deployment import Deployment
from deploy.local.process import ChildProcess, accepts_connections, free_ports
from deploy.local.stack import Infrastructure
from tests.bench.table import Table
from tests.bench.wrk import Figures, median, wrk

ROUNDS = 5
ROUND_S = 3
CONNECTIONS = (1, 64, 256)
BODIES = {"2 KB": (2_000, 400), "100 KB": (100_000, 40)}
PREFIX = "receiver."
BARE, USUAL = "bare 200", "usual"
ROOT = Path(__file__).parents[2]
METHOD = f"""One process each: uvicorn answering a bare 200; `offshoot serve` with logs at level warning, and
with the default level, a line a webhook; Starlette with `stripe.Webhook.construct_event` and aiokafka's
defaults with acks=all ("usual"). Warm Apache Kafka of one node, 12 partitions, acks=all. Load by wrk with one
thread and pre-signed requests, {" or ".join(str(count) for _, count in BODIES.values())} different ones in
turn, for {ROUND_S} s a round; {ROUNDS} rounds interleaved after one to warm up, medians. CPU is user and
system time of the server process alone, by the kernel's count. The ratios carry over to other machines, the
figures do not; load, brokers and servers share the cores, so that no figure is the most a server could do."""


REMARKS = """A tenth of the usual way's CPU is about what the bare 200 takes, which neither verifies nor
publishes: that figure of the design cannot be reached under this server.

Where the time goes at 64 connections and 2 KB, logs at warning (py-spy, 500 samples a second of 14 s,
2026-11-26, the machine shared): writing answers 26 %, writing to Kafka 15 %, the event loop with its reading
11 %; reading requests 9 %; signatures 6 %, decoding 6 %, CloudEvents headers 5 %; the key's partition 4 %,
batches and their checksums 5 %; metrics 2 %; the rest in small pieces. Samples in system calls hold time in
which another process had the core: by the kernel's count they are a fifth of the CPU.

Tried, each in one run against what was there before, the steps after the first on top of each other:

- a sender of our own for aiokafka's producer: 2.85 to 2.05 times the bare 200;
- the produce request put together in one go, answers prepared once a second, one timer for an idle
  connection, fewer masks in murmur2: 1.83 to 1.74;
- CloudEvents headers written out: 2.6 to 1.2 µs; only the facts of an event decoded: 1.6 to 1.0 µs at 2 KB,
  56 to 29 µs at 100 KB;
- without any gain: no garbage collection, other ways to an HMAC with a prepared key, smaller requests to the
  broker for bodies of 100 KB (a longer p99);
- not done: remembering the partitions of keys. It would gain 2 µs here, where the same keys come again and
  again, and nothing where they do not.

Of a body of 100 KB, SHA-256 takes 58 µs, the batch's CRC-32C 54 (aiokafka's is without the processor's
instruction for it) and JSON 29; most of the rest is copying it from socket to socket."""


def measure(infrastructure: Infrastructure) -> Table:
    """Measure the servers at every number of connections and size of body."""
    folder = infrastructure.folder / "receiver"
    folder.mkdir()
    rows: list[tuple[str, ...]] = []
    with _servers(infrastructure, folder) as (secret, servers):
        for size, (length, count) in BODIES.items():
            for connections in CONNECTIONS:
                requests = folder / "requests.lua"
                requests.write_text(_signed(secret, length, count), encoding="utf-8")
                rows += _compare(servers, requests, size, connections)
    columns = (
        "body",
        "connections",
        "server",
        "requests/s",
        "p50 ms",
        "p99 ms",
        "CPU µs a request",
        "CPU ÷ bare",
        "CPU ÷ usual",
        "requests/s ÷ usual",
    )
    return Table("The receiver", METHOD, columns, rows, REMARKS)


@contextmanager
def _servers(
    infrastructure: Infrastructure, folder: Path
) -> Iterator[tuple[str, dict[str, tuple[ChildProcess, int]]]]:
    secret = "whsec_" + "b" * 32
    ours = {
        f"offshoot, log level {level}": _deployment(infrastructure, folder / level, secret, level)
        for level in ("warning", "info")
    }
    environment = {
        **os.environ,
        "SECRET": secret,
        "TOPIC": f"{PREFIX}stripe.events",
        "BOOTSTRAP_SERVERS": infrastructure.kafka.bootstrap_servers,
    }
    ports = dict(zip(("bare", "usual"), free_ports(2), strict=True))
    with ExitStack() as undo:

        def started(process: ChildProcess, port: int) -> tuple[ChildProcess, int]:
            process.start()
            undo.callback(process.terminate, within_s=5)
            process.wait_ready(lambda: accepts_connections(port), within_s=20)
            return process, port

        def other(which: str) -> tuple[ChildProcess, int]:
            argv = [sys.executable, "-m", "tests.bench.servers", which, "--port", str(ports[which])]
            log = folder / f"{which}.log"
            return started(ChildProcess(argv, log=log, env=environment, cwd=ROOT, name=which), ports[which])

        next(iter(ours.values())).run("topics")
        servers = {BARE: other("bare")}
        for name, deployment in ours.items():
            servers[name] = started(deployment.offshoot("serve", "serve"), deployment.http_port)
            deployment.wait_ready(servers[name][0], deployment.serve_ops_url)
        servers[USUAL] = other("usual")
        yield secret, servers


def _deployment(infrastructure: Infrastructure, folder: Path, secret: str, level: str) -> Deployment:
    folder.mkdir()
    deployment = Deployment(
        folder=folder,
        database_url="postgresql://unused@127.0.0.1/unused",
        kafka_bootstrap_servers=infrastructure.kafka.bootstrap_servers,
        topic_prefix=PREFIX,
        settings={"LOG_LEVEL": level},
    )
    deployment.webhook_secrets["bench"] = secret
    return deployment


def _signed(secret: str, length: int, count: int) -> str:
    """Write a Lua table of signed events of about `length` bytes, each with an object of its own."""
    now = int(time.time()) + 100  # good for long enough to either side
    entries = []
    for number in range(count):
        event = {
            "id": f"evt_bench{number:06d}",
            "object": "event",
            "api_version": "2026-10-28.endive",
            "created": now,
            "type": "payment_method.attached",
            "livemode": False,
            "pending_webhooks": 1,
            "request": {"id": None, "idempotency_key": None},
            "account": f"acct_bench{number % 50:04d}",
            "data": {"object": {"id": f"pm_bench{number:06d}", "object": "payment_method", "fill": ""}},
        }
        body = json.dumps(event, indent=2)
        body = body.replace('"fill": ""', f'"fill": "{"x" * max(0, length - len(body))}"')
        header = stripe.WebhookSignature.generate_signature_header(body, secret, now)
        entries.append(f"{{{json.dumps(header)}, [==[{body}]==]}},")
    return "return {\n" + "\n".join(entries) + "\n}\n"


def _compare(
    servers: dict[str, tuple[ChildProcess, int]], requests: Path, size: str, connections: int
) -> list[tuple[str, ...]]:
    rounds: dict[str, list[Figures]] = {name: [] for name in servers}
    for number in range(ROUNDS + 1):
        for name, (process, port) in servers.items():
            figures = _load(process, port, requests, connections)
            if number > 0:
                rounds[name].append(figures)
    medians = {name: median(each) for name, each in rounds.items()}
    bare, usual = medians[BARE], medians[USUAL]
    return [
        (
            size,
            str(connections),
            name,
            f"{each.per_second:,.0f}",
            f"{each.p50_ms:.1f}",
            f"{each.p99_ms:.1f}",
            f"{each.cpu_us:.0f}",
            f"{each.cpu_us / bare.cpu_us:.2f}",
            f"{each.cpu_us / usual.cpu_us:.2f}",
            f"{each.per_second / usual.per_second:.1f}",
        )
        for name, each in medians.items()
    ]


def _load(process: ChildProcess, port: int, requests: Path, connections: int) -> Figures:
    return wrk(process, port, "load.lua", requests, connections=connections, seconds=ROUND_S)
