"""One run of `offshoot local`, from nothing to nothing: bring up, story, verdict, perhaps a stay, the end."""

import asyncio
import contextlib
from collections.abc import Callable, Coroutine, Mapping
from pathlib import Path
from typing import Any, Final

import httpx
from rich.console import Console

from deploy.local.bring_up import DATABASE, BringUp
from deploy.local.deployment import Deployment
from deploy.local.hints import hints
from deploy.local.interrupts import Interrupted, Interrupts
from deploy.local.jars import JarsError
from deploy.local.outsider import Outsider
from deploy.local.postgres import PostgresError
from deploy.local.process import ChildError
from deploy.local.screen import Screen
from deploy.local.stack import Infrastructure
from deploy.local.story import Announcements, StoryError, judge, play
from schemas.topics import PAYMENT_METHODS
from service.runtime.kafka.errors import KafkaUnavailableError
from service.runtime.kafka.tail import tail
from service.runtime.logging import configure

RIGHT: Final = 0
WRONG: Final = 1
_KAFKA_WITHIN_S: Final = 10.0
_GLANCE_S: Final = 0.5
_LOG_LINES_SHOWN: Final = 10
_PROCESSES: Final = ("stripe", "serve", "work")
_PLAYING: Final = (StoryError, KafkaUnavailableError, httpx.HTTPError)
_FAILURES: Final = (ChildError, PostgresError, JarsError, *_PLAYING, OSError)


def run(console: Console, *, stay: bool) -> int:
    """Play the story on servers of its own and return the exit status.

    Args:
        console: Where to draw.
        stay: Go on after the story, until a signal comes.
    """
    configure("console", "error")  # what the Kafka client has to say is in our errors
    screen = Screen(console)
    with Interrupts() as interrupts:
        session = _Session(screen, interrupts, stay=stay)
        try:
            status = session.run()
        except Interrupted:
            status = interrupts.exit_status if session.status is None else session.status
        except _FAILURES as error:
            screen.failure(_words(error))
            return WRONG
        screen.line("\nEverything is ended: no process and no file is left.")
    return status


class _Session:
    """What one run knows as it goes on; `status` is set once the story has been judged."""

    def __init__(self, screen: Screen, interrupts: Interrupts, *, stay: bool) -> None:
        self.status: int | None = None
        self._screen = screen
        self._interrupts = interrupts
        self._stay = stay

    def run(self) -> int:
        """Do all of it; at the end, however it comes, every process has ended and the folder is gone."""
        self._screen.heading(
            "Offshoot on this machine: a real Kafka, a real Postgres, an emulator for Stripe"
        )
        with Infrastructure() as infrastructure:
            logs = infrastructure.folder / "logs"
            logs.mkdir()
            deployment = Deployment(
                folder=logs,
                database_url=infrastructure.postgres.dsn(DATABASE),
                kafka_bootstrap_servers="",  # known once Kafka runs
            )
            with contextlib.closing(deployment):
                try:
                    BringUp(
                        infrastructure, deployment, screen=self._screen, interrupts=self._interrupts
                    ).run()
                    return self._play(infrastructure, deployment, logs)
                finally:
                    if self._interrupts.received is not None:
                        self._screen.line(f"\n{self._interrupts.received.name}: ending everything")

    def _play(self, infrastructure: Infrastructure, deployment: Deployment, logs: Path) -> int:
        """Play the story, and stay if wanted, while every process runs."""
        running = {
            "Postgres": lambda: infrastructure.postgres.running,
            "Kafka": lambda: infrastructure.kafka.running,
            "the Stripe emulator": lambda: deployment.emulator.running,
            "serve": lambda: deployment.serve.running,
            "work": lambda: deployment.work.running,
        }
        try:
            return asyncio.run(self._while_all_run(running, self._tell(deployment, logs)))
        except _PLAYING as error:
            ends = [_end_of(log) for log in (logs / f"{name}.log" for name in _PROCESSES)]
            raise StoryError("\n".join([_words(error), *filter(None, ends)])) from error

    async def _tell(self, deployment: Deployment, logs: Path) -> int:
        topic = PAYMENT_METHODS.name
        kafka = {"bootstrap_servers": deployment.kafka_bootstrap_servers}
        async with (
            Outsider(deployment.stripe_url) as platform,
            tail(kafka, topic, within_s=_KAFKA_WITHIN_S, client_id="offshoot-local") as records,
        ):
            announcements = Announcements(records, self._screen)
            self._screen.heading("The story")
            self._screen.line(f"Below each act, what other services then read from the topic {topic}:")
            self._screen.line(
                "time since the act, state, account, its customer, its clone, of which original."
            )
            accounts, customer, cards = await play(platform, announcements, self._screen)
            right = await judge(platform, announcements, self._screen, accounts=accounts, cards=cards)
            self.status = RIGHT if right else WRONG
            if self._stay:
                self._screen.heading("It stays up until Ctrl-C. What to try, in another terminal")
                for what, command in hints(deployment, accounts=accounts, customer=customer, logs=logs):
                    self._screen.hint(what, command)
                self._screen.heading("Records that come now")
                await announcements.follow()
            return self.status

    async def _while_all_run(
        self, running: Mapping[str, Callable[[], bool]], telling: Coroutine[Any, Any, int]
    ) -> int:
        """Await `telling`, unless a process ends first (StoryError) or a signal comes (Interrupted)."""
        stop = asyncio.Event()
        loop = asyncio.get_running_loop()
        told = asyncio.ensure_future(telling)
        ended = asyncio.ensure_future(_first_that_ended(running))
        stopped = asyncio.ensure_future(stop.wait())
        tasks = (told, ended, stopped)
        try:
            with self._interrupts.acting(lambda: loop.call_soon_threadsafe(stop.set)):
                await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            if stopped.done():
                raise Interrupted
            if ended.done():
                raise StoryError(f"{ended.result()} has ended before its time")
            return told.result()
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)


async def _first_that_ended(running: Mapping[str, Callable[[], bool]]) -> str:
    while True:
        for name, runs in running.items():
            if not runs():
                return name
        await asyncio.sleep(_GLANCE_S)


def _words(error: BaseException) -> str:
    said = str(error) or type(error).__name__
    if isinstance(error, KafkaUnavailableError):
        return f"Kafka cannot be read: {said}"
    if isinstance(error, httpx.HTTPError):
        return f"the Stripe emulator does not answer as it should: {said}"
    return said


def _end_of(log: Path) -> str:
    lines = log.read_text(errors="replace").splitlines()[-_LOG_LINES_SHOWN:]
    return "\n".join([f"the end of {log.name}:", *("    " + line for line in lines)]) if lines else ""
