"""The points at which a worker can die, freeze or be overtaken: around each call to Stripe and each commit.

Collaborators that are passed in, no patching: what a worker calls first asks `reach`, which does what the
task it runs in was started with: nothing, by default.
"""

from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Sequence
from contextlib import asynccontextmanager
from contextvars import ContextVar
from datetime import datetime
from typing import Any, TypeVar

from consumers.projection.seen import CustomerSeen, PaymentMethodSeen
from consumers.store.commands import CommandLease, CommandRecording, CommandStore
from consumers.store.projections import ProjectionStore, Refresh
from consumers.store.recording import Recording
from consumers.store.shares import Lease, ShareStore
from schemas.commands import Command, RefusedCommand

Reach = Callable[[str], Awaitable[None]]
_T = TypeVar("_T")


class Crashed(BaseException):
    """The process is gone: nothing of it may go on, and no handler of errors sees it."""


async def _pass(_: str) -> None:
    return


at_boundary: ContextVar[Reach] = ContextVar("at_boundary", default=_pass)
"""What the running task does at a boundary; it is told which."""


async def reach(name: str) -> None:
    """Say that the running task has come to this boundary."""
    await at_boundary.get()(name)


class SteppedShares(ShareStore):
    """The share store, with a boundary before each transaction and behind each commit.

    Dying inside a transaction is the same as dying before it: nothing of it happened.
    """

    @asynccontextmanager
    async def fenced(self, lease: Lease) -> AsyncIterator[Recording]:
        await reach("before commit")
        async with super().fenced(lease) as recording:
            yield recording
        await reach("after commit")

    async def finish(
        self, lease: Lease, mark: int, *, until: datetime | None = None, braked: bool = False
    ) -> None:
        await reach("before finish")
        await super().finish(lease, mark, until=until, braked=braked)
        await reach("after finish")

    async def postpone(self, lease: Lease, mark: int, delay_s: float) -> None:
        await reach("before postpone")
        await super().postpone(lease, mark, delay_s)
        await reach("after postpone")

    async def release(self, lease: Lease) -> None:
        await reach("before release")
        await super().release(lease)
        await reach("after release")


class SteppedCommands(CommandStore):
    """The command store, likewise."""

    async def receive(self, commands: Sequence[Command | RefusedCommand]) -> int:
        await reach("before commit")
        new = await super().receive(commands)
        await reach("after commit")
        return new

    @asynccontextmanager
    async def fenced(self, lease: CommandLease) -> AsyncIterator[CommandRecording]:
        await reach("before commit")
        async with super().fenced(lease) as recording:
            yield recording
        await reach("after commit")

    async def postpone(self, lease: CommandLease, delay_s: float, *, counts: bool) -> None:
        await reach("before postpone")
        await super().postpone(lease, delay_s, counts=counts)
        await reach("after postpone")


class SteppedProjections(ProjectionStore):
    """The projections, with a boundary around the writing of each reading."""

    async def apply_customer_reading(self, seen: CustomerSeen, claimed: datetime) -> int:
        return await self._stepped(super().apply_customer_reading(seen, claimed))

    async def apply_payment_method_reading(self, seen: PaymentMethodSeen, claimed: datetime) -> int:
        return await self._stepped(super().apply_payment_method_reading(seen, claimed))

    async def apply_account_reading(
        self,
        account: str,
        read_at: datetime,
        claimed: datetime,
        capabilities: dict[str, str] | None,
        *,
        invalid: bool = True,
    ) -> int:
        return await self._stepped(
            super().apply_account_reading(account, read_at, claimed, capabilities, invalid=invalid)
        )

    async def end_doubt(self, refresh: Refresh, *, not_found: bool) -> int:
        return await self._stepped(super().end_doubt(refresh, not_found=not_found))

    async def want_account(self, account: str, *, called_invalid: bool = False) -> None:
        await self._stepped(super().want_account(account, called_invalid=called_invalid))

    async def _stepped(self, work: Coroutine[Any, Any, _T]) -> _T:
        try:
            await reach("before commit")
        except BaseException:
            work.close()
            raise
        result = await work
        await reach("after commit")
        return result
