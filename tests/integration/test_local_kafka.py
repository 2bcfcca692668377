import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from deploy.local.jars import LOCK, JarsError, check, locked_jars, read_lock
from deploy.local.kafka import Kafka, new_cluster_id
from deploy.local.process import ChildEnded, accepts_connections
from deploy.local.stack import Infrastructure
from tests.support.processes import Watch, descendants, state

STARTER = """
import signal
from deploy.local.stack import Infrastructure
with Infrastructure() as infrastructure:
    infrastructure.start()
    if FREEZE:
        infrastructure.postgres.freeze()
        infrastructure.kafka.nodes[0].freeze()
    print(infrastructure.folder, flush=True)
    signal.sigwait({signal.SIGUSR1})
"""


@pytest.fixture
def own_kafka(tmp_path: Path) -> Iterator[Kafka]:
    """A cluster to do harm to; it is not started."""
    cluster = Kafka(tmp_path)
    yield cluster
    cluster.kill()


def port_of(address: str) -> int:
    return int(address.rpartition(":")[2])


def test_kafka_4_4_answers(kafka: Kafka) -> None:
    assert kafka.version == "Apache Kafka 4.4.0"
    assert accepts_connections(port_of(kafka.bootstrap_servers))


@pytest.mark.slow
def test_the_life_of_a_node(own_kafka: Kafka, tmp_path: Path) -> None:
    """It is frozen, killed, started again on its port, stopped; and says why when it cannot start."""
    own_kafka.start()
    (node,) = own_kafka.nodes
    address = node.address
    node.freeze()
    assert state(node.pid) == "T"
    node.thaw()
    node.kill()
    assert not accepts_connections(node.port)
    node.start()
    assert (node.address, accepts_connections(node.port)) == (address, True)
    own_kafka.stop()
    assert not own_kafka.running
    shutil.rmtree(tmp_path / "node-1" / "data")
    with pytest.raises(
        ChildEnded, match=r"(?s)Kafka node 1 ended with status 1 .*No readable meta.properties"
    ):
        node.start()


@pytest.mark.slow
def test_three_nodes_start(own_kafka: Kafka) -> None:
    own_kafka.start(nodes=3)
    addresses = own_kafka.bootstrap_servers.split(",")
    assert [accepts_connections(port_of(address)) for address in addresses] == [True] * 3


def test_the_infrastructure_leaves_nothing_behind() -> None:
    """Both are up together; at the end their processes are gone and so is their folder."""
    with ExitStack() as watches:
        with Infrastructure() as infrastructure:
            infrastructure.start()
            pids = (infrastructure.postgres.pid, infrastructure.kafka.nodes[0].pid)
            watched = [watches.enter_context(Watch(pid)) for pid in pids]
        assert [watch.ended(within_s=0) for watch in watched] == [True, True]
    assert not infrastructure.folder.exists()


@pytest.mark.parametrize("frozen", [False, pytest.param(True, marks=pytest.mark.slow)])
def test_nothing_outlives_a_killed_parent(*, frozen: bool) -> None:
    """SIGKILL of the process that started them ends Postgres, its children and Kafka, even frozen ones."""
    program = STARTER.replace("FREEZE", str(frozen))
    with (
        subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True) as parent,
        ExitStack() as watches,
    ):
        assert parent.stdout is not None
        folder = Path(parent.stdout.readline().strip())
        pids = descendants(parent.pid)
        watched = [watches.enter_context(Watch(pid)) for pid in pids]
        parent.kill()
        assert len(pids) > 2
        assert [watch.ended(within_s=20) for watch in watched] == [True] * len(pids)
    with Infrastructure():
        assert not folder.exists()


def test_the_locked_jars_are_those_in_the_cache() -> None:
    jars = locked_jars(say=lambda _: None)
    assert {jar.name for jar in jars} == set(read_lock(LOCK))


def test_a_jar_that_is_not_as_locked_is_refused(tmp_path: Path) -> None:
    """Missing, extra and different: each is named, and the last words say what to do."""
    wanted = {"kept.jar": "", "gone.jar": "", "changed.jar": "0" * 64}
    wanted["kept.jar"] = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"  # of nothing
    for name in ("kept.jar", "changed.jar", "extra.jar"):
        (tmp_path / name).touch()
    with pytest.raises(JarsError) as refused:
        check(tmp_path, wanted, advice="Renew the lock.")
    assert str(refused.value) == (
        f"{tmp_path} does not hold the locked jars: "
        "gone.jar is missing, extra.jar is not in the lock, changed.jar differs. Renew the lock."
    )


def test_kafka_does_not_start_from_tampered_jars(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The jars are compared with the lock at every start, not only when they are fetched."""
    (folder,) = {jar.parent for jar in locked_jars(say=lambda _: None)}
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    copy = shutil.copytree(folder, tmp_path / "offshoot" / folder.name)
    (copy / "kafka_2.13-4.4.0.jar").write_bytes(b"not a jar")
    with pytest.raises(
        JarsError, match=r"kafka_2\.13-4\.4\.0\.jar differs. Remove that folder to fetch them anew"
    ):
        Kafka(tmp_path).start()


def test_a_cluster_id_is_never_taken_for_an_option() -> None:
    """One in 64 would begin with a dash, and Kafka's tool would refuse it."""
    assert not [made for made in (new_cluster_id() for _ in range(2000)) if made.startswith("-")]
