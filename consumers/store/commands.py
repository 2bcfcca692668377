"""Commands: noting them, carrying out what needs no call, and what a worker records of one that does."""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, timedelta
from typing import Any, Final

import msgspec

from consumers.clone.facts import AccountFacts, Outcome
from consumers.commands.facts import CommandFacts, CommandIntent, Looked, Step
from consumers.projection.seen import ConnectedMethodSeen
from consumers.store.database import Connection, Database, load_queries
from consumers.store.grants import Grants
from consumers.store.outbox import Outbox
from consumers.store.projections import ProjectionStore
from consumers.store.shares import IN_FLIGHT_PER_ACCOUNT, LeaseLostError
from schemas.commands import (
    COMPLETED,
    ORDERS,
    REJECTED,
    CloneOnce,
    Command,
    CommandName,
    CommandType,
    GrantShare,
    RefusedCommand,
    Rejected,
    Result,
    RevokeShare,
    SaveDirect,
)

CHANNEL_COMMANDS: Final = "offshoot_command"
"""Notified when there are commands that need Stripe."""

KEPT_FOR: Final = timedelta(days=7)
"""How long a name is known: as long as its record is in the topic."""


@dataclass(frozen=True, slots=True)
class CommandLease:
    """One command held by one worker; `token` fences off whoever held it before."""

    command_id: int
    token: int
    taken_over: bool = False


class CommandStore:
    """Everything that intake and a command worker read and record."""

    def __init__(
        self,
        database: Database,
        outbox: Outbox,
        projections: ProjectionStore,
        grants: Grants,
        *,
        lease_s: float,
    ) -> None:
        self._database = database
        self._results = _Results(outbox)
        self._projections = projections
        self._grants = grants
        self._lease = timedelta(seconds=lease_s)
        self._queries = load_queries("command")

    async def receive(self, commands: Sequence[Command | RefusedCommand]) -> int:
        """Note the commands of a batch; return how many were not known by their name.

        Grants and revocations are carried out with it, and so is telling what was refused. One whose name was
        used before is not looked at: the first one's result, if there is one, is told again.

        Raises:
            StoreError: nothing of it happened, or none can tell; it may all be repeated.
        """
        new = 0
        async with self._database.transaction() as connection:
            orders = [each.order for each in commands if isinstance(each, Command)]
            await self._grants.hold(connection, orders)
            for command in commands:
                id_ = await self._note(connection, command)
                if id_ is None:
                    await self._tell_again(connection, command.name)
                else:
                    new += 1
                    await self._begin(connection, id_, command)
        return new

    async def _note(self, connection: Connection, command: Command | RefusedCommand) -> int | None:
        body, account, expires_at = None, None, None
        if isinstance(command, Command):
            body, account = msgspec.json.encode(command.order).decode(), command.order.account
            expires_at = command.expires_at
        id_: int | None = await self._queries.receive_command(
            connection,
            source=command.name.source,
            name=command.name.id,
            type=command.type,
            key=command.name.key,
            body=body,
            account=account,
            expires_at=expires_at,
        )
        return id_

    async def _begin(self, connection: Connection, id_: int, command: Command | RefusedCommand) -> None:
        if isinstance(command, RefusedCommand):
            await self._results.found(connection, id_, command.rejected)
            return
        match command.order:
            case GrantShare() as order:
                await self._results.found(connection, id_, await self._grants.grant(connection, order))
            case RevokeShare() as order:
                await self._results.found(connection, id_, await self._grants.revoke(connection, order))
            case CloneOnce() | SaveDirect():
                await self._queries.start_command(connection, id=id_)
                await self._queries.announce_commands(connection)

    async def _tell_again(self, connection: Connection, name: CommandName) -> None:
        first = await self._queries.find_command(connection, source=name.source, name=name.id)
        if first["result"] is not None:
            await self._results.tell(connection, first)

    async def claim(self, limit: int) -> list[CommandLease]:
        """Lease up to `limit` due commands, the longest due first."""
        async with self._database.transaction() as connection:
            await load_queries("share").claim_in_turn(connection)
            rows = self._queries.claim_commands(
                connection, limit=limit, per_account=IN_FLIGHT_PER_ACCOUNT, lease=self._lease
            )
            return [CommandLease(row["id"], row["lease_token"], row["taken_over"]) async for row in rows]

    async def next_due_s(self) -> float | None:
        """Give the seconds until the next command is due, negative if one is; None when none waits."""
        async with self._database.connection() as connection:
            seconds: float | None = await self._queries.next_command(connection)
            return seconds

    async def load(self, lease: CommandLease) -> CommandFacts:
        """Load what the decision needs.

        Raises:
            LeaseLostError: another worker took the command over, or finished it.
        """
        async with self._database.connection() as connection:
            row = await self._queries.load_command(connection, id=lease.command_id, lease_token=lease.token)
            if row is None:
                raise LeaseLostError
            intent = await self._queries.load_command_intent(connection, id=lease.command_id)
        return _command(row, intent)

    async def find_original(self, method: str) -> Looked | None:
        """Give what is known of a platform method; None where it has to be read."""
        async with self._database.connection() as connection:
            row = await self._queries.find_original(connection, id=method)
        if row is None:
            return None
        return Looked(row["type"], row["customer_id"], row["blocked"], row["owner_supported"])

    async def is_given_away(self, command_id: int, original: str) -> bool:
        """Say whether another command has made the original unusable, or may have."""
        async with self._database.connection() as connection:
            return bool(await self._queries.is_given_away(connection, original=original, id=command_id))

    @asynccontextmanager
    async def fenced(self, lease: CommandLease) -> AsyncIterator["CommandRecording"]:
        """Open one short transaction that records and tells; it holds and renews the lease.

        Raises:
            LeaseLostError: another worker took the command over; nothing is recorded.
        """
        async with self._database.transaction() as connection:
            held = await self._queries.hold_command(
                connection, id=lease.command_id, lease_token=lease.token, lease=self._lease
            )
            if held is None:
                raise LeaseLostError
            yield CommandRecording(connection, lease.command_id, self._results, self._projections)

    async def postpone(self, lease: CommandLease, delay_s: float, *, counts: bool) -> None:
        """Come back later; `counts`: as a failure, not to be repeated for ever."""
        async with self._database.connection() as connection:
            await self._queries.postpone_command(
                connection,
                id=lease.command_id,
                lease_token=lease.token,
                delay=timedelta(seconds=delay_s),
                counts=counts,
            )

    async def release(self, lease: CommandLease) -> None:
        """Give the command back as it is: whoever claims it next goes on."""
        async with self._database.connection() as connection:
            await self._queries.release_command(connection, id=lease.command_id, lease_token=lease.token)

    async def forget(self) -> None:
        """Forget the commands that were finished and came long ago."""
        async with self._database.connection() as connection:
            await self._queries.forget_commands(connection, kept_for=KEPT_FOR)


class _Results:
    """Finishing a command and telling its result, in one transaction."""

    def __init__(self, outbox: Outbox) -> None:
        self._outbox = outbox
        self._queries = load_queries("command")

    async def found(self, connection: Connection, id_: int, result: Result) -> None:
        row = await self._queries.finish_command(
            connection,
            id=id_,
            state="rejected" if isinstance(result, Rejected) else "completed",
            result=msgspec.json.encode(result).decode(),
        )
        await self.tell(connection, row)

    async def tell(self, connection: Connection, row: Any) -> None:
        await self._outbox.add_command_result(
            connection,
            CommandName(row["source"], row["name"], row["key"]),
            REJECTED if row["state"] == "rejected" else COMPLETED,
            row["result"].encode(),
            row["finished_at"],
        )


class CommandRecording:
    """One fenced transaction of one command."""

    def __init__(
        self, connection: Connection, command_id: int, results: _Results, projections: ProjectionStore
    ) -> None:
        self._connection = connection
        self._command_id = command_id
        self._results = results
        self._projections = projections
        self._queries = load_queries("command")

    async def _of_command(self, query: str, **values: Any) -> Any:
        return await getattr(self._queries, query)(self._connection, id=self._command_id, **values)

    async def next_epoch(self, step: Step) -> int:
        """Give the epoch of a new write: one more than the last."""
        return int(await self._of_command("last_command_epoch", step=step) or 0) + 1

    async def is_given_away(self, original: str) -> bool:
        """As the store's, and no other command may begin to use it before this transaction ends."""
        await self._queries.hold_consumable(self._connection, original=original)
        return bool(await self._of_command("is_given_away", original=original))

    async def open_intent(self, intent: CommandIntent) -> None:
        """Record a write before it is sent."""
        await self._of_command(
            "record_command_intent",
            step=intent.step,
            epoch=intent.epoch,
            idempotency_key=intent.idempotency_key,
            parameters=msgspec.json.encode(intent.parameters).decode(),
            target=intent.target,
            consumes=intent.consumes,
            now=intent.first_tried_at,
        )

    async def conclude_intent(self, outcome: Outcome, request_id: str | None) -> None:
        """Record what became of the open write."""
        await self._of_command("conclude_command_intent", outcome=outcome, stripe_request_id=request_id)

    async def note_stored_error(self, request_id: str | None) -> None:
        """Record that Stripe keeps a 500 under the open write's key."""
        await self._of_command("note_stored_command_error", stripe_request_id=request_id)

    async def made(self, connected_id: str) -> None:
        """Record the method that a token became."""
        await self._of_command("record_made", connected_payment_method_id=connected_id)

    async def saved(self, seen: ConnectedMethodSeen) -> None:
        """Write the method as it is saved, which announces it as direct."""
        await self._projections.apply_connected_method(self._connection, seen)

    async def want_original(self, original: str) -> None:
        """Have what is known of a platform method read again."""
        await self._queries.want_original(self._connection, id=original)

    async def finish(self, result: Result) -> None:
        """Record the result, and tell it."""
        await self._results.found(self._connection, self._command_id, result)


def _command(row: Any, intent: Any | None) -> CommandFacts:
    order = msgspec.json.decode(row["body"], type=ORDERS[CommandType(row["type"])])
    # A share's command is carried out when it is noted.
    assert isinstance(order, CloneOnce | SaveDirect)  # noqa: S101
    return CommandFacts(
        id=row["id"],
        name=CommandName(row["source"], row["name"], row["key"]),
        order=order,
        account=AccountFacts(
            id=row["account_id"],
            known=row["account_known"],
            capabilities=_json(row["capabilities"]),
            refused=row["refused_at"] is not None,
            disconnected=row["disconnected_at"] is not None,
        ),
        expires_at=row["expires_at"],
        made=row["connected_payment_method_id"],
        open_intent=_intent(intent) if intent is not None else None,
        attempts=row["attempts"],
        failing_since=row["failing_since"],
    )


def _intent(row: Any) -> CommandIntent:
    return CommandIntent(
        step=Step(row["step"]),
        epoch=row["epoch"],
        idempotency_key=row["idempotency_key"],
        parameters=_json(row["parameters"]),
        first_tried_at=row["first_tried_at"].astimezone(UTC),
        target=row["target"],
        consumes=row["consumes"],
        stored_error=row["stored_error"],
    )


def _json(text: str) -> Mapping[str, Any]:
    return msgspec.json.decode(text.encode(), type=dict[str, Any])
