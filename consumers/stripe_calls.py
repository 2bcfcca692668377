"""Stripe calls in their turn: the rate of the whole deployment, and the stop of all lanes on a 401."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Final

from consumers.store.limiter import Limiter
from consumers.stripe_gateway import (
    KeyRefusedError,
    NotExecutedError,
    OutcomeUnknownError,
    Reply,
    StripeError,
    StripeGateway,
)
from consumers.waiting import either
from service.runtime.health import State
from service.runtime.lifecycle import wait_for_stop
from service.runtime.logging import get_logger
from service.runtime.metrics import Metrics

Call = Callable[[], Awaitable[Reply]]

PROBE_EVERY_S: Final = 30.0
PROBE_SOON_S: Final = 2.0
RENEW_AFTER_S: Final = 5.0


class KeyWatch:
    """Knows whether Stripe accepts the key. While it does not, no lane makes a call but the watch's own."""

    def __init__(self, stripe: StripeGateway, metrics: Metrics) -> None:
        self._stripe = stripe
        self._accepted = metrics.stripe_key_accepted
        self._usable = asyncio.Event()
        self._refused = asyncio.Event()
        self.health = State(ok=False, state="not asked yet")

    @property
    def is_refused(self) -> bool:
        """Whether the last that Stripe said of the key was no."""
        return self._refused.is_set()

    def refused(self) -> None:
        """Note a 401: everything stops, and an alarm is raised."""
        self._usable.clear()
        self._refused.set()
        self._accepted.set(0)
        self.health.set(ok=False, state="Stripe refuses the key")
        get_logger().error("stripe.key_refused", fix="set another OFFSHOOT_STRIPE_API_KEY, or allow this one")

    async def usable(self, stop: asyncio.Event) -> bool:
        """Wait until calls may be made; false when the process is to stop."""
        await either(self._usable, stop)
        return not stop.is_set()

    async def run(self, stop: asyncio.Event) -> None:
        """Ask with one cheap call at the start, and every 30 s while the key is refused."""
        while not stop.is_set():
            pause_s = await self._ask()
            if pause_s is None:
                await either(self._refused, stop)
            else:
                await wait_for_stop(stop, pause_s)

    async def _ask(self) -> float | None:
        """Ask once; return the pause before the next question, None when the key is accepted."""
        try:
            await self._stripe.check_key()
        except KeyRefusedError:
            self.refused()
            return PROBE_EVERY_S
        except StripeError as error:
            if self.is_refused and isinstance(error, (OutcomeUnknownError, NotExecutedError)):
                return PROBE_EVERY_S  # that says nothing of the key
            # Stripe is away, or will not list accounts to this key: calls may be tried.
            self._accept()
            answered = not isinstance(error, OutcomeUnknownError)
            self.health.set(ok=answered, state="accepted" if answered else "Stripe does not answer")
            return None if answered else PROBE_SOON_S
        self._accept()
        self.health.set(ok=True, state="accepted")
        return None

    def _accept(self) -> None:
        self._refused.clear()
        self._usable.set()
        self._accepted.set(1)


class StripeCalls:
    """Makes calls one turn each."""

    def __init__(self, stripe: StripeGateway, limiter: Limiter, watch: KeyWatch, metrics: Metrics) -> None:
        self.stripe = stripe
        self._limiter = limiter
        self._watch = watch
        self._metrics = metrics

    async def make(self, name: str, call: Call, renew: Callable[[], Awaitable[None]] | None = None) -> Reply:
        """Wait for the turn, then call; `name` is the metric's label.

        After a long wait `renew` is asked first, which renews the caller's lease or fails.

        Raises:
            StripeError: as the gateway does; a refused key has then stopped all lanes.
        """
        began = time.monotonic()
        await self._limiter.take()
        if renew is not None and time.monotonic() - began > RENEW_AFTER_S:
            await renew()
        if self._watch.is_refused:
            raise KeyRefusedError("the key was refused before")
        began = time.monotonic()
        outcome = "succeeded"
        try:
            return await call()
        except StripeError as error:
            outcome = type(error).__name__.removesuffix("Error")
            if isinstance(error, KeyRefusedError):
                self._watch.refused()
            raise
        finally:
            self._metrics.stripe_calls.labels(name, outcome).observe(time.monotonic() - began)
