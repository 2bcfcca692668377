"""What tests of every kind share. A run starts only the servers that its tests ask for, once."""

import uuid
from collections.abc import Iterator

import pytest

from deploy.local.kafka import Kafka
from deploy.local.postgres import Postgres
from deploy.local.process import free_ports
from deploy.local.stack import Infrastructure


@pytest.fixture(scope="session")
def idle_infrastructure() -> Iterator[Infrastructure]:
    """A folder in which servers can be started; none runs."""
    with Infrastructure() as infrastructure:
        yield infrastructure


@pytest.fixture(scope="session")
def infrastructure(idle_infrastructure: Infrastructure) -> Infrastructure:
    """Postgres and Kafka, both running. A test that harms one starts its own instead."""
    idle_infrastructure.start()
    return idle_infrastructure


@pytest.fixture(scope="session")
def postgres(idle_infrastructure: Infrastructure) -> Postgres:
    """A running Postgres, shared by all tests."""
    idle_infrastructure.start_postgres()
    return idle_infrastructure.postgres


@pytest.fixture(scope="session")
def kafka(idle_infrastructure: Infrastructure) -> Kafka:
    """A running Kafka of one node, shared by all tests."""
    idle_infrastructure.start_kafka()
    return idle_infrastructure.kafka


@pytest.fixture
def database(postgres: Postgres) -> Iterator[str]:
    """The dsn of an empty database of this test's own."""
    name = f"test_{uuid.uuid4().hex}"
    yield postgres.create_database(name)
    postgres.drop_database(name)


@pytest.fixture
def topic_prefix() -> str:
    """What this test's topics begin with, and no other test's, such as "t1a2b3c4."."""
    return f"t{uuid.uuid4().hex[:7]}."


@pytest.fixture
def free_port() -> int:
    """A TCP port of 127.0.0.1 that nobody listens on."""
    return free_ports(1)[0]
