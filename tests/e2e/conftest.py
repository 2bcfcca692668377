"""A whole deployment for the tests of this folder: each test has its own customers and accounts in it."""

import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator

import asyncpg
import pytest

from deploy.local.deployment import Deployment
from deploy.local.stack import Infrastructure
from tests.support.platform import Platform
from tests.support.records import Records
from tests.support.results import Results

PREFIX = "e2e."
STRIPE_TIMEOUT_S = 5


@pytest.fixture(scope="session")
def deployment(infrastructure: Infrastructure) -> Iterator[Deployment]:
    """Emulator, serve and work, as separate processes over real Kafka and real Postgres."""
    folder = infrastructure.folder / "e2e"
    folder.mkdir()
    running = Deployment(
        folder=folder,
        database_url=infrastructure.postgres.create_database(f"e2e_{uuid.uuid4().hex}"),
        kafka_bootstrap_servers=infrastructure.kafka.bootstrap_servers,
        topic_prefix=PREFIX,
        settings={
            "STRIPE_REQUESTS_PER_SECOND": "1000",
            "STRIPE_TIMEOUT_S": str(STRIPE_TIMEOUT_S),
            "LEASE_S": str(STRIPE_TIMEOUT_S + 15),
        },
    )
    with running:
        yield running


@pytest.fixture
async def platform(deployment: Deployment) -> AsyncIterator[Platform]:
    """The platform, at the emulator."""
    async with Platform(deployment.stripe_url) as platform:
        yield platform


@pytest.fixture
async def records(deployment: Deployment, infrastructure: Infrastructure) -> AsyncIterator[Records]:
    """What other services read."""
    topic = f"{deployment.topic_prefix}offshoot.payment-methods"
    async with Records(infrastructure.kafka.bootstrap_servers, topic) as records:
        yield records


@pytest.fixture
async def results(deployment: Deployment, infrastructure: Infrastructure) -> AsyncIterator[Results]:
    """What became of commands."""
    topic = f"{deployment.topic_prefix}offshoot.command-results"
    async with Results(infrastructure.kafka.bootstrap_servers, topic) as results:
        yield results


Intents = Callable[[str], Awaitable[list[str]]]


@pytest.fixture
def intents(deployment: Deployment) -> Intents:
    """The keys of the writes recorded for an account, oldest first."""

    async def keys(account: str) -> list[str]:
        connection = await asyncpg.connect(deployment.database_url)
        try:
            rows = await connection.fetch(
                "SELECT i.idempotency_key FROM offshoot.intent i JOIN offshoot.share s ON s.id = i.share_id"
                " WHERE s.account_id = $1 ORDER BY i.id",
                account,
            )
        finally:
            await connection.close()
        return [row["idempotency_key"] for row in rows]

    return keys
