"""The topics: what the contract says of each."""

from schemas import topics


def test_every_topic_of_the_contract() -> None:
    assert {topic.name: (topic.partitions, topic.config(-1)) for topic in topics.ALL} == {
        name: (12, {"cleanup.policy": "delete", "max.message.bytes": "2097152", "retention.ms": retention_ms})
        for name, retention_ms in [
            ("stripe.events", "2592000000"),
            ("offshoot.dead-letters", "2592000000"),
            ("offshoot.commands", "604800000"),
            ("offshoot.command-results", "604800000"),
        ]
    } | {
        "offshoot.payment-methods": (12, {"cleanup.policy": "compact", "max.message.bytes": "2097152"}),
    }


def test_three_replicas_make_two_in_sync_a_must() -> None:
    insync = "min.insync.replicas"
    assert [topics.STRIPE_EVENTS.config(replication).get(insync) for replication in (-1, 1, 2, 3, 5)] == [
        None,
        None,
        None,
        "2",
        "2",
    ]
