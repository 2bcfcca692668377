"""The reader: what was heard is in doubt, or never was heard, so it is read at Stripe."""

import asyncio
from collections.abc import Callable
from datetime import datetime
from functools import partial
from typing import Final, TypeVar, assert_never

import msgspec

from consumers.projection import objects
from consumers.projection.observe import Reading
from consumers.projection.seen import Kind
from consumers.projection.spread import Priority
from consumers.store.database import Database, StoreError, listen, past_conflicts
from consumers.store.projections import CHANNEL_REFRESH, ProjectionStore, Refresh
from consumers.stripe_calls import KeyWatch, StripeCalls
from consumers.stripe_errors import AccountInvalidError, RefusedError, StripeError
from consumers.stripe_gateway import Reply
from consumers.waiting import Wake
from service.runtime.lifecycle import describe_error, wait_for_stop
from service.runtime.logging import get_logger
from service.runtime.metrics import Metrics

AT_ONCE: Final = 8
LOOK_EVERY_S: Final = 1.0
STORE_AWAY_PAUSE_S: Final = 1.0
NOT_FOUND: Final = "resource_missing"
DEFINITE_AT_MOST: Final = 10
"""How often what Stripe refuses to show, or shows in an unknown shape, is read before it is given up: 2 h."""

ATTEMPTS_AT_MOST: Final = 300
"""How often it is tried while Stripe does not answer: three days, as with a write."""

_T = TypeVar("_T")


class RefreshLane:
    """Reads what is due for reading, a few at once."""

    def __init__(
        self,
        database: Database,
        projections: ProjectionStore,
        calls: StripeCalls,
        watch: KeyWatch,
        metrics: Metrics,
        *,
        reading: Reading,
        now: Callable[[], datetime],
    ) -> None:
        self._database = database
        self._projections = projections
        self._calls = calls
        self._watch = watch
        self._metrics = metrics
        self._reading = reading
        self._now = now
        self._wake = Wake()
        self._priority = Priority.URGENT

    async def run(self, stop: asyncio.Event) -> None:
        """Read until the stop."""
        helpers = [
            asyncio.create_task(listen(self._database, CHANNEL_REFRESH, self._wake.ring, stop)),
            asyncio.create_task(self._wake.ring_on(stop)),
        ]
        try:
            while await self._watch.usable(stop):
                try:
                    await self._wake.wait(await self.read_due())
                except StoreError as error:
                    get_logger().warning("refresh.store_away", **describe_error(error))
                    await wait_for_stop(stop, STORE_AWAY_PAUSE_S)
        finally:
            for helper in helpers:
                helper.cancel()

    async def read_due(self) -> float:
        """Read what is due now; return how long to wait for more."""
        claimed = await self._projections.claim_refreshes(AT_ONCE)
        if claimed:
            # More than can be read at once is bulk work: a new customer's clones go before it.
            self._priority = Priority.BULK if len(claimed) >= AT_ONCE else Priority.URGENT
            await asyncio.gather(*[self._read(refresh) for refresh in claimed])
            return 0.0
        next_s = await self._projections.next_refresh_s()
        return LOOK_EVERY_S if next_s is None else min(LOOK_EVERY_S, max(0.01, next_s))

    async def _read(self, refresh: Refresh) -> None:
        try:
            due = await past_conflicts(partial(self._read_and_apply, refresh))
        except StripeError as error:
            ending = await self._not_read(refresh, error)
            get_logger().warning(
                "refresh.not_read",
                kind=refresh.kind,
                object=refresh.id,
                ending=ending,
                error=str(error),
                request_id=error.request_id,
            )
        except msgspec.MsgspecError:
            ending = await self._try_again(refresh, "unreadable", DEFINITE_AT_MOST)
            # No traceback: it would quote the object.
            get_logger().error("refresh.unreadable", kind=refresh.kind, object=refresh.id, ending=ending)
        else:
            ending = "read"
            get_logger().info("refresh.read", kind=refresh.kind, object=refresh.id, shares_due=due)
        self._metrics.readings.labels(refresh.kind, ending).inc()

    async def _not_read(self, refresh: Refresh, error: StripeError) -> str:
        if not isinstance(error, RefusedError):
            return await self._try_again(refresh, "failed", ATTEMPTS_AT_MOST)
        if error.code != NOT_FOUND:
            return await self._try_again(refresh, "refused", DEFINITE_AT_MOST)
        await self._end(refresh, not_found=True)
        return "not_found"

    async def _try_again(self, refresh: Refresh, ending: str, at_most: int) -> str:
        """Its refresh_at lies ahead already: it is read again then, each time later, and some day no more."""
        if refresh.attempts < at_most:
            return ending
        await self._end(refresh, not_found=False)
        return "given_up"

    async def _end(self, refresh: Refresh, *, not_found: bool) -> None:
        """Read it no more; an account that was never seen counts as unknown then."""
        if refresh.kind is Kind.ACCOUNT:
            await self._projections.apply_account_reading(
                refresh.id, self._now(), refresh.claimed, None, invalid=False
            )
        else:
            await self._projections.end_doubt(refresh, not_found=not_found)

    async def _read_and_apply(self, refresh: Refresh) -> int:
        read_at = self._now()  # before it is sent: what it shows is not newer than this
        stripe = self._calls.stripe
        match refresh.kind:
            case Kind.ACCOUNT:
                return await self._read_account(refresh, read_at)
            case Kind.CUSTOMER:
                reply = await self._calls.make(
                    "read_customer", lambda: stripe.read_customer(refresh.id), priority=self._priority
                )
                customer = _shaped(reply, objects.Customer)
                return await self._projections.apply_customer_reading(
                    self._reading.customer(customer, read_at), refresh.claimed
                )
            case Kind.PAYMENT_METHOD:
                reply = await self._calls.make(
                    "read_payment_method",
                    lambda: stripe.read_payment_method(refresh.id),
                    priority=self._priority,
                )
                method = _shaped(reply, objects.PaymentMethod)
                method_seen = objects.payment_method_seen(method, read_at)
                return await self._projections.apply_payment_method_reading(method_seen, refresh.claimed)
        assert_never(refresh.kind)

    async def _read_account(self, refresh: Refresh, read_at: datetime) -> int:
        capabilities: dict[str, str] | None = None
        try:
            reply = await self._calls.make(
                "read_account",
                lambda: self._calls.stripe.read_account(refresh.id),
                account=refresh.id,
                priority=self._priority,
            )
            capabilities = _shaped(reply, objects.Account).capabilities or {}
        except AccountInvalidError:
            get_logger().warning("refresh.account_invalid", account=refresh.id)
        return await self._projections.apply_account_reading(
            refresh.id, read_at, refresh.claimed, capabilities
        )


def _shaped(reply: Reply, shape: type[_T]) -> _T:
    return objects.decode(msgspec.json.encode(reply.object), shape)
