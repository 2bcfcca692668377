"""Shares: claiming them under a lease, loading their facts, and giving them back."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import msgspec

from consumers.clone.facts import (
    AccountFacts,
    CloneFacts,
    Connected,
    Content,
    CustomerFacts,
    Intent,
    MethodFacts,
    RecoveryPoint,
    ShareFacts,
    Step,
    Superseded,
)
from consumers.projection.spread import Priority
from consumers.store.database import Database, load_queries
from consumers.store.outbox import Outbox
from consumers.store.recording import Recording
from schemas.records import Reason, State

CHANNEL_DUE: Final = "offshoot_due"
"""Notified when shares became due."""

IN_FLIGHT_PER_ACCOUNT: Final = 4
"""Shares of one account that are in work at a time, each with one call out at most."""


class LeaseLostError(Exception):
    """Another worker took the share over: nothing of this one's is recorded any more."""


@dataclass(frozen=True, slots=True)
class Lease:
    """One share held by one worker; `token` fences off whoever held it before."""

    share_id: int
    token: int
    taken_over: bool = False
    priority: Priority = Priority.URGENT


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

    async def claim(self, limit: int, *, most_bulk: int | None = None, oldest: int = 0) -> list[Lease]:
        """Lease up to `limit` due shares: urgent before bulk, and of each the longest due first.

        Args:
            limit: how many.
            most_bulk: how many of them may be bulk work; None: all.
            oldest: how many of them go to the longest due, urgent or not, so that nothing waits for ever.
        """
        bulk = limit if most_bulk is None else most_bulk
        async with self._database.transaction() as connection:
            await self._queries.claim_in_turn(connection)
            rows = self._queries.claim_due_shares(
                connection,
                limit=limit,
                most_bulk=bulk,
                oldest=min(oldest, bulk),
                per_account=IN_FLIGHT_PER_ACCOUNT,
                lease=self._lease,
            )
            return [
                Lease(row["id"], row["lease_token"], row["taken_over"], Priority(row["priority"]))
                async for row in rows
            ]

    async def next_due_s(self) -> float | None:
        """Give the seconds until the next share can be claimed, 0 if one is due; None when none waits."""
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
                    account_id=share["account_id"],
                    connected_customer_id=share["connected_customer_id"],
                )
            ]
            superseded = [
                Superseded(
                    row["connected_payment_method_id"],
                    row["platform_payment_method_id"],
                    row["detach_at"],
                    row["ours"],
                )
                async for row in self._queries.load_superseded(connection, share_id=lease.share_id)
            ]
            intent = await self._queries.load_open_intent(connection, share_id=lease.share_id)
        return _share(share, tuple(methods), tuple(superseded), intent)

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
            yield Recording(connection, self._queries, self._outbox, lease.share_id, livemode=self._livemode)

    async def finish(
        self, lease: Lease, mark: int, *, until: datetime | None = None, braked: bool = False
    ) -> None:
        """Nothing is left to do before `until` for what was loaded with `mark`; due at once if marked since.

        `braked`: something is left, and due when the brake is released.
        """
        async with self._database.connection() as connection:
            await self._queries.finish_share(
                connection,
                share_id=lease.share_id,
                lease_token=lease.token,
                mark=mark,
                until=until,
                braked=braked,
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


def _share(
    row: Any, methods: tuple[MethodFacts, ...], superseded: tuple[Superseded, ...], intent: Any | None
) -> ShareFacts:
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
            default_payment_method_id=row["default_payment_method_id"],
            confirmed=row["confirmed"],
            known=row["customer_known"],
        ),
        connected_customer_id=row["connected_customer_id"],
        methods=methods,
        open_intent=_intent(intent) if intent is not None else None,
        attempts=row["attempts"],
        failing_since=row["failing_since"],
        connected_default_id=row["connected_default_id"],
        connected_default_known=row["connected_default_known"],
        connected_customer_deleted=row["connected_customer_deleted_at"] is not None,
        superseded=superseded,
        braked=row["engaged_at"] is not None,
    )


def _method(row: Any) -> MethodFacts:
    reusable = None
    if row["reusable_id"] is not None:
        reusable = Connected(row["reusable_id"], row["generation"], _content(row["reusable_content"]))
    return MethodFacts(
        id=row["id"],
        type=row["type"],
        generation=row["generation"],
        opted_out=row["opted_out"],
        detached=row["detached_at"] is not None,
        clone=_clone(row) if row["recovery_point"] is not None else None,
        content=_content(row["content"]),
        blocked=row["blocked"],
        owner_supported=row["owner_supported"],
        confirmed=row["confirmed"],
        reusable=reusable,
        wanted=row["wanted"],
    )


def _clone(row: Any) -> CloneFacts:
    following = None
    if row["next_payment_method_id"] is not None:
        following = Connected(
            row["next_payment_method_id"], row["next_generation"], _content(row["next_content"])
        )
    return CloneFacts(
        recovery_point=RecoveryPoint(row["recovery_point"]),
        connected_payment_method_id=row["connected_payment_method_id"],
        state=State(row["state"]),
        reason=Reason(row["reason"]) if row["reason"] is not None else None,
        generation=row["clone_generation"],
        version=row["version"],
        ours=row["ours"],
        content=_content(row["clone_content"]),
        source_fingerprint=row["source_fingerprint"],
        next=following,
        update_refused_generation=row["update_refused_generation"],
        failed_generation=row["failed_generation"],
        declines=row["declines"],
        retry_at=row["retry_at"],
        paced_until=row["paced_until"],
        taken_up=row["taken_up"],
        announced_default=row["announced_default"],
        detached=row["clone_detached_at"] is not None,
        detached_by_others=row["detached_by_others"],
        mandate=row["mandate"],
        shown_on_customer_id=row["shown_on_customer_id"],
        default_refused=row["default_refused"],
        missing=row["missing_at"] is not None,
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
        target=row["target"],
    )


def _json(text: str) -> Mapping[str, Any]:
    return msgspec.json.decode(text.encode(), type=dict[str, Any])


def _content(text: str | None) -> Content | None:
    return (_json(text) or None) if text is not None else None
