"""Shares, their clones and their writes: claiming under a lease, loading, and recording behind the fence."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import msgspec

from consumers.clone.facts import (
    AccountFacts,
    CloneFacts,
    CustomerFacts,
    Intent,
    MethodFacts,
    Outcome,
    RecoveryPoint,
    ShareFacts,
    Step,
)
from consumers.store.database import Connection, Database, load_queries
from consumers.store.outbox import Outbox
from schemas.cloudevents import rfc3339
from schemas.records import Origin, PaymentMethodRecord, Reason, State

CHANNEL_DUE: Final = "offshoot_due"
"""Notified when shares became due."""


class LeaseLostError(Exception):
    """Another worker took the share over: nothing of this one's is recorded any more."""


@dataclass(frozen=True, slots=True)
class Lease:
    """One share held by one worker; `token` fences off whoever held it before."""

    share_id: int
    token: int
    taken_over: bool = False


@dataclass(frozen=True, slots=True)
class Backlog:
    """How many shares are due, and for how many seconds the longest has been."""

    due: int
    oldest_s: float


class ShareStore:
    """Everything a clone worker reads and records."""

    def __init__(self, database: Database, outbox: Outbox, *, lease_s: float, livemode: bool) -> None:
        self._database = database
        self._outbox = outbox
        self._lease = timedelta(seconds=lease_s)
        self._livemode = livemode
        self._queries = load_queries("share")

    async def installation(self) -> str:
        """Give the id that every idempotency key names."""
        async with self._database.connection() as connection:
            return str(await self._queries.installation(connection))

    async def claim(self, limit: int) -> list[Lease]:
        """Lease up to `limit` due shares, urgent and longest due first."""
        async with self._database.connection() as connection:
            rows = self._queries.claim_due_shares(connection, limit=limit, lease=self._lease)
            return [Lease(row["id"], row["lease_token"], row["taken_over"]) async for row in rows]

    async def next_due_s(self) -> float | None:
        """Give the seconds until the next share is due, negative if it is; None when none waits."""
        async with self._database.connection() as connection:
            seconds: float | None = await self._queries.next_due(connection)
            return seconds

    async def backlog(self) -> Backlog:
        """Count what is due."""
        async with self._database.connection() as connection:
            row = await self._queries.count_backlog(connection)
        return Backlog(row["due"], row["oldest_s"])

    async def load(self, lease: Lease) -> ShareFacts:
        """Load what the decision needs.

        Raises:
            LeaseLostError: another worker took the share over.
        """
        async with self._database.connection() as connection:
            share = await self._queries.load_share(
                connection, share_id=lease.share_id, lease_token=lease.token
            )
            if share is None:
                raise LeaseLostError
            methods = [
                _method(row)
                async for row in self._queries.load_methods(
                    connection,
                    share_id=lease.share_id,
                    customer_id=share["customer_id"],
                    default_id=share["default_payment_method_id"],
                )
            ]
            intent = await self._queries.load_open_intent(connection, share_id=lease.share_id)
        return _share(share, tuple(methods), intent)

    @asynccontextmanager
    async def fenced(self, lease: Lease) -> AsyncIterator["Recording"]:
        """Open one short transaction that records and announces; it holds and renews the lease.

        Raises:
            LeaseLostError: another worker took the share over; nothing is recorded.
        """
        async with self._database.transaction() as connection:
            held = await self._queries.hold_lease(
                connection, share_id=lease.share_id, lease_token=lease.token, lease=self._lease
            )
            if held is None:
                raise LeaseLostError
            yield Recording(connection, self._queries, self._outbox, lease, livemode=self._livemode)

    async def finish(self, lease: Lease, mark: int) -> None:
        """Nothing is left to do for what was loaded with `mark`: not due, unless marked since."""
        async with self._database.connection() as connection:
            await self._queries.finish_share(
                connection, share_id=lease.share_id, lease_token=lease.token, mark=mark
            )

    async def postpone(self, lease: Lease, mark: int, delay_s: float) -> None:
        """Come back later after a transient failure; at once, if it was marked since it was loaded."""
        async with self._database.connection() as connection:
            await self._queries.postpone_share(
                connection,
                share_id=lease.share_id,
                lease_token=lease.token,
                mark=mark,
                delay=timedelta(seconds=delay_s),
            )

    async def release(self, lease: Lease) -> None:
        """Give the share back as it is: whoever claims it next goes on."""
        async with self._database.connection() as connection:
            await self._queries.release_share(connection, share_id=lease.share_id, lease_token=lease.token)


class Recording:
    """One fenced transaction: what is recorded in it and what it announces happen together or not at all."""

    def __init__(
        self, connection: Connection, queries: Any, outbox: Outbox, lease: Lease, *, livemode: bool
    ) -> None:
        self._connection = connection
        self._queries = queries
        self._outbox = outbox
        self._share_id = lease.share_id
        self._livemode = livemode

    async def next_epoch(self, step: Step, about: str) -> int:
        """Give the epoch of a new write: one more than the last."""
        last = await self._queries.last_epoch(
            self._connection, share_id=self._share_id, step=step, object=about
        )
        return int(last or 0) + 1

    async def plan_clone(self, method: MethodFacts, now: datetime) -> None:
        """Make the method's row where there is none."""
        await self._queries.plan_clone(
            self._connection,
            share_id=self._share_id,
            platform_payment_method_id=method.id,
            generation=method.generation,
            now=now,
        )

    async def open_intent(self, intent: Intent) -> None:
        """Record a write before it is sent."""
        await self._queries.record_intent(
            self._connection,
            share_id=self._share_id,
            platform_payment_method_id=intent.platform_payment_method_id,
            step=intent.step,
            object=intent.object,
            epoch=intent.epoch,
            idempotency_key=intent.idempotency_key,
            parameters=msgspec.json.encode(intent.parameters).decode(),
            generation=intent.generation,
            now=intent.first_tried_at,
        )

    async def conclude_intent(self, outcome: Outcome, request_id: str | None) -> None:
        """Record what became of the open write."""
        await self._queries.conclude_intent(
            self._connection, share_id=self._share_id, outcome=outcome, stripe_request_id=request_id
        )
        if outcome is Outcome.SUCCEEDED:
            await self._queries.step_succeeded(self._connection, share_id=self._share_id)

    async def note_stored_error(self, request_id: str | None) -> None:
        """Record that Stripe keeps a 500 under the open write's key."""
        await self._queries.note_stored_error(
            self._connection, share_id=self._share_id, stripe_request_id=request_id
        )

    async def cloned(
        self, method: MethodFacts, generation: int, clone_id: str, request_id: str | None
    ) -> None:
        """Recovery point `cloned`; the generation is that of the write, which may be an old one's repeat."""
        await self._queries.record_cloned(
            self._connection,
            share_id=self._share_id,
            platform_payment_method_id=method.id,
            connected_payment_method_id=clone_id,
            generation=generation,
            stripe_request_id=request_id,
        )

    async def connected_customer(self, customer_id: str, default_id: str | None) -> None:
        """Record the customer on the account, and the default it was made with."""
        await self._queries.record_connected_customer(
            self._connection,
            share_id=self._share_id,
            connected_customer_id=customer_id,
            default_id=default_id,
        )

    async def attached(self, method: MethodFacts, request_id: str | None) -> None:
        """Recovery point `attached`."""
        await self._queries.record_attached(
            self._connection,
            share_id=self._share_id,
            platform_payment_method_id=method.id,
            stripe_request_id=request_id,
        )

    async def announce(
        self, method: MethodFacts, state: State, reason: Reason | None, now: datetime
    ) -> PaymentMethodRecord:
        """Set the method's state and put its record in the outbox."""
        row = await self._queries.record_state(
            self._connection,
            share_id=self._share_id,
            platform_payment_method_id=method.id,
            state=state,
            reason=reason,
            now=now,
        )
        attached = row["recovery_point"] == RecoveryPoint.ATTACHED
        clone_id = row["connected_payment_method_id"]
        record = PaymentMethodRecord(
            account=row["account_id"],
            origin=Origin.CLONE,
            state=state,
            reason=reason,
            platform_customer=row["customer_id"],
            platform_payment_method=method.id,
            connected_customer=row["connected_customer_id"],
            connected_payment_method=clone_id,
            type=row["type"],
            default=attached and clone_id == row["connected_default_id"],
            generation=row["generation"],
            version=row["version"],
            livemode=self._livemode,
            occurred_at=rfc3339(row["occurred_at"]),
        )
        await self._outbox.add_payment_method(self._connection, record, row["occurred_at"])
        return record


def _share(row: Any, methods: tuple[MethodFacts, ...], intent: Any | None) -> ShareFacts:
    return ShareFacts(
        id=row["id"],
        mark=row["mark"],
        wanted=row["wanted"],
        account=AccountFacts(
            id=row["account_id"],
            known=row["account_known"],
            capabilities=_json(row["capabilities"]),
            refused=row["refused_at"] is not None,
            disconnected=row["disconnected_at"] is not None,
        ),
        customer=CustomerFacts(
            id=row["customer_id"],
            deleted=row["deleted_at"] is not None,
            profile=_json(row["profile"]),
        ),
        connected_customer_id=row["connected_customer_id"],
        methods=methods,
        open_intent=_intent(intent) if intent is not None else None,
        attempts=row["attempts"],
        failing_since=row["failing_since"],
    )


def _method(row: Any) -> MethodFacts:
    clone = None
    if row["recovery_point"] is not None:
        clone = CloneFacts(
            recovery_point=RecoveryPoint(row["recovery_point"]),
            connected_payment_method_id=row["connected_payment_method_id"],
            state=State(row["state"]),
            reason=Reason(row["reason"]) if row["reason"] is not None else None,
            generation=row["clone_generation"],
            version=row["version"],
        )
    return MethodFacts(
        id=row["id"],
        type=row["type"],
        generation=row["generation"],
        opted_out=row["opted_out"],
        detached=row["detached_at"] is not None,
        clone=clone,
    )


def _intent(row: Any) -> Intent:
    return Intent(
        platform_payment_method_id=row["platform_payment_method_id"],
        step=Step(row["step"]),
        object=row["object"],
        epoch=row["epoch"],
        idempotency_key=row["idempotency_key"],
        parameters=_json(row["parameters"]),
        first_tried_at=row["first_tried_at"].astimezone(UTC),
        stored_error=row["stored_error"],
        generation=row["generation"],
    )


def _json(text: str) -> Mapping[str, Any]:
    return msgspec.json.decode(text.encode(), type=dict[str, Any])
