"""TLS and SASL to a real broker: every way in carries a record, and every wrong setting is told by its name.

One broker has all the listeners; the certificates are made here.
"""

import asyncio
import os
import socket
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import uvloop

from deploy.local.kafka import Kafka
from deploy.local.process import ChildProcess
from deploy.local.security import Listener, Security
from schemas import topics
from service.runtime.kafka.connection import client_options
from service.runtime.kafka.diagnosis import WITHIN_S, diagnose
from service.runtime.settings import KafkaSettings
from tests.integration.receiver import SCRIPT, Serve, event, records
from tests.support.certificates import Authority, Certified

pytestmark = pytest.mark.slow

USER, PASSWORD = "alice", "looking-glass-1871"
NO_FAULT = "no fault is found now: a broker lets this client in"
LISTENERS = (
    Listener("TLS", "SSL"),
    Listener("MUTUAL", "SSL", client_certificate=True),
    Listener("LOGIN", "SASL_SSL", ("SCRAM-SHA-512", "PLAIN")),
    Listener("CLEAR", "SASL_PLAINTEXT", ("SCRAM-SHA-256",)),
    Listener("ELSEWHERE", "SSL", advertised="127.0.0.1:1"),
)


@dataclass(frozen=True, slots=True)
class World:
    """A broker with every kind of listener, and what clients need to be let in by each."""

    kafka: Kafka
    ours: Authority
    theirs: Authority
    our_client: Certified
    their_client: Certified

    def address(self, listener: str) -> str:
        """Where a listener is; PLAINTEXT is the one without security."""
        return self.kafka.bootstrap(listener)

    def settings(self, way: str) -> dict[str, str]:
        """The settings, without their prefix, of a client that is let in by this way."""
        certificate = {
            "KAFKA_CERT_FILE": str(self.our_client.chain),
            "KAFKA_KEY_FILE": str(self.our_client.key),
        }
        login = {"KAFKA_SASL_USERNAME": USER, "KAFKA_SASL_PASSWORD": PASSWORD}
        listener, protocol, more = {
            "plain": ("PLAINTEXT", "PLAINTEXT", {}),
            "tls": ("TLS", "SSL", {}),
            "mutual": ("MUTUAL", "SSL", certificate),
            "scram-512": ("LOGIN", "SASL_SSL", {"KAFKA_SASL_MECHANISM": "SCRAM-SHA-512", **login}),
            "login-plain": ("LOGIN", "SASL_SSL", {"KAFKA_SASL_MECHANISM": "PLAIN", **login}),
            "scram-256": ("CLEAR", "SASL_PLAINTEXT", {"KAFKA_SASL_MECHANISM": "SCRAM-SHA-256", **login}),
            "elsewhere": ("ELSEWHERE", "SSL", {}),
        }[way]
        return {
            "KAFKA_BOOTSTRAP_SERVERS": self.address(listener),
            "KAFKA_SECURITY_PROTOCOL": protocol,
            "KAFKA_CA_FILE": str(self.ours.ca_file),
            **more,
        }


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """The broker, started once."""
    folder = tmp_path_factory.mktemp("secured")
    ours, theirs = Authority.make(folder / "ours"), Authority.make(folder / "theirs")
    security = Security(LISTENERS, {USER: PASSWORD}, ours.sign("127.0.0.1").both, ours.ca_file)
    client = "offshoot.example"
    kafka = Kafka(folder)
    try:
        kafka.start(security=security)
        yield World(kafka, ours, theirs, ours.sign(client), theirs.sign(client))
    finally:
        kafka.kill()


def run_topics(folder: Path, settings: dict[str, str]) -> tuple[int | None, str]:
    """Run `offshoot topics`; give its status and what it printed and logged."""
    process = ChildProcess(
        [*SCRIPT, "topics"],
        log=folder / "topics.log",
        env={"PATH": os.environ["PATH"], **{f"OFFSHOOT_{name}": value for name, value in settings.items()}},
        cwd=folder,
    )
    process.start()
    assert process.wait_ended(20)
    return process.status, process.output()


@pytest.mark.parametrize("way", ["tls", "mutual", "scram-512", "login-plain", "scram-256"])
def test_a_record_goes_through(world: World, way: str, topic_prefix: str, tmp_path: Path) -> None:
    """`offshoot topics` makes the topics and `offshoot serve` publishes, both as they run in production."""
    settings = {**world.settings(way), "KAFKA_TOPIC_PREFIX": topic_prefix}
    status, output = run_topics(tmp_path, settings)
    assert (status, output.count("created ")) == (0, len(topics.ALL)), output
    servers = settings.pop("KAFKA_BOOTSTRAP_SERVERS")
    body = event()
    with Serve(tmp_path, servers, **settings) as serve:
        serve.wait_ready()
        assert serve.post(body) == (200, b'{"received":true}')
    assert PASSWORD not in serve.process.output()
    found = records(world.address("PLAINTEXT"), f"{topic_prefix}stripe.events")
    assert [record.value for record in found] == [body]


def options(settings: dict[str, str]) -> dict[str, Any]:
    """What a client is given by these settings."""
    words = {name.lower(): value for name, value in settings.items()}
    return client_options(KafkaSettings(**words))  # type: ignore[arg-type]  # as the environment gives them


@pytest.fixture(params=[asyncio.new_event_loop, uvloop.new_event_loop], ids=["asyncio", "uvloop"])
def ask(request: pytest.FixtureRequest) -> Callable[[dict[str, Any]], str]:
    """Diagnose on the event loop of `topics` and on that of `serve` and `work`: their TLS is not the same."""

    def run(given: dict[str, Any]) -> str:
        with asyncio.Runner(loop_factory=request.param) as runner:
            return runner.run(diagnose(given))

    return run


@dataclass(frozen=True, slots=True)
class Mistake:
    """Settings of a way that works, with one thing wrong, and the sentence for it; {} is the address."""

    name: str
    way: str
    change: Callable[[World], dict[str, str]]
    sentence: str


def at(listener: str, host: str = "127.0.0.1") -> Callable[[World], dict[str, str]]:
    """The address of another listener, or the same by another name."""
    return lambda world: {
        "KAFKA_BOOTSTRAP_SERVERS": world.address(listener).replace("127.0.0.1", host),
    }


def plain(**changes: str) -> Callable[[World], dict[str, str]]:
    """Other values."""
    return lambda _: changes


SIGNED = "the broker at {} presents a certificate that no CA trusted here has signed"
MISTAKES = [
    Mistake(
        "connection refused",
        "tls",
        plain(KAFKA_BOOTSTRAP_SERVERS="127.0.0.1:1"),
        "OFFSHOOT_KAFKA_BOOTSTRAP_SERVERS: nothing takes connections at {}",
    ),
    Mistake(
        "unknown host",
        "tls",
        plain(KAFKA_BOOTSTRAP_SERVERS="kafka.invalid:9093"),
        "OFFSHOOT_KAFKA_BOOTSTRAP_SERVERS: the host name of {} is not known here",
    ),
    Mistake(
        "TLS expected, plaintext there",
        "tls",
        at("PLAINTEXT"),
        "OFFSHOOT_KAFKA_SECURITY_PROTOCOL: is SSL, but the broker at {} speaks PLAINTEXT",
    ),
    Mistake(
        "plaintext expected, TLS there",
        "plain",
        at("TLS"),
        "OFFSHOOT_KAFKA_SECURITY_PROTOCOL: is PLAINTEXT, but the broker at {} speaks SSL",
    ),
    Mistake(
        "plaintext expected, TLS with client certificates there",
        "plain",
        at("MUTUAL"),
        "OFFSHOOT_KAFKA_SECURITY_PROTOCOL: is PLAINTEXT, but the broker at {} speaks SSL or SASL_SSL",
    ),
    Mistake(
        "login expected, none there",
        "scram-512",
        at("TLS"),
        "OFFSHOOT_KAFKA_SECURITY_PROTOCOL: is SASL_SSL, but the broker at {} speaks SSL",
    ),
    Mistake(
        "no login expected, one there",
        "plain",
        at("CLEAR"),
        "OFFSHOOT_KAFKA_SECURITY_PROTOCOL: is PLAINTEXT, but the broker at {} speaks SASL_PLAINTEXT",
    ),
    Mistake(
        "wrong CA",
        "tls",
        lambda world: {"KAFKA_CA_FILE": str(world.theirs.ca_file)},
        f"OFFSHOOT_KAFKA_CA_FILE: {SIGNED}",
    ),
    Mistake(
        "wrong host name",
        "tls",
        at("TLS", "localhost"),
        "OFFSHOOT_KAFKA_BOOTSTRAP_SERVERS: the broker at {} presents a certificate for another name",
    ),
    Mistake(
        "missing client certificate",
        "tls",
        at("MUTUAL"),
        "OFFSHOOT_KAFKA_CERT_FILE: the broker at {} asks for a client certificate",
    ),
    Mistake(
        "a stranger's client certificate",
        "mutual",
        lambda world: {
            "KAFKA_CERT_FILE": str(world.their_client.chain),
            "KAFKA_KEY_FILE": str(world.their_client.key),
        },
        "OFFSHOOT_KAFKA_CERT_FILE: the broker at {} refuses this client certificate",
    ),
    Mistake(
        "wrong mechanism",
        "scram-512",
        plain(KAFKA_SASL_MECHANISM="SCRAM-SHA-256"),
        "OFFSHOOT_KAFKA_SASL_MECHANISM: is SCRAM-SHA-256, but the broker at {} takes PLAIN, SCRAM-SHA-512",
    ),
    Mistake(
        "wrong user",
        "scram-512",
        plain(KAFKA_SASL_USERNAME="mallory"),
        "OFFSHOOT_KAFKA_SASL_USERNAME: the broker at {} knows no such user with SCRAM-SHA-512",
    ),
    Mistake(
        "wrong password",
        "scram-512",
        plain(KAFKA_SASL_PASSWORD="mallory-1"),
        "OFFSHOOT_KAFKA_SASL_PASSWORD: the broker at {} knows the user and refuses the password",
    ),
    Mistake(
        "wrong password, PLAIN",
        "login-plain",
        plain(KAFKA_SASL_PASSWORD="mallory-1"),
        "OFFSHOOT_KAFKA_SASL_USERNAME or OFFSHOOT_KAFKA_SASL_PASSWORD: "
        "the broker at {} refuses them; PLAIN does not say which",
    ),
    Mistake(
        "advertised elsewhere",
        "elsewhere",
        plain(),
        "OFFSHOOT_KAFKA_BOOTSTRAP_SERVERS: nothing takes connections at 127.0.0.1:1; "
        "the broker at {} sends its clients there (advertised.listeners)",
    ),
]


@pytest.mark.parametrize("mistake", MISTAKES, ids=lambda mistake: mistake.name)
def test_a_mistake_is_told_by_its_setting(world: World, ask: Any, mistake: Mistake) -> None:
    settings = world.settings(mistake.way) | mistake.change(world)
    assert ask(options(settings)) == mistake.sentence.format(settings["KAFKA_BOOTSTRAP_SERVERS"])


@pytest.mark.parametrize("way", ["plain", "tls", "mutual", "scram-512", "login-plain", "scram-256"])
def test_where_nothing_is_wrong_no_fault_is_found(world: World, ask: Any, way: str) -> None:
    assert ask(options(world.settings(way))) == NO_FAULT


def test_a_broker_that_has_another_name_for_itself_is_no_fault(world: World, ask: Any) -> None:
    assert ask(options(world.settings("plain") | at("PLAINTEXT", "localhost")(world))) == NO_FAULT


def test_the_server_that_lets_us_get_furthest_tells_most(world: World, ask: Any) -> None:
    own = world.settings("tls")
    servers = f"127.0.0.1:1,{own['KAFKA_BOOTSTRAP_SERVERS']},kafka.invalid:9093"
    wrong = {**own, "KAFKA_BOOTSTRAP_SERVERS": servers, "KAFKA_CA_FILE": str(world.theirs.ca_file)}
    told = SIGNED.format(own["KAFKA_BOOTSTRAP_SERVERS"])
    assert ask(options(wrong)) == f"OFFSHOOT_KAFKA_CA_FILE: {told}"
    assert ask(options({**own, "KAFKA_BOOTSTRAP_SERVERS": servers})) == NO_FAULT


async def test_what_takes_connections_and_says_nothing() -> None:
    """As a frozen broker does. The answer comes within the limit all the same."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        address = f"127.0.0.1:{silent.getsockname()[1]}"
        began = time.monotonic()
        found = await diagnose({"bootstrap_servers": [address], "security_protocol": "PLAINTEXT"})
    assert found == f"OFFSHOOT_KAFKA_BOOTSTRAP_SERVERS: what listens at {address} does not answer"
    assert time.monotonic() - began < WITHIN_S


@pytest.mark.parametrize(
    "said",
    [
        b"HTTP/1.1 400 Bad Request\r\n\r\n",
        b"\0\0\0\x06\0\0\0\x01\0\0",  # cut off
        b"\0\0\0\x0a\0\0\0\x07\0\0\0\0\0\0",  # the answer to another question
        b"",
    ],
    ids=["http", "cut off", "another answer", "nothing"],
)
async def test_what_is_no_broker(said: bytes) -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1000)
        writer.write(said)
        if said:
            await reader.read()  # until the other side leaves
        writer.close()

    async with await asyncio.start_server(answer, "127.0.0.1", 0) as server:
        address = f"127.0.0.1:{server.sockets[0].getsockname()[1]}"
        found = await diagnose({"bootstrap_servers": [address], "security_protocol": "PLAINTEXT"})
    assert found == f"OFFSHOOT_KAFKA_BOOTSTRAP_SERVERS: what listens at {address} is no Kafka broker"


async def test_it_never_raises() -> None:
    assert await diagnose({}) == "the cause is not known: looking for it failed too (KeyError)"


def test_topics_tells_it_and_no_secret(world: World, tmp_path: Path) -> None:
    settings = world.settings("scram-512") | {"KAFKA_SASL_PASSWORD": "mallory-1", "LOG_FORMAT": "json"}
    status, output = run_topics(tmp_path, settings)
    assert status == 1
    assert output.splitlines()[-1] == (
        "Kafka cannot be asked (KafkaConnectionError). OFFSHOOT_KAFKA_SASL_PASSWORD: "
        f"the broker at {settings['KAFKA_BOOTSTRAP_SERVERS']} knows the user and refuses the password"
    )
    assert not any(secret in output for secret in (USER, PASSWORD, "mallory-1"))
