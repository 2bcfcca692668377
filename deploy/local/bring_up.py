"""Starting everything as an operator would, what does not wait for each other at the same time.

    Kafka, topics ───────┐
    Postgres, migrate ───┼──> serve, work
    Stripe emulator ─────┘

The parts start in threads while the main thread waits: that is where a signal is heard. Then, or when a part
fails, whatever runs is ended, so that the other threads end as well.
"""

import time
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_EXCEPTION, Future, ThreadPoolExecutor, wait
from typing import Final

from deploy.local.deployment import Deployment
from deploy.local.interrupts import Interrupts
from deploy.local.jars import locked_jars
from deploy.local.screen import Screen
from deploy.local.stack import Infrastructure

DATABASE: Final = "offshoot"
_AGAIN_S: Final = 0.1
_AT_ONCE: Final = 3


class BringUp:
    """Starts a described deployment on a described infrastructure, and shows each part as it comes up."""

    def __init__(
        self,
        infrastructure: Infrastructure,
        deployment: Deployment,
        *,
        screen: Screen,
        interrupts: Interrupts,
    ) -> None:
        self._infrastructure = infrastructure
        self._deployment = deployment
        self._screen = screen
        self._interrupts = interrupts

    def run(self) -> None:
        """Start all of it and wait until all of it is ready.

        Raises:
            Interrupted: a signal came; nothing is starting any more.
            PostgresError: another Postgres than expected is installed.
            JarsError: the jars of Kafka are not the locked ones.
            ChildError: a program failed; the text ends with its last words.
            httpx.HTTPError: the emulator did not take its webhook endpoints.
        """
        with self._interrupts.raised():
            locked_jars(say=self._screen.line)  # here, where a signal can end it: it may take minutes
        began = time.monotonic()
        self._at_once(self._stripe, self._database, self._kafka)
        self._at_once(self._serve, self._work)
        self._screen.line(f"      everything is up after {time.monotonic() - began:.1f} s")

    def _stripe(self) -> None:
        self._part("Stripe emulator", self._start_stripe)

    def _start_stripe(self) -> str:
        self._deployment.start_emulator()
        return self._deployment.stripe_url

    def _database(self) -> None:
        self._part(self._infrastructure.postgres.version, self._start_postgres)
        self._part("migrate", lambda: self._command("migrate"))

    def _start_postgres(self) -> str:
        self._infrastructure.start_postgres()
        return self._infrastructure.postgres.create_database(DATABASE)

    def _kafka(self) -> None:
        self._part(self._infrastructure.kafka.version, self._start_kafka)
        self._part("topics", lambda: self._command("topics"))

    def _start_kafka(self) -> str:
        self._infrastructure.start_kafka()
        address = self._infrastructure.kafka.bootstrap_servers
        self._deployment.kafka_bootstrap_servers = address
        return address

    def _command(self, name: str) -> str:
        self._deployment.run(name)
        return ""

    def _serve(self) -> None:
        def start() -> str:
            deployment = self._deployment
            deployment.serve = deployment.start_serve()
            deployment.wait_ready(deployment.serve, deployment.serve_ops_url)
            return deployment.webhook_url

        self._part("serve", start)

    def _work(self) -> None:
        def start() -> str:
            deployment = self._deployment
            deployment.work = deployment.start_work()
            deployment.wait_ready(deployment.work, deployment.work_ops_url)
            return f"{deployment.work_ops_url}/readyz"

        self._part("work", start)

    def _part(self, name: str, start: Callable[[], str]) -> None:
        """Start a part and show it; `start` returns where it is."""
        began = time.monotonic()
        with self._screen.pending(name):
            where = start()
        self._screen.up(name, time.monotonic() - began, where)

    def _at_once(self, *lines: Callable[[], None]) -> None:
        with ThreadPoolExecutor(_AT_ONCE) as pool:
            futures = [pool.submit(each) for each in lines]
            try:
                with self._interrupts.raised():
                    wait(futures, return_when=FIRST_EXCEPTION)
                for each in futures:
                    if each.done():
                        each.result()
            except BaseException:
                self._abandon(futures)
                raise

    def _abandon(self, futures: Sequence[Future[None]]) -> None:
        """End what runs until nothing starts any more: what a thread waits for has then ended."""
        while wait(futures, timeout=_AGAIN_S).not_done:
            self._infrastructure.kafka.kill()
            self._deployment.close()
