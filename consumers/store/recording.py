"""What a worker records of one share: in one fenced transaction, with what it announces."""

from datetime import datetime
from typing import Any

import msgspec

from consumers.clone.facts import Connected, Content, Intent, MethodFacts, Outcome, Step
from consumers.store.database import Connection
from consumers.store.outbox import Outbox
from schemas.cloudevents import rfc3339
from schemas.records import Origin, PaymentMethodRecord, Reason, State


class Recording:
    """One fenced transaction: what is recorded in it and what it announces happen together or not at all."""

    def __init__(
        self, connection: Connection, queries: Any, outbox: Outbox, share_id: int, *, livemode: bool
    ) -> None:
        self._connection = connection
        self._queries = queries
        self._outbox = outbox
        self._share_id = share_id
        self._livemode = livemode

    async def _of_share(self, query: str, **values: Any) -> Any:
        return await getattr(self._queries, query)(self._connection, share_id=self._share_id, **values)

    async def _of_clone(self, query: str, method: MethodFacts, **values: Any) -> Any:
        return await self._of_share(query, platform_payment_method_id=method.id, **values)

    # -- writes

    async def next_epoch(self, step: Step, about: str) -> int:
        """Give the epoch of a new write: one more than the last."""
        return int(await self._of_share("last_epoch", step=step, object=about) or 0) + 1

    async def open_intent(self, intent: Intent) -> None:
        """Record a write before it is sent."""
        await self._of_share(
            "record_intent",
            platform_payment_method_id=intent.platform_payment_method_id,
            step=intent.step,
            object=intent.object,
            epoch=intent.epoch,
            idempotency_key=intent.idempotency_key,
            parameters=msgspec.json.encode(intent.parameters).decode(),
            generation=intent.generation,
            target=intent.target,
            now=intent.first_tried_at,
        )

    async def conclude_intent(self, outcome: Outcome, request_id: str | None) -> None:
        """Record what became of the open write."""
        await self._of_share("conclude_intent", outcome=outcome, stripe_request_id=request_id)
        if outcome is Outcome.SUCCEEDED:
            await self._of_share("step_succeeded")

    async def note_stored_error(self, request_id: str | None) -> None:
        """Record that Stripe keeps a 500 under the open write's key."""
        await self._of_share("note_stored_error", stripe_request_id=request_id)

    async def take_turn(self, method: MethodFacts, now: datetime, most: int) -> datetime:
        """Give the card's next turn, of which there are `most` in an hour; note it where it lies ahead."""
        turn: datetime = await self._queries.take_turn(
            self._connection, platform_payment_method_id=method.id, now=now, most=most
        )
        if turn > now:
            await self._of_clone("record_turn", method, paced_until=turn)
        return turn

    async def is_braked(self, most: int) -> tuple[bool, bool]:
        """Say whether nothing may be detached, and whether it has come to that just now."""
        brake = await self._queries.lock_brake(self._connection)
        if brake["engaged_at"] is not None:
            return True, False
        engaged = await self._queries.engage_brake(
            self._connection, most=most, released_at=brake["released_at"]
        )
        return bool(engaged), bool(engaged)

    # -- clones

    async def plan_clone(self, method: MethodFacts, now: datetime) -> None:
        """Make the method's row where there is none."""
        await self._of_clone("plan_clone", method, generation=method.generation, now=now)

    async def cloned(
        self, method: MethodFacts, made: Connected, now: datetime, request_id: str | None
    ) -> None:
        """Recovery point `cloned`, or the next of an attached clone; the generation is that of the write."""
        await self._of_clone(
            "record_cloned",
            method,
            connected_payment_method_id=made.id,
            generation=made.generation,
            content=_json(made.content),
            now=now,
            stripe_request_id=request_id,
        )

    async def attached(
        self,
        method: MethodFacts,
        made: Connected,
        now: datetime,
        request_id: str | None,
        *,
        source_fingerprint: str | None = None,
        detach_at: datetime | None = None,
    ) -> None:
        """Recovery point `attached`; what it replaces is superseded, and detached at `detach_at`, if ever."""
        await self._of_clone(
            "supersede", method, now=now, detach_at=detach_at, connected_payment_method_id=made.id
        )
        await self._of_clone(
            "record_attached",
            method,
            connected_payment_method_id=made.id,
            source_fingerprint=source_fingerprint,
            content=_json(made.content),
            now=now,
            stripe_request_id=request_id,
        )

    async def brought_to(
        self,
        method: MethodFacts,
        made: Connected,
        now: datetime,
        request_id: str | None,
        *,
        source_fingerprint: str | None = None,
    ) -> None:
        """Record that the attached clone is of this generation now; without a fingerprint, the old stays."""
        await self._of_clone(
            "record_content",
            method,
            generation=made.generation,
            content=_json(made.content),
            source_fingerprint=source_fingerprint,
            now=now,
            stripe_request_id=request_id,
        )

    async def reused(
        self, method: MethodFacts, connected_id: str, content: Content | None, now: datetime
    ) -> None:
        """Record that a method on the connected customer serves as the clone."""
        await self._of_clone(
            "record_reused",
            method,
            connected_payment_method_id=connected_id,
            generation=method.generation,
            content=_json(content),
            source_fingerprint=method.content["fingerprint"] if method.content is not None else None,
            now=now,
        )

    async def restart(self, method: MethodFacts, *, keep: bool) -> None:
        """Begin the clone anew, where `keep` with the one that is made."""
        await self._of_clone("restart_clone", method, keep=keep, generation=method.generation)

    async def declined(self, method: MethodFacts, declines: int, retry_at: datetime) -> None:
        """Record a decline that is to be tried again."""
        await self._of_clone("record_declined", method, declines=declines, retry_at=retry_at)

    async def failed(self, method: MethodFacts, generation: int) -> None:
        """Record that this generation has failed."""
        await self._of_clone("record_failed", method, generation=generation)

    async def update_refused(self, method: MethodFacts, generation: int) -> None:
        """Record that the clone cannot be brought to this generation in place."""
        await self._of_clone("record_update_refused", method, generation=generation)

    async def missing(self, method: MethodFacts, now: datetime) -> bool:
        """Have the platform's objects read, since Stripe missed one; say if that was the first time."""
        return bool(await self._of_clone("note_missing", method, now=now))

    async def detached(self, connected_id: str, now: datetime) -> None:
        """Record that we detached a clone, a current or a superseded one."""
        await self._of_share("record_detached", connected_payment_method_id=connected_id, now=now)

    async def hasten_superseded(self, now: datetime) -> bool:
        """Have superseded clones detached now that were to be detached later; say whether there are any."""
        return bool(await self._of_share("hasten_superseded", now=now))

    async def keep_superseded(self, connected_id: str) -> None:
        """Record that a superseded clone stays."""
        await self._of_share("keep_superseded", connected_payment_method_id=connected_id)

    # -- the connected customer

    async def connected_customer(self, customer_id: str, default_id: str | None) -> None:
        """Record the customer on the account, and the default it was made with."""
        await self._of_share(
            "record_connected_customer", connected_customer_id=customer_id, default_id=default_id
        )

    async def connected_default(self, customer_id: str | None, default_id: str | None, now: datetime) -> None:
        """Record the default that we gave it, or that a reading begun `now` showed."""
        await self._of_share(
            "record_default", connected_customer_id=customer_id, default_id=default_id, now=now
        )

    async def connected_customer_gone(self, now: datetime) -> None:
        """Record that it was deleted on its account."""
        await self._of_share("forget_connected_customer", now=now)

    # -- the others

    async def announce(
        self, method: MethodFacts, state: State, reason: Reason | None, now: datetime
    ) -> PaymentMethodRecord:
        """Set the method's state and put its record in the outbox."""
        row = await self._of_clone("record_state", method, state=state, reason=reason, now=now)
        record = clone_record(row, livemode=self._livemode)
        await self._outbox.add_payment_method(self._connection, record, row["occurred_at"])
        return record


def clone_record(row: Any, *, livemode: bool) -> PaymentMethodRecord:
    """Give the record of a clone; the row has the columns that `record_state` returns."""
    return PaymentMethodRecord(
        account=row["account_id"],
        origin=Origin.CLONE,
        state=State(row["state"]),
        reason=Reason(row["reason"]) if row["reason"] is not None else None,
        platform_customer=row["customer_id"],
        platform_payment_method=row["platform_payment_method_id"],
        connected_customer=row["connected_customer_id"],
        connected_payment_method=row["connected_payment_method_id"],
        type=row["type"],
        default=row["announced_default"],
        generation=row["generation"],
        version=row["version"],
        livemode=livemode,
        occurred_at=rfc3339(row["occurred_at"]),
    )


def _json(content: Content | None) -> str | None:
    return msgspec.json.encode(content).decode() if content is not None else None
