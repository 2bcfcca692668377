"""The reader of connected accounts: what a thin event named there, or what an account came back with."""

import asyncio
from collections.abc import Callable
from datetime import datetime
from functools import partial
from typing import Final, assert_never

import msgspec

from consumers.projection import objects
from consumers.projection.seen import ConnectedCustomerSeen, ConnectedKind, ConnectedMethodSeen
from consumers.refresh import ATTEMPTS_AT_MOST, DEFINITE_AT_MOST
from consumers.store.connected import ConnectedReading
from consumers.store.database import Database, StoreError, listen, past_conflicts
from consumers.store.projections import CHANNEL_REFRESH, ProjectionStore
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


class ConnectedReadingLane:
    """Reads what is due for reading on connected accounts, a few at once."""

    def __init__(
        self,
        database: Database,
        projections: ProjectionStore,
        calls: StripeCalls,
        watch: KeyWatch,
        metrics: Metrics,
        *,
        now: Callable[[], datetime],
    ) -> None:
        self._database = database
        self._projections = projections
        self._calls = calls
        self._watch = watch
        self._metrics = metrics
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
                    get_logger().warning("connected_reading.store_away", **describe_error(error))
                    await wait_for_stop(stop, STORE_AWAY_PAUSE_S)
        finally:
            for helper in helpers:
                helper.cancel()

    async def read_due(self) -> float:
        """Read what is due now; return how long to wait for more."""
        claimed = await self._projections.claim_connected_readings(AT_ONCE)
        if claimed:
            await asyncio.gather(*[self.read(reading) for reading in claimed])
            return 0.0
        next_s = await self._projections.next_connected_reading_s()
        return LOOK_EVERY_S if next_s is None else min(LOOK_EVERY_S, max(0.01, next_s))

    async def read(self, reading: ConnectedReading) -> None:
        """Read one object, and write what it shows; one that could not be read stays due, later."""
        log = get_logger().bind(kind=reading.kind, account=reading.account_id, object=reading.id)
        label = f"connected_{reading.kind}"
        try:
            seen = await self._seen(reading)
            due = await past_conflicts(partial(self._projections.apply_connected_reading, reading, seen))
        except AccountInvalidError as error:
            # Only a reading of the account says what it means.
            await self._projections.want_account(reading.account_id)
            log.warning("connected_reading.account_invalid", request_id=error.request_id)
            self._metrics.readings.labels(label, "failed").inc()
        except StripeError as error:
            is_definite = isinstance(error, RefusedError)
            ending = await self._try_again(reading, "failed", is_definite=is_definite)
            log.warning(
                "connected_reading.failed", ending=ending, error=str(error), request_id=error.request_id
            )
            self._metrics.readings.labels(label, ending).inc()
        except msgspec.MsgspecError:
            ending = await self._try_again(reading, "unreadable", is_definite=True)
            # No traceback: it would quote the object.
            log.error("connected_reading.unreadable", ending=ending)  # noqa: TRY400
            self._metrics.readings.labels(label, ending).inc()
        else:
            log.info("connected_reading.read", found=seen is not None, shares_due=due)
            self._metrics.readings.labels(label, "read").inc()

    async def _try_again(self, reading: ConnectedReading, ending: str, *, is_definite: bool) -> str:
        """It is due again already: it is read then, each time later, and some day no more."""
        if reading.attempts < (DEFINITE_AT_MOST if is_definite else ATTEMPTS_AT_MOST):
            return ending
        await self._projections.give_up_connected_reading(reading)
        return "given_up"

    async def _seen(self, reading: ConnectedReading) -> ConnectedMethodSeen | ConnectedCustomerSeen | None:
        # By Stripe's clock where that is known; else by ours, before it is sent and in whole seconds, so that
        # an event of the same one still counts.
        read_at = reading.as_of or self._now().replace(microsecond=0)
        try:
            reply = await self._calls.make(
                f"read_connected_{reading.kind}", lambda: self._read(reading), account=reading.account_id
            )
        except RefusedError as error:
            if error.code != NOT_FOUND:
                raise
            return self._not_found(reading, read_at)
        return self._shown(reading, reply, read_at)

    async def _read(self, reading: ConnectedReading) -> Reply:
        stripe, id_, account = self._calls.stripe, reading.id, reading.account_id
        match reading.kind:
            case ConnectedKind.PAYMENT_METHOD:
                return await stripe.read_payment_method(id_, account)
            case ConnectedKind.CUSTOMER:
                return await stripe.read_customer(id_, account)
            case ConnectedKind.SETUP_INTENT:
                return await stripe.read_setup_intent(id_, account)
            case ConnectedKind.PAYMENT_INTENT:
                return await stripe.read_payment_intent(id_, account)
            case ConnectedKind.MANDATE:
                return await stripe.read_mandate(id_, account)
        assert_never(reading.kind)

    def _shown(
        self, reading: ConnectedReading, reply: Reply, read_at: datetime
    ) -> ConnectedMethodSeen | ConnectedCustomerSeen | None:
        raw, account = msgspec.json.encode(reply.object), reading.account_id
        match reading.kind:
            case ConnectedKind.PAYMENT_METHOD:
                method = objects.decode(raw, objects.PaymentMethod)
                # Only what was saved is ever read here: without a customer, it was detached.
                detached = method.customer is None
                return objects.connected_method_seen(method, read_at, account, detached=detached)
            case ConnectedKind.CUSTOMER:
                customer = objects.decode(raw, objects.Customer)
                return objects.connected_customer_seen(customer, read_at, account)
            case ConnectedKind.SETUP_INTENT:
                return objects.saved_by(objects.decode(raw, objects.SetupIntent), read_at, account)
            case ConnectedKind.PAYMENT_INTENT:
                return objects.saved_by(objects.decode(raw, objects.PaymentIntent), read_at, account)
            case ConnectedKind.MANDATE:
                return objects.mandate_seen(objects.decode(raw, objects.Mandate), read_at, account)
        assert_never(reading.kind)

    def _not_found(self, reading: ConnectedReading, read_at: datetime) -> ConnectedMethodSeen | None:
        """A method that Stripe does not show is not to be charged."""
        if reading.kind is not ConnectedKind.PAYMENT_METHOD:
            return None
        return ConnectedMethodSeen(
            reading.id, read_at, reading.account_id, None, "", None, detached=True, idempotency_key=None
        )
