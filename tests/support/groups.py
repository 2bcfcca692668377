"""How far a consumer group is, asked from outside, as a dashboard would."""

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError

from service.runtime.kafka.stop import stop_client


async def committed(bootstrap_servers: str, group: str, topic: str) -> dict[int, int]:
    """The group's offset of each partition that has one; none where the brokers cannot tell yet."""
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap_servers, request_timeout_ms=5000)
    try:
        await admin.start()
        found = await admin.list_consumer_group_offsets(group)
    except (KafkaError, OSError):
        return {}
    finally:
        await stop_client(admin, 1)
    return {each.partition: found[each].offset for each in found if each.topic == topic}


async def lag(bootstrap_servers: str, group: str, topic: str) -> int:
    """Records of the topic that the group has not committed; what was never committed counts from 0."""
    consumer = AIOKafkaConsumer(topic, bootstrap_servers=bootstrap_servers)
    try:
        await consumer.start()
        partitions = [TopicPartition(topic, n) for n in consumer.partitions_for_topic(topic) or ()]
        ends = await consumer.end_offsets(partitions)
    finally:
        await stop_client(consumer, 1)
    done = await committed(bootstrap_servers, group, topic)
    return sum(end - done.get(each.partition, 0) for each, end in ends.items())
