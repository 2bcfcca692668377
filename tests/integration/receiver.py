"""A receiver as a process, webhooks signed as Stripe signs them, and a look at what is on a topic."""

import asyncio
import hmac
import json
import os
import sys
import time
import uuid
from pathlib import Path
from typing import Any, Self

import httpx
from aiokafka import AIOKafkaConsumer
from aiokafka.admin import NewTopic

from deploy.local.process import ChildProcess
from service.runtime.kafka.stop import stop_client
from tests.support.topics import make_topics

OLD, NEW, CONNECT = "whsec_old_0123456789", "whsec_new_0123456789", "whsec_connect_0123456789"
SECRETS = f"main={OLD},main={NEW},connect={CONNECT}"
PATH = "/webhooks/stripe"
SCRIPT = [sys.executable, "-W", "error", "-m", "deploy.cli"]
UP_S = 15.0
LIMIT = 1_048_576


def environment(bootstrap_servers: str, **settings: str) -> dict[str, str]:
    """The environment of a receiver on ports that the system chooses."""
    values = {
        "LIVEMODE": "false",
        "PLATFORM_ACCOUNT": "acct_platform",
        "KAFKA_BOOTSTRAP_SERVERS": bootstrap_servers,
        "WEBHOOK_SECRETS": SECRETS,
        "HTTP_PORT": "0",
        "OPS_PORT": "0",
        "LOG_FORMAT": "json",
        **settings,
    }
    return {"PATH": os.environ["PATH"], **{f"OFFSHOOT_{name}": value for name, value in values.items()}}


class Serve:
    """A receiver, from its start to its end."""

    def __init__(self, folder: Path, bootstrap_servers: str, **settings: str) -> None:
        self.process = ChildProcess(
            [*SCRIPT, "serve"],
            log=folder / f"{uuid.uuid4().hex}.log",
            env=environment(bootstrap_servers, **settings),
            cwd=folder,
            name="serve",
        )

    def __enter__(self) -> Self:
        self.process.start()
        self.process.wait_ready(lambda: len(self.listening()) == 2, within_s=UP_S)
        ports = self.listening()
        self.public = httpx.Client(base_url=f"http://127.0.0.1:{ports['public']}", timeout=20)
        self.ops = httpx.Client(base_url=f"http://127.0.0.1:{ports['ops']}", timeout=20)
        return self

    def __exit__(self, *_: object) -> None:
        self.public.close()
        self.ops.close()
        self.process.terminate(within_s=10)

    def logged(self, event: str) -> list[dict[str, Any]]:
        """What it has logged under that name."""
        lines = [line for line in self.process.output().splitlines(keepends=True) if line.endswith("\n")]
        return [entry for entry in map(json.loads, lines) if entry["event"] == event]

    def listening(self) -> dict[str, int]:
        """The ports it listens on."""
        return {entry["listener"]: entry["port"] for entry in self.logged("http.listening")}

    def wait_ready(self) -> None:
        """Wait until it says that it is ready."""
        self.process.wait_ready(lambda: self.public.get("/readyz").status_code == 200, within_s=UP_S)

    def post(self, body: bytes, **how: Any) -> tuple[int, bytes]:
        """Post a signed webhook."""
        response = self.public.post(PATH, content=body, headers={"Stripe-Signature": signed(body, **how)})
        return response.status_code, response.content


def signed(body: bytes, *, secret: str = NEW, passed_s: float = 0) -> str:
    """A signature made so many seconds ago."""
    at = int(time.time() - passed_s)
    return f"t={at},v1={hmac.new(secret.encode(), b'%d.' % at + body, 'sha256').hexdigest()}"


def event(**changes: Any) -> bytes:
    """An event of the platform, with an id of its own."""
    body = {
        "id": f"evt_{uuid.uuid4().hex}",
        "object": "event",
        "type": "payment_method.attached",
        "api_version": "2026-10-28.endive",
        "created": 1767225600,
        "livemode": False,
        "data": {"object": {"id": "pm_1", "customer": "cus_1", "billing_details": {"name": "Jürgen Käse"}}},
    }
    return json.dumps({**body, **changes}, ensure_ascii=False).encode()


def create_topic(bootstrap_servers: str, name: str, **config: str) -> None:
    """Make a topic of three partitions."""
    asyncio.run(make_topics(bootstrap_servers, [NewTopic(name, 3, 1, topic_configs=config)]))


def records(bootstrap_servers: str, topic: str) -> list[Any]:
    """Everything that is on a topic now."""

    async def read() -> list[Any]:
        consumer = AIOKafkaConsumer(
            topic,
            bootstrap_servers=bootstrap_servers,
            auto_offset_reset="earliest",
            max_partition_fetch_bytes=4 * LIMIT,
        )
        await consumer.start()
        try:
            missing = sum((await consumer.end_offsets(consumer.assignment())).values())
            found: list[Any] = []
            async with asyncio.timeout(20):
                while len(found) < missing:
                    for batch in (await consumer.getmany(timeout_ms=500)).values():
                        found.extend(batch)
            return found
        finally:
            await stop_client(consumer, 1)

    return asyncio.run(read())


def seconds_unavailable(serve: Serve) -> float:
    """How long it takes to say to a good webhook that it cannot be taken now."""
    began = time.monotonic()
    assert serve.post(event()) == (503, b'{"error":"unavailable"}')
    return time.monotonic() - began
