"""Postgres and Kafka together, in a throw-away folder: what `offshoot local` and the tests stand on."""

import contextlib
import os
import stat
import tempfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from deploy.local.kafka import Kafka
from deploy.local.postgres import Postgres
from deploy.local.scratch import scratch_folder

PREFIX: Final = "offshoot-local-"


class Infrastructure:
    """Enter to make the folder, `start` what does not run, leave to end and remove it all."""

    def __init__(self, *, say: Callable[[str], None] = lambda _: None) -> None:
        """Describe the pair; `say` is told, in a line, of anything that takes long."""
        self.folder: Path
        self.postgres: Postgres
        self.kafka: Kafka
        self._say = say
        self._undo = contextlib.ExitStack()

    def __enter__(self) -> Self:
        """Make the folder."""
        self.folder = self._undo.enter_context(scratch_folder(PREFIX, temporary_folder()))
        for name in ("postgres", "kafka"):
            (self.folder / name).mkdir()
        self.postgres = Postgres(self.folder / "postgres")
        self.kafka = Kafka(self.folder / "kafka")
        self._undo.callback(self.postgres.stop)
        self._undo.callback(self.kafka.kill)  # an orderly end takes seconds, for data that goes anyway
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End both and remove the folder."""
        self._undo.close()

    def start(self) -> None:
        """Start what does not run yet, both at the same time, and wait until both answer.

        Raises:
            PostgresError: another Postgres than expected is installed.
            JarsError: the jars of Kafka are not the locked ones.
            ChildError: a program failed; the text ends with its last words.
        """
        # Kafka, the slow one, in this thread: a Ctrl-C interrupts it at once.
        with ThreadPoolExecutor(1) as beside:
            postgres = beside.submit(self.start_postgres)
            self.start_kafka()
            postgres.result()

    def start_postgres(self) -> None:
        """Start Postgres alone, unless it runs."""
        if not self.postgres.running:
            self.postgres.start()

    def start_kafka(self) -> None:
        """Start Kafka alone, unless it runs."""
        if not self.kafka.running:
            self.kafka.start(say=self._say)


def temporary_folder() -> Path:
    """Return the folder for temporary files; for root one that other users can reach, as Postgres needs."""
    usual = Path(tempfile.gettempdir())
    if os.geteuid() != 0:
        return usual
    choices = [usual, Path("/tmp"), Path("/var/tmp")]  # noqa: S108 - what is made inside has an unguessable name
    return next(filter(_everyone_may_enter, choices), usual)


def _everyone_may_enter(folder: Path) -> bool:
    real = folder.resolve()
    return real.is_dir() and all(path.stat().st_mode & stat.S_IXOTH for path in (real, *real.parents))
