"""How much the receiver takes in: of one body, and of all that is inside at once."""

import time
from collections.abc import Callable

from service.runtime.health import CheckResult, State
from service.runtime.metrics import Metrics

MAX_BODY_BYTES = 64 * 1024 * 1024
"""Of all bodies in memory together."""

_BESIDE_THE_BODY = 65_536
"""Bytes of a record that its key, headers and framing may take."""


class Room:
    """Counts what is inside; its probe says whether there is room for one more."""

    def __init__(
        self,
        metrics: Metrics,
        *,
        max_requests: int,
        max_bytes: int = MAX_BODY_BYTES,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._max_requests = max_requests
        self._max_bytes = max_bytes
        self._requests = 0
        self._bytes = 0
        self._state = State(ok=True, state="room for more", clock=clock)
        metrics.webhooks_in_flight.set_function(lambda: self._requests)

    @property
    def overfull(self) -> bool:
        """Whether more is inside than may be."""
        return self._requests > self._max_requests or self._bytes > self._max_bytes

    def count(self, requests: int, size: int) -> None:
        """Change what is inside."""
        self._requests += requests
        self._bytes += size

    def probe(self) -> CheckResult:
        """Answer as a probe."""
        full = self._requests >= self._max_requests or self._bytes >= self._max_bytes
        self._state.set(ok=not full, state="overloaded" if full else "room for more")
        return self._state()


def largest_body(wanted: int, message_limit: int | None) -> int:
    """Say how large one body may be, in bytes, where so much is wanted and its topic has such a limit.

    A limit of None is not known. Room is left beside the body; where the topic takes so little that the room
    would be most of it, less room, so that some webhooks pass. Brokers refuse the rest.
    """
    if message_limit is None:
        return wanted
    return min(wanted, max(message_limit - _BESIDE_THE_BODY, min(message_limit, _BESIDE_THE_BODY) // 2))
