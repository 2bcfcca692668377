"""The topics of Offshoot: names, partitions and what the broker is told about each. The only such list."""

from dataclasses import dataclass
from datetime import timedelta
from typing import Literal

MAX_MESSAGE_BYTES = 2_097_152
"""Of every topic, so that a webhook of 1 MiB passes with its headers."""

_FROM_REPLICATION = 3
_PARTITIONS = 12


@dataclass(frozen=True)
class Topic:
    """One topic, its name without the deployment's prefix."""

    name: str
    partitions: int
    cleanup: Literal["delete", "compact"]
    retention: timedelta | None
    """How long a record is kept; None is for ever."""

    def config(self, replication: int) -> dict[str, str]:
        """Give the topic's configuration at the broker; `replication` is -1 where the broker decides."""
        config = {"cleanup.policy": self.cleanup, "max.message.bytes": str(MAX_MESSAGE_BYTES)}
        if self.retention is not None:
            config["retention.ms"] = str(self.retention // timedelta(milliseconds=1))
        if replication >= _FROM_REPLICATION:
            config["min.insync.replicas"] = "2"
        return config


def _kept(name: str, days: int) -> Topic:
    return Topic(name, _PARTITIONS, "delete", timedelta(days=days))


STRIPE_EVENTS = _kept("stripe.events", 30)  # as long as Stripe keeps them
DEAD_LETTERS = _kept("offshoot.dead-letters", 30)
PAYMENT_METHODS = Topic("offshoot.payment-methods", _PARTITIONS, "compact", None)
COMMANDS = _kept("offshoot.commands", 7)
COMMAND_RESULTS = _kept("offshoot.command-results", 7)

ALL = (STRIPE_EVENTS, DEAD_LETTERS, PAYMENT_METHODS, COMMANDS, COMMAND_RESULTS)
