"""The reader: what was heard is in doubt, or never was heard, so it is read at Stripe."""

import asyncio
from collections.abc import Callable
from datetime import datetime
from typing import Final, TypeVar, assert_never

import msgspec

from consumers.projection import objects
from consumers.projection.observe import Reading
from consumers.projection.seen import Kind
from consumers.store.database import Database, StoreError, listen
from consumers.store.projections import CHANNEL_REFRESH, ProjectionStore, Refresh
from consumers.stripe_calls import KeyWatch, StripeCalls
from consumers.stripe_gateway import AccountInvalidError, RefusedError, Reply, StripeError
from consumers.waiting import Wake
from service.runtime.lifecycle import describe_error, wait_for_stop
from service.runtime.logging import get_logger
from service.runtime.metrics import Metrics

AT_ONCE: Final = 8
LOOK_EVERY_S: Final = 1.0
STORE_AWAY_PAUSE_S: Final = 1.0
NOT_FOUND: Final = "resource_missing"
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
            await asyncio.gather(*[self._read(refresh) for refresh in claimed])
            return 0.0
        next_s = await self._projections.next_refresh_s()
        return LOOK_EVERY_S if next_s is None else min(LOOK_EVERY_S, max(0.01, next_s))

    async def _read(self, refresh: Refresh) -> None:
        log = get_logger().bind(kind=refresh.kind, object=refresh.id)
        try:
            due = await self._read_and_apply(refresh)
        except StripeError as error:
            if isinstance(error, RefusedError) and error.code == NOT_FOUND:
                # Read again, it would not be found again.
                await self._projections.end_doubt(refresh)
                log.warning("refresh.not_found", request_id=error.request_id)
                self._metrics.readings.labels(refresh.kind, "not_found").inc()
                return
            # Its refresh_at lies ahead already: it is read again then, each time later.
            log.warning("refresh.failed", error=str(error), request_id=error.request_id)
            self._metrics.readings.labels(refresh.kind, "failed").inc()
        except msgspec.MsgspecError:
            log.error("refresh.unreadable")  # noqa: TRY400 -- a traceback would quote the object
            self._metrics.readings.labels(refresh.kind, "unreadable").inc()
        else:
            log.info("refresh.read", shares_due=due)
            self._metrics.readings.labels(refresh.kind, "read").inc()

    async def _read_and_apply(self, refresh: Refresh) -> int:
        read_at = self._now()  # before it is sent: what it shows is not newer than this
        stripe = self._calls.stripe
        match refresh.kind:
            case Kind.ACCOUNT:
                return await self._read_account(refresh, read_at)
            case Kind.CUSTOMER:
                reply = await self._calls.make("read_customer", lambda: stripe.read_customer(refresh.id))
                customer = _shaped(reply, objects.Customer)
                return await self._projections.apply_customer_reading(
                    self._reading.customer(customer, read_at), refresh.claimed
                )
            case Kind.PAYMENT_METHOD:
                reply = await self._calls.make(
                    "read_payment_method", lambda: stripe.read_payment_method(refresh.id)
                )
                method = _shaped(reply, objects.PaymentMethod)
                method_seen = objects.payment_method_seen(method, read_at)
                return await self._projections.apply_payment_method_reading(method_seen, refresh.claimed)
        assert_never(refresh.kind)

    async def _read_account(self, refresh: Refresh, read_at: datetime) -> int:
        capabilities: dict[str, str] | None
        try:
            reply = await self._calls.make(
                "read_account", lambda: self._calls.stripe.read_account(refresh.id)
            )
            capabilities = _shaped(reply, objects.Account).capabilities or {}
        except AccountInvalidError:
            capabilities = None
        except RefusedError as error:
            if error.code != NOT_FOUND:
                raise
            capabilities = None
        return await self._projections.apply_account_reading(
            refresh.id, read_at, refresh.claimed, capabilities
        )


def _shaped(reply: Reply, shape: type[_T]) -> _T:
    return objects.decode(msgspec.json.encode(reply.object), shape)
