"""Child processes that begin when told, say why they failed, and never outlive this process.

    ChildError
    ├── ChildEnded     it ended although it should run, or ended with a failure: its log says why
    └── ChildNotReady  it runs, but was not ready in time

A child reads no terminal and hears no Ctrl-C (it is in a process group of its own): its parent ends it, in
order. If the parent cannot (SIGKILL), the kernel does (see tether.py).
"""

import functools
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from deploy.local import tether

_POLL_S: Final = 0.02
_LOG_LINES_SHOWN: Final = 15
_TETHER: Final = str(Path(tether.__file__).resolve())


class ChildError(Exception):
    """A child process did not do what it was started for."""


class ChildEnded(ChildError):  # noqa: N818 - the event is the name
    """A child ended although it should run, or ended with a failure."""


class ChildNotReady(ChildError):  # noqa: N818 - the state is the name
    """A child runs, but was not ready in time."""


@dataclass(frozen=True, slots=True)
class Account:
    """A user of the operating system to run a child as."""

    name: str
    uid: int
    gid: int


class ChildProcess:
    """One program, started at most once at a time; its output goes to the end of a log file."""

    def __init__(
        self,
        argv: Sequence[str | Path],
        *,
        log: Path,
        env: Mapping[str, str],
        cwd: Path,
        account: Account | None = None,
        death_signal: signal.Signals = signal.SIGKILL,
        name: str | None = None,
    ) -> None:
        """Describe a child.

        Args:
            argv: An absolute path, then its arguments.
            log: Where standard output and error are appended.
            env: The child's whole environment.
            cwd: The child's working folder.
            account: The user to run as; None for the present one. Another one needs root.
            death_signal: What the kernel sends to the child if this process dies.
            name: What messages call it; the file name of the program unless given.
        """
        self._argv = [str(word) for word in argv]
        self._log = log
        self._log_offset = 0
        self._env = dict(env)
        self._cwd = cwd
        self._account = account
        self._death_signal = death_signal
        self._popen: subprocess.Popen[bytes] | None = None
        self.name = name or Path(self._argv[0]).name

    @property
    def pid(self) -> int:
        """The process id of the child started last."""
        return self._started.pid

    @property
    def running(self) -> bool:
        """Whether it was started and has not ended; a frozen child counts as running."""
        return self._popen is not None and self._popen.poll() is None

    @property
    def status(self) -> int | None:
        """The exit status, negative for a signal; None while it runs."""
        return self._started.poll()

    def output(self) -> str:
        """What it has written since it was started last."""
        try:
            with self._log.open("rb") as log:
                log.seek(self._log_offset)
                return log.read().decode(errors="replace")
        except FileNotFoundError:
            return ""

    def start(self) -> None:
        """Start it and return at once; callable from any thread. A second start is a ValueError."""
        if self.running:
            raise ValueError(f"{self.name} runs already, as process {self.pid}")
        self._log_offset = self._log.stat().st_size if self._log.exists() else 0
        uid, gid = (self._account.uid, self._account.gid) if self._account else (tether.KEEP, tether.KEEP)
        words = (os.getpid(), int(self._death_signal), uid, gid)
        argv = [sys.executable, "-I", "-S", _TETHER, *map(str, words), *self._argv]
        self._popen = _spawner().submit(self._spawn, argv).result()

    def wait_ready(self, ready: Callable[[], bool], *, within_s: float) -> None:
        """Wait until `ready()` is true.

        Raises:
            ChildEnded: it ended first.
            ChildNotReady: it was not ready within `within_s` seconds.
        """
        deadline = time.monotonic() + within_s
        while not ready():
            if self.wait_ended(_POLL_S):
                raise ChildEnded(f"{self.name} {_how(self.status)} before it was ready{self._last_words()}")
            if time.monotonic() > deadline:
                raise ChildNotReady(f"{self.name} was not ready within {within_s:g} s{self._last_words()}")

    def wait_ended(self, within_s: float) -> bool:
        """Wait for its end; say whether it came within `within_s` seconds."""
        try:
            self._started.wait(within_s)
        except subprocess.TimeoutExpired:
            return False
        return True

    def run(self, *, within_s: float) -> str:
        """Start it, wait for its end and return what it wrote.

        Raises:
            ChildEnded: its exit status was not 0.
            ChildNotReady: it had not ended within `within_s` seconds, and was killed.
        """
        self.start()
        try:
            if not self.wait_ended(within_s):
                raise ChildNotReady(f"{self.name} had not ended within {within_s:g} s{self._last_words()}")
        finally:
            self.kill()
        if self.status != 0:
            raise ChildEnded(f"{self.name} {_how(self.status)}{self._last_words()}")
        return self.output()

    def terminate(self, *, within_s: float, by: signal.Signals = signal.SIGTERM) -> None:
        """Ask it to end; kill it if it has not within `within_s` seconds. Does nothing if it does not run."""
        if self.running:
            self.send(by)
            self.thaw()
            if not self.wait_ended(within_s):
                self.kill()

    def kill(self) -> None:
        """End it by SIGKILL, frozen or not, and wait until it is gone. Does nothing if it does not run."""
        if self.running:
            self.send(signal.SIGKILL)
            self._started.wait()

    def freeze(self) -> None:
        """Stop it where it is (SIGSTOP), as its peers see a lost machine; return when it stands still."""
        self.send(signal.SIGSTOP)
        os.waitid(os.P_PID, self.pid, os.WSTOPPED | os.WEXITED | os.WNOWAIT)

    def thaw(self) -> None:
        """Let a frozen child go on."""
        self.send(signal.SIGCONT)

    def send(self, number: signal.Signals) -> None:
        """Send it a signal; one that has ended hears nothing."""
        self._started.send_signal(number)

    @property
    def _started(self) -> subprocess.Popen[bytes]:
        if self._popen is None:
            raise ValueError(f"{self.name} was not started")
        return self._popen

    def _spawn(self, argv: list[str]) -> subprocess.Popen[bytes]:
        with self._log.open("ab") as log:
            return subprocess.Popen(
                argv,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=self._env,
                cwd=self._cwd,
                process_group=0,  # not a session of its own: if we die, the kernel wakes what is frozen in it
            )

    def _last_words(self) -> str:
        lines = self.output().splitlines()[-_LOG_LINES_SHOWN:]
        if not lines:
            return f"; its log {self._log} is empty"
        return "\n".join([f"; the end of its log {self._log}:", *("    " + line for line in lines)])


def free_ports(count: int) -> list[int]:
    """Ask the system for `count` different TCP ports of 127.0.0.1 that nobody listens on now."""
    with ExitStack() as held:
        sockets = [held.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]


def accepts_connections(port: int) -> bool:
    """Say whether something listens on that TCP port of 127.0.0.1."""
    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex(("127.0.0.1", port)) == 0


def _how(status: int | None) -> str:
    if status is not None and status < 0:
        return f"was ended by {signal.Signals(-status).name}"
    return f"ended with status {status}"


@functools.cache
def _spawner() -> ThreadPoolExecutor:
    """Return the one thread that starts children.

    The kernel's "parent died" signal is about the *thread* that started the child, so a child started from a
    pool's worker would die with that worker. This thread lives as long as the process.
    """
    return ThreadPoolExecutor(1, thread_name_prefix="spawner")
