"""Stripe calls in their turn: the rate of the whole deployment, and what stops all, or all of a kind."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Final

from consumers.key_doubt import PROBE_EVERY_S, AccessDoubt, Permissions
from consumers.projection.spread import Priority
from consumers.store.limiter import Limiter
from consumers.stripe_errors import (
    AccountInvalidError,
    KeyRefusedError,
    NotExecutedError,
    OutcomeUnknownError,
    PermissionMissingError,
    RateLimitedError,
    StoppedError,
    StripeError,
)
from consumers.stripe_gateway import Reply, StripeGateway
from consumers.waiting import either
from service.runtime.health import State
from service.runtime.lifecycle import wait_for_stop
from service.runtime.logging import get_logger
from service.runtime.metrics import Metrics

Call = Callable[[], Awaitable[Reply]]

PROBE_SOON_S: Final = 2.0
RENEW_AFTER_S: Final = 5.0
_SAYS_NOTHING: Final = (OutcomeUnknownError, NotExecutedError)


class KeyWatch:
    """Knows whether Stripe accepts the key. While it does not, no lane makes a call but the watch's own."""

    def __init__(
        self, stripe: StripeGateway, metrics: Metrics, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        """Args: whom to ask, where to say it, and a clock in seconds."""
        self._stripe = stripe
        self._metrics = metrics
        self._clock = clock
        self._usable = asyncio.Event()
        self._refused = asyncio.Event()
        self._doubt = AccessDoubt()
        self._doubted = False
        self._permissions = Permissions()
        self.times_refused = 0
        self.health = State(ok=False, state="not asked yet")

    @property
    def is_refused(self) -> bool:
        """Whether the last that Stripe said of the key was no."""
        return self._refused.is_set()

    def refused(self, why: str = "Stripe refuses the key") -> None:
        """Everything stops, and an alarm is raised."""
        self.times_refused += 1
        self._usable.clear()
        self._refused.set()
        self._metrics.stripe_key_accepted.set(0)
        self.health.set(ok=False, state=why)
        get_logger().error(
            "stripe.key_refused", why=why, fix="set another OFFSHOOT_STRIPE_API_KEY, or allow this one"
        )

    def may_call(self, kind: str) -> bool:
        """Whether to make a call of this kind, as far as the key's permissions are known."""
        return self._permissions.may_try(kind, self._clock())

    def forbids(self, kind: str) -> bool:
        """As `may_call`, for who only asks."""
        return self._permissions.is_missing(kind, self._clock())

    def heard(self, kind: str, account: str | None, error: StripeError | None) -> None:
        """Take note of how a call ended, on which account, if on one."""
        match error:
            case KeyRefusedError():
                self.refused()
            case PermissionMissingError():
                self._forbidden(kind, error)
            case AccountInvalidError() if account is not None:
                if self._doubt.invalid(account, self._clock()) and not self.is_refused:
                    self._doubted = True
                    self.refused("Stripe calls one account after the other invalid")
            case None:
                self._allowed(kind)
                if account is not None:
                    self._doubt.succeeded(account)
            case _:
                pass

    def _forbidden(self, kind: str, error: StripeError) -> None:
        if self._permissions.missing(kind, self._clock()):
            get_logger().error(
                "stripe.permission_missing",
                call=kind,
                request_id=error.request_id,
                fix="give the restricted key this permission",
            )
        self._metrics.stripe_permission_missing.labels(kind).set(1)
        self._say_what_is_missing()

    def _allowed(self, kind: str) -> None:
        if self._permissions.granted(kind):
            get_logger().info("stripe.permission_granted", call=kind)
            self._metrics.stripe_permission_missing.labels(kind).set(0)
            self._say_what_is_missing()

    def _say_what_is_missing(self) -> None:
        if not self.is_refused:
            missing = ", ".join(self._permissions.all_missing)
            self.health.set(ok=True, state=f"accepted, but not for {missing}" if missing else "accepted")

    async def usable(self, stop: asyncio.Event) -> bool:
        """Wait until calls may be made; false when the process is to stop."""
        await either(self._usable, stop)
        return not stop.is_set()

    async def run(self, stop: asyncio.Event) -> None:
        """Ask with one cheap call at the start, and every 30 s while the key is refused."""
        while not stop.is_set():
            asked_at = self._clock()
            pause_s = await self._ask()
            if pause_s is None:
                await either(self._refused, stop)
                # At once, unless it was good a moment ago, and yet calls were refused.
                pause_s = max(0.0, asked_at + PROBE_EVERY_S - self._clock())
            await wait_for_stop(stop, pause_s)

    async def _ask(self) -> float | None:
        """Ask once; return the pause before the next question, None when the key is accepted."""
        try:
            await (self._stripe.check_access() if self._doubted else self._stripe.check_key())
        except KeyRefusedError:
            self.refused()
            return PROBE_EVERY_S
        except AccountInvalidError:
            return PROBE_EVERY_S
        except StripeError as error:
            if self.is_refused and isinstance(error, _SAYS_NOTHING):
                return PROBE_EVERY_S
            # Stripe is away, or will not list accounts to this key: calls may be tried.
            self._accept()
            answered = not isinstance(error, OutcomeUnknownError)
            self.health.set(ok=answered, state="accepted" if answered else "Stripe does not answer")
            return None if answered else PROBE_SOON_S
        self._accept()
        self._say_what_is_missing()
        return None

    def _accept(self) -> None:
        self._doubt.cleared()
        self._doubted = False
        self._refused.clear()
        self._usable.set()
        self._metrics.stripe_key_accepted.set(1)


class StripeCalls:
    """Makes calls one turn each."""

    def __init__(self, stripe: StripeGateway, limiter: Limiter, watch: KeyWatch, metrics: Metrics) -> None:
        self.stripe = stripe
        self._limiter = limiter
        self._watch = watch
        self.metrics = metrics

    def forbids(self, name: str) -> bool:
        """Whether the key may not make this kind of call, and it is not time yet to try again."""
        return self._watch.forbids(name)

    async def make(
        self,
        name: str,
        call: Call,
        renew: Callable[[], Awaitable[None]] | None = None,
        *,
        account: str | None = None,
        priority: Priority = Priority.URGENT,
        has_turn: bool = False,
    ) -> Reply:
        """Wait for the turn, then call.

        Args:
            name: the kind of call, as the metric's label and for a missing permission.
            call: makes it.
            renew: asked first after a long wait; renews the caller's lease or fails.
            account: the connected account that the call is about.
            priority: bulk work has a part of the rate only.
            has_turn: the caller took a turn already.

        Raises:
            StripeError: as the gateway does; a refused key has then stopped all lanes.
        """
        began = time.monotonic()
        if not self._watch.may_call(name):
            raise PermissionMissingError("not permitted before")
        if not has_turn and not await self._limiter.take(priority):
            raise StoppedError("stopping")
        if renew is not None and time.monotonic() - began > RENEW_AFTER_S:
            await renew()
        if self._watch.is_refused:
            raise KeyRefusedError("the key was refused before")
        return await self._call(name, call, account)

    async def _call(self, name: str, call: Call, account: str | None) -> Reply:
        began = time.monotonic()
        outcome = "cancelled"
        try:
            reply = await call()
            outcome = "succeeded"
        except StripeError as error:
            outcome = type(error).__name__.removesuffix("Error")
            await self._slow_down(error, account)
            self._watch.heard(name, account, error)
            if isinstance(error, AccountInvalidError) and self._watch.is_refused:
                raise KeyRefusedError("the key is at fault", error.request_id) from error
            raise
        finally:
            self.metrics.stripe_calls.labels(name, outcome).observe(time.monotonic() - began)
        self._watch.heard(name, account, None)
        return reply

    async def _slow_down(self, error: StripeError, account: str | None) -> None:
        if not isinstance(error, RateLimitedError):
            return
        if error.account_alone and account is not None:
            await self._limiter.pause_account(account)
        else:
            await self._limiter.slow_down()
