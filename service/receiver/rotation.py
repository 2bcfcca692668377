"""Rolling an endpoint's secret: while Stripe still signs with the older one alone, somebody should know."""

import time
from collections.abc import Callable

from service.runtime.logging import get_logger

WARN_EVERY_S = 60.0


class RotationWatch:
    """Warns, once a minute and endpoint, that only an older of its secrets matched."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._warned: dict[str, float] = {}

    def __call__(self, endpoint: str) -> None:
        """Note one such delivery."""
        now = self._clock()
        if now - self._warned.get(endpoint, -WARN_EVERY_S) >= WARN_EVERY_S:
            self._warned[endpoint] = now
            get_logger().warning(
                "webhook.older_secret",
                endpoint=endpoint,
                fix="roll the secret at Stripe, or drop the newer one",
            )
