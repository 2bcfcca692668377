"""Creating the topics of `schemas.topics`, and telling where the brokers' topics differ from them.

A topic that exists is never changed: aiokafka's only call for that resets every setting it is not given.
"""

from dataclasses import dataclass
from enum import StrEnum

from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.errors import TopicAlreadyExistsError, for_code

from schemas import topics
from service.runtime.kafka.admin import TopicFacts, admin_client, default_replication, read_topics
from service.runtime.kafka.connection import client_options
from service.runtime.settings import TopicsSettings


class TopicState(StrEnum):
    """What was found, or done, about one topic."""

    OK = "ok"
    CREATED = "created"
    MISSING = "missing"
    DRIFT = "drift"
    FAILED = "failed"


@dataclass(frozen=True)
class TopicReport:
    """One topic of this deployment."""

    name: str
    state: TopicState
    details: tuple[str, ...] = ()
    """What differs, or why it failed: a sentence each."""


async def ensure_topics(settings: TopicsSettings, *, create: bool) -> list[TopicReport]:
    """Compare every topic with the brokers' and, if asked, create those that are missing.

    Raises:
        KafkaUnavailableError: the brokers could not be asked; it says why.

    """
    async with admin_client(client_options(settings), explain=True) as client:
        facts = await read_topics(client, [settings.topic(topic.name) for topic in topics.ALL])
        reports = []
        for topic in topics.ALL:
            found = facts.get(settings.topic(topic.name))
            if found is not None:
                reports.append(_compare(topic, found, settings))
            elif create:
                reports.append(await _create(client, topic, settings))
            else:
                reports.append(TopicReport(settings.topic(topic.name), TopicState.MISSING))
        return reports


def _compare(topic: topics.Topic, found: TopicFacts, settings: TopicsSettings) -> TopicReport:
    wanted_replication = settings.kafka_replication_factor
    details = []
    if found.partitions != topic.partitions:
        details.append(f"partitions: {found.partitions}, should be {topic.partitions}")
    if wanted_replication not in {-1, found.replication}:
        details.append(f"replication factor: {found.replication}, should be {wanted_replication}")
    if found.config is None:
        details.append("its configuration cannot be read: the describe-configs permission is missing")
    # The replicas that it has ask for as many in sync, whoever decided how many those are.
    for name, wanted in topic.config(max(wanted_replication, found.replication)).items():
        actual = wanted if found.config is None else found.config.get(name)
        if actual != wanted:
            details.append(f"{name}: {actual}, should be {wanted}")
    state = TopicState.DRIFT if details else TopicState.OK
    return TopicReport(settings.topic(topic.name), state, tuple(details))


async def _create(client: AIOKafkaAdminClient, topic: topics.Topic, settings: TopicsSettings) -> TopicReport:
    name, replication = settings.topic(topic.name), settings.kafka_replication_factor
    copies = await default_replication(client) if replication == -1 else replication
    new = NewTopic(
        name,
        topic.partitions,
        replication,
        # aiokafka takes the broker's default, -1, only beside an assignment; an empty one says nothing.
        replica_assignments={} if replication == -1 else None,
        topic_configs=topic.config(copies),
    )
    response = await client.create_topics([new])
    # It never raises: what went wrong is in the answer, (topic, code, message).
    _, code, *message = response.topic_errors[0]
    if code == 0:
        return TopicReport(name, TopicState.CREATED)
    if code == TopicAlreadyExistsError.errno:  # made by somebody else meanwhile
        found = await read_topics(client, [name])
        return _compare(topic, found[name], settings) if name in found else TopicReport(name, TopicState.OK)
    reason = f"{for_code(code).__name__}: {message[0] if message else ''}".rstrip(": ")
    return TopicReport(name, TopicState.FAILED, (reason,))
