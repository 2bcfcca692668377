"""`offshoot local` as its users run it: without a terminal, on one, interrupted, and failing."""

import hashlib
import io
import itertools
import os
import pty
import re
import select
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Self

import httpx
import pytest
from rich.console import Console

from deploy.local.jars import LOCK
from deploy.local.outsider import Outsider
from deploy.local.scratch import scratch_folder
from deploy.local.screen import Screen
from deploy.local.stack import Infrastructure, temporary_folder
from deploy.local.story import Announcements, judge
from deploy.local.verdict import Card
from service.runtime.kafka.consumer import Record
from service.runtime.kafka.errors import TopicMissingError
from service.runtime.kafka.tail import tail
from tests.support.processes import Watch, descendants

OFFSHOOT = str(Path(sys.executable).with_name("offshoot"))
ON_A_TERMINAL = f"import os; os.login_tty(0); os.execv({OFFSHOOT!r}, ['offshoot', 'local'])"
# Nothing of this may matter: a proxy that nobody runs, and settings of another deployment.
ELSEWHERE = {
    "http_proxy": "http://127.0.0.1:9",
    "OFFSHOOT_KAFKA_SECURITY_PROTOCOL": "SSL",
    "FORCE_COLOR": "1",
}
ENDS_WITHIN_S = 20
SILENT_S = 40
WORDS = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


@pytest.fixture
def temporary() -> Iterator[Path]:
    """A folder for temporary files, with the working folder of the command in it."""
    with scratch_folder("offshoot-test-", temporary_folder()) as folder:
        (folder / "cwd").mkdir()
        yield folder


def environment(temporary: Path, **more: str) -> dict[str, str]:
    return {**os.environ, **ELSEWHERE, "TMPDIR": str(temporary), **more}


def left_in(temporary: Path) -> list[str]:
    return sorted(str(path.relative_to(temporary)) for path in temporary.rglob("*"))


NOTHING = [".owner", "cwd"]


class Terminal:
    """The command on a terminal of its own; leaving the context ends it."""

    def __init__(self, temporary: Path) -> None:
        self._ours, theirs = pty.openpty()
        self.process = subprocess.Popen(
            [sys.executable, "-c", ON_A_TERMINAL],
            stdin=theirs,
            env=environment(temporary, TERM="xterm", COLUMNS="200", LINES="50"),
            cwd=temporary / "cwd",
        )
        os.close(theirs)
        self._raw = b""
        self._read_to = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        with self.process:
            self.process.terminate()
        os.close(self._ours)

    @property
    def text(self) -> str:
        """What it has drawn, without colours and movements."""
        return WORDS.sub("", self._raw.decode(errors="replace")).replace("\r\n", "\n")

    def press_ctrl_c(self) -> None:
        os.write(self._ours, b"\x03")

    def read_until(self, wanted: str) -> None:
        """Read on until it has been drawn, after what was read before."""
        while (found := self.text.find(wanted, self._read_to)) < 0:
            assert self._read(), f"it has ended without {wanted!r}: {self.text}"
        self._read_to = found + len(wanted)

    def read_to_the_end(self) -> None:
        while self._read():
            pass

    def _read(self) -> bool:
        poll = select.poll()
        poll.register(self._ours, select.POLLIN)
        assert poll.poll(SILENT_S * 1000), f"nothing drawn for {SILENT_S} s after {self.text}"
        try:
            self._raw += os.read(self._ours, 65536)
        except OSError:  # Linux's word for "nobody has the other side any more"
            return False
        return True


def test_without_a_terminal_it_plays_the_story_and_ends(temporary: Path) -> None:
    """It ends with 0, in plain lines, and leaves neither a process nor a file."""
    with (
        subprocess.Popen(
            [OFFSHOOT, "local"],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env=environment(temporary, ONCE="1"),
            cwd=temporary / "cwd",
        ) as process,
        ExitStack() as watches,
    ):
        watches.callback(process.terminate)
        assert process.stdout is not None
        lines = list(itertools.takewhile(lambda line: "everything is up" not in line, process.stdout))
        pids = descendants(process.pid)
        watched = [watches.enter_context(Watch(pid)) for pid in pids]
        lines += process.stdout
        assert process.wait(ENDS_WITHIN_S) == 0
        assert len(pids) > 4  # emulator, Kafka, Postgres and its own, serve, work
        assert [watch.ended(within_s=0) for watch in watched] == [True] * len(pids)
    said = "".join(lines)
    assert left_in(temporary) == NOTHING
    assert re.search(r"[^ -~\n]", said) is None
    parts = re.findall(r"^  ok  (.{18}) +[0-9.]+ s", said, re.MULTILINE)
    names = ["Apache Kafka 4.4.0", "PostgreSQL 18", "Stripe emulator", "migrate", "serve", "topics", "work"]
    assert sorted(re.sub(r"(PostgreSQL 18)\.\d+", r"\1", part).strip() for part in parts) == names
    states = re.findall(r"^ +[0-9]+ ms  (\w+) +(acct_\w+)  (\S+) +(\S+) +of  (pm_\w+)$", said, re.MULTILINE)
    assert [state for state, *_ in states].count("ready") == 6
    assert [ids for state, *ids in states if state == "blocked"] == [
        [third := states[3][1], "-", "capability_inactive", states[3][4]]
    ]
    assert said.count("one customer, its clones, its default; Kafka agrees") == 3
    assert f"      {third}       2       4          2         1            0\n" in said
    assert lines[-3] == "OK: 3 accounts, 2 clones on each, as it should be\n"


@pytest.mark.slow
def test_on_a_terminal_it_stays_and_shows_what_is_tried(temporary: Path) -> None:
    """The first hint works as it stands; SIGTERM is an orderly end."""
    with Terminal(temporary) as terminal:
        terminal.read_until("Records that come now")
        ((key, url, customer),) = re.findall(r"curl -s -u (\S+): (\S+/attach) -d (\S+)\n", terminal.text)
        httpx.post(url, auth=(key, ""), data=dict([customer.split("=")]), trust_env=False).raise_for_status()
        for _ in range(3):
            terminal.read_until("\n           ready    acct_")
        terminal.process.terminate()
        terminal.read_to_the_end()
        assert terminal.process.wait(ENDS_WITHIN_S) == 0
    assert left_in(temporary) == NOTHING


@pytest.mark.slow
def test_ctrl_c_during_the_start_ends_everything_in_order(temporary: Path) -> None:
    with Terminal(temporary) as terminal, ExitStack() as watches:
        terminal.read_until("ok  Stripe emulator")
        pids = descendants(terminal.process.pid)
        watched = [watches.enter_context(Watch(pid)) for pid in pids]
        terminal.press_ctrl_c()
        terminal.press_ctrl_c()
        terminal.read_to_the_end()
        assert terminal.process.wait(ENDS_WITHIN_S) == 128 + signal.SIGINT
        assert [watch.ended(within_s=0) for watch in watched] == [True] * len(pids)
    assert pids
    assert "Traceback" not in terminal.text
    assert terminal.text.splitlines()[-1] == "Everything is ended: no process and no file is left."
    assert left_in(temporary) == NOTHING


def test_what_fails_is_named_in_a_line(temporary: Path) -> None:
    """Here the jars in the user's cache are not those that are locked."""
    with scratch_folder("cache-", temporary) as cache:
        digest = hashlib.sha256(LOCK.read_bytes()).hexdigest()
        jars = cache / "offshoot" / f"kafka-jars-{digest[:16]}"
        jars.mkdir(parents=True)
        ended = subprocess.run(
            [OFFSHOOT, "local"],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            env=environment(temporary, XDG_CACHE_HOME=str(cache)),
            cwd=temporary / "cwd",
            timeout=ENDS_WITHIN_S,
        )
    (said,) = [line for line in ended.stdout.splitlines() if line.startswith("FAILED: ")]
    assert said.startswith(f"FAILED: {jars} does not hold the locked jars: ")
    assert said.endswith("Remove that folder to fetch them anew.")
    assert (ended.returncode, ended.stderr) == (1, "")
    assert left_in(temporary) == NOTHING


async def _no_records() -> AsyncIterator[Record]:
    return
    yield


@pytest.fixture
def emulator(temporary: Path) -> Iterator[str]:
    """The address of an emulator that runs alone."""
    with subprocess.Popen(
        [OFFSHOOT, "local", "stripe", "--port", "0"],
        stdout=subprocess.PIPE,
        text=True,
        env=environment(temporary),
        cwd=temporary / "cwd",
    ) as process:
        assert process.stdout is not None
        yield process.stdout.readline().split()[1]
        process.terminate()
    assert process.returncode == 0


async def test_a_wrong_end_is_judged_wrong(emulator: str) -> None:
    """Here an account holds nothing."""
    paper = io.StringIO()
    screen = Screen(Console(file=paper, force_terminal=False))
    async with Outsider(emulator) as platform:
        account = await platform.connect_account()
        nothing = Announcements(_no_records(), screen)
        cards = [Card("pm_1", "print")]
        assert not await judge(platform, nothing, screen, accounts=[account], cards=cards)
    assert f"  NO  {account}  has 0 customers, should have 1\n" in paper.getvalue()
    assert paper.getvalue().endswith("\nNOT OK: it is not as it should be, see above\n")


async def test_a_topic_that_is_not_there_cannot_be_read(infrastructure: Infrastructure) -> None:
    kafka = {"bootstrap_servers": infrastructure.kafka.bootstrap_servers}
    with pytest.raises(TopicMissingError):
        async with tail(kafka, "not-there", within_s=ENDS_WITHIN_S, client_id="test"):
            pass
