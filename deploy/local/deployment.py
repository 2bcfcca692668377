"""One deployment on this machine: the Stripe emulator, and `serve` and `work` as they run in production.

Everything but the emulator is the real thing, started as an operator would: `migrate`, `topics`, then the two
processes, with settings from the environment. `offshoot local` and the tests stand on it.
"""

import contextlib
import os
import sys
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

import httpx

from deploy.local.process import ChildProcess, accepts_connections, free_ports
from deploy.stripe_emulator.app import DEFAULT_API_KEY

_LOOPBACK: Final = "127.0.0.1"
READY_WITHIN_S: Final = 30.0
STOP_WITHIN_S: Final = 10.0


class Deployment:
    """Enter to start everything, leave to end it all; the processes can be killed and started in between."""

    def __init__(
        self,
        *,
        folder: Path,
        database_url: str,
        kafka_bootstrap_servers: str,
        topic_prefix: str = "",
        settings: dict[str, str] | None = None,
    ) -> None:
        """Describe it.

        Args:
            folder: for logs and as the working directory, so that no `.env` of the caller's is read.
            database_url: of an empty database.
            kafka_bootstrap_servers: of a running Kafka; may be set until something needs it.
            topic_prefix: put before every topic.
            settings: more settings, names without `OFFSHOOT_`.
        """
        stripe, http, ops_serve, ops_work = free_ports(4)
        self.http_port = http
        self.stripe_url = f"http://{_LOOPBACK}:{stripe}"
        self.webhook_url = f"http://{_LOOPBACK}:{http}/webhooks/stripe"
        self.serve_ops_url = f"http://{_LOOPBACK}:{ops_serve}"
        self.work_ops_url = f"http://{_LOOPBACK}:{ops_work}"
        self.database_url = database_url
        self.kafka_bootstrap_servers = kafka_bootstrap_servers
        self.topic_prefix = topic_prefix
        self.webhook_secrets: dict[str, str] = {}
        self._folder = folder
        self._ports = {"stripe": stripe, "serve": ops_serve, "work": ops_work}
        self._common = {
            "LIVEMODE": "false",
            "KAFKA_TOPIC_PREFIX": topic_prefix,
            "KAFKA_REPLICATION_FACTOR": "1",
            "LOG_FORMAT": "json",
            "HTTP_PORT": str(http),
            "DATABASE_URL": database_url,
            "STRIPE_API_KEY": DEFAULT_API_KEY,
            "STRIPE_API_BASE": self.stripe_url,
            **(settings or {}),
        }
        self._undo = contextlib.ExitStack()
        self.emulator = self._child("stripe", ["local", "stripe", "--port", str(stripe)], {})
        self.serve: ChildProcess
        self.work: ChildProcess

    def __enter__(self) -> Self:
        """Start everything and wait until all of it is ready."""
        with contextlib.ExitStack() as undo:
            undo.callback(self._undo.close)
            self.start_emulator()
            for command in ("migrate", "topics"):
                self.run(command)
            self.serve = self.start_serve()
            self.work = self.start_work()
            self.wait_ready(self.serve, self.serve_ops_url)
            self.wait_ready(self.work, self.work_ops_url)
            undo.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End all processes."""
        self.close()

    def close(self) -> None:
        """End all processes, the ones that write first. Callable again, also while a thread starts more."""
        self._undo.close()

    def start_emulator(self) -> None:
        """Start the Stripe emulator, wait until it answers, and have it post its webhooks to `serve`."""
        self._start(self.emulator)
        port = self._ports["stripe"]
        self.emulator.wait_ready(lambda: accepts_connections(port), within_s=READY_WITHIN_S)
        self._make_endpoints()

    def run(self, *command: str) -> None:
        """Run an `offshoot` command to its end; fails as a `ChildError` that shows what it printed."""
        self.offshoot(command[0], *command).run(within_s=READY_WITHIN_S)

    def start_serve(self) -> ChildProcess:
        """Start a `serve`; does not wait until it is ready."""
        return self._start(self.offshoot("serve", "serve"))

    def start_work(self) -> ChildProcess:
        """Start a `work`; does not wait until it is ready."""
        return self._start(self.offshoot("work", "work"))

    def start_another_work(self) -> ChildProcess:
        """Start one more `work` beside the first, with an ops port of its own."""
        name = f"work-{len(self._ports)}"
        (self._ports[name],) = free_ports(1)
        return self._start(self.offshoot(name, "work"))

    def wait_ready(self, process: ChildProcess, ops_url: str) -> None:
        """Wait until `/readyz` says so."""
        process.wait_ready(lambda: _says_ready(ops_url), within_s=READY_WITHIN_S)

    def offshoot(self, name: str, *command: str) -> ChildProcess:
        """Describe an `offshoot` process with this deployment's settings."""
        secrets = ",".join(f"{each}={secret}" for each, secret in self.webhook_secrets.items())
        settings = {
            "KAFKA_BOOTSTRAP_SERVERS": self.kafka_bootstrap_servers,
            **self._common,
            "WEBHOOK_SECRETS": secrets,
            "OPS_PORT": str(self._ports.get(name, self._ports["work"])),
        }
        return self._child(name, list(command), settings)

    def _make_endpoints(self) -> None:
        """Make the two endpoints of a platform: its own events, and those of its connected accounts."""
        for name, connect in (("platform", "false"), ("connect", "true")):
            answer = httpx.post(
                f"{self.stripe_url}/v1/webhook_endpoints",
                headers={"Authorization": f"Bearer {DEFAULT_API_KEY}"},
                data={"url": self.webhook_url, "enabled_events[]": "*", "connect": connect},
                trust_env=False,
            )
            body: dict[str, Any] = answer.raise_for_status().json()
            self.webhook_secrets[name] = body["secret"]

    def _child(self, name: str, command: list[str], settings: dict[str, str]) -> ChildProcess:
        inherited = {key: value for key, value in os.environ.items() if not key.startswith("OFFSHOOT_")}
        return ChildProcess(
            [sys.executable, "-m", "deploy.cli", *command],
            log=self._folder / f"{name}.log",
            env={
                **inherited,
                **dict.fromkeys(("NO_PROXY", "no_proxy"), _LOOPBACK),  # all that it speaks to is here
                "PYTHONPATH": str(Path(__file__).parents[2]),
                **{f"OFFSHOOT_{key}": value for key, value in settings.items()},
            },
            cwd=self._folder,
            name=name,
        )

    def _start(self, child: ChildProcess) -> ChildProcess:
        self._undo.callback(lambda: child.terminate(within_s=STOP_WITHIN_S))
        child.start()
        return child


def _says_ready(ops_url: str) -> bool:
    try:
        return httpx.get(f"{ops_url}/readyz", trust_env=False).is_success
    except httpx.TransportError:
        return False
