"""What can be wrong with Kafka, in our words.

KafkaUnavailableError      nothing can be done now; try again later
  TopicMissingError        the brokers answer, but a topic is not there: `offshoot topics` makes it
"""


class KafkaUnavailableError(Exception):
    """No broker answers, or none lets us in: aiokafka does not tell which. Try again later."""

    def __init__(self, *words: str, why: str | None = None) -> None:
        super().__init__(*words)
        self.why = why
        """What `diagnose` has found, where it was asked."""


class TopicMissingError(KafkaUnavailableError):
    """A topic does not exist; `offshoot topics` creates it. Try again later."""
