"""Every Prometheus metric of Offshoot, typed, with its labels: the only such list.

Base units, prefix `offshoot_`. No label holds an account, an object or an event's id; an event type only from
the list of types that Offshoot acts on.
"""

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    disable_created_metrics,
    generate_latest,
)

from schemas.stripe_event import RELEVANT_TYPES

_PUBLISH_BUCKETS = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 4, 8)


_STRIPE_BUCKETS = (0.05, 0.1, 0.2, 0.3, 0.5, 0.75, 1, 2, 5, 10, 30)


def type_label(event_type: str | None) -> str:
    """Give the label of an event type: itself if Offshoot acts on it, else `other`."""
    return event_type if event_type in RELEVANT_TYPES else "other"


class Metrics:
    """The metrics of one process, in a registry of their own."""

    def __init__(self) -> None:
        disable_created_metrics()  # type: ignore[no-untyped-call]
        self.registry = CollectorRegistry()
        self.webhooks = Counter(
            "offshoot_webhooks",
            "Webhook requests answered, by what became of them.",
            ("outcome", "endpoint", "type"),
            registry=self.registry,
        )
        self.webhook_bytes = Counter(
            "offshoot_webhook_bytes",
            "Bytes of webhook bodies read.",
            registry=self.registry,
        )
        self.webhooks_in_flight = Gauge(
            "offshoot_webhooks_in_flight",
            "Webhook requests being answered.",
            registry=self.registry,
        )
        self.publish_seconds = Histogram(
            "offshoot_publish_seconds",
            "Time from the first record of a batch to the broker's ack.",
            buckets=_PUBLISH_BUCKETS,
            registry=self.registry,
        )
        self.publish_failures = Counter(
            "offshoot_publish_failures",
            "Records whose ack did not come, by why.",
            ("reason",),
            registry=self.registry,
        )
        self.broker_connected = Gauge(
            "offshoot_broker_connected",
            "1 while the receiver has a Kafka client that works, else 0.",
            registry=self.registry,
        )

        self.events_ingested = Counter(
            "offshoot_events_ingested",
            "Relevant events written to the projections.",
            ("type",),
            registry=self.registry,
        )
        self.consumer_lag_records = Gauge(
            "offshoot_consumer_lag_records",
            "Records of this member's partitions that are not done, by topic.",
            ("topic",),
            registry=self.registry,
        )
        self.consumer_lag_seconds = Gauge(
            "offshoot_consumer_lag_seconds",
            "How long the oldest record that is not done has waited, by topic: alert on this.",
            ("topic",),
            registry=self.registry,
        )
        self.consumer_rebuilds = Counter(
            "offshoot_consumer_rebuilds",
            "Kafka clients replaced, by topic and why; `stalled` is no progress while there was a lag.",
            ("topic", "reason"),
            registry=self.registry,
        )
        self.consumer_held_partitions = Gauge(
            "offshoot_consumer_held_partitions",
            "Partitions read no further because too many records could not be read: a person is needed.",
            ("topic",),
            registry=self.registry,
        )
        self.dead_letters = Counter(
            "offshoot_dead_letters",
            "Records that could not be read and went to the dead letters, by their topic.",
            ("topic",),
            registry=self.registry,
        )
        self.shares_due = Gauge(
            "offshoot_shares_due",
            "Shares that wait to be worked on.",
            registry=self.registry,
        )
        self.share_oldest_due_seconds = Gauge(
            "offshoot_share_oldest_due_seconds",
            "How long the longest waiting share has been due.",
            registry=self.registry,
        )
        self.shares_worked = Counter(
            "offshoot_shares_worked",
            "Shares worked on, by how it ended.",
            ("ending",),
            registry=self.registry,
        )
        self.leases_taken_over = Counter(
            "offshoot_leases_taken_over",
            "Shares whose worker had not given them back in time.",
            registry=self.registry,
        )
        self.commands_received = Counter(
            "offshoot_commands_received",
            "Commands read, by what they ask for; those refused at once apart.",
            ("command",),
            registry=self.registry,
        )
        self.commands_worked = Counter(
            "offshoot_commands_worked",
            "Commands that need Stripe worked on, by how it ended.",
            ("ending",),
            registry=self.registry,
        )
        self.readings = Counter(
            "offshoot_readings",
            "Objects read at Stripe because what was heard was in doubt.",
            ("kind", "outcome"),
            registry=self.registry,
        )
        self.stripe_calls = Histogram(
            "offshoot_stripe_call_seconds",
            "Calls to Stripe, by what was asked and how it ended.",
            ("call", "outcome"),
            buckets=_STRIPE_BUCKETS,
            registry=self.registry,
        )
        self.stripe_key_accepted = Gauge(
            "offshoot_stripe_key_accepted",
            "1 while Stripe accepts the API key, 0 while every call waits for it.",
            registry=self.registry,
        )
        self.stripe_permission_missing = Gauge(
            "offshoot_stripe_permission_missing",
            "1 while Stripe forbids this kind of call to the API key.",
            ("call",),
            registry=self.registry,
        )
        self.actions_observed = Counter(
            "offshoot_actions_observed",
            "What would have been done at each look at a share, while nothing is written to Stripe.",
            ("action",),
            registry=self.registry,
        )
        self.stray_clones = Counter(
            "offshoot_stray_clones",
            "Clone calls given up without an answer: each may have left a clone that is attached to nobody.",
            registry=self.registry,
        )
        self.unknown_refusals = Counter(
            "offshoot_unknown_refusals",
            "Refusals of Stripe's that Offshoot does not know, perhaps a mistake of its own.",
            registry=self.registry,
        )
        self.records_relayed = Counter(
            "offshoot_records_relayed",
            "Records published from the outbox.",
            registry=self.registry,
        )
        self.outbox_oldest_seconds = Gauge(
            "offshoot_outbox_oldest_seconds",
            "How long the oldest record of the outbox has waited for Kafka: alert on this.",
            registry=self.registry,
        )
        self.relay_leading = Gauge(
            "offshoot_relay_leading",
            "1 while this process is the one that empties the outbox.",
            registry=self.registry,
        )

    def text(self) -> bytes:
        """Write all of them in Prometheus' text format."""
        return generate_latest(self.registry)
