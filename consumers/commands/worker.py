"""One command, from its facts to its result: load, decide, do, record; again, until there is a result.

As `clone.worker`: no transaction is open across a call, a write is recorded before it is sent, and what is
recorded is fenced by the lease.
"""

import random
from collections.abc import Mapping
from dataclasses import replace
from typing import Final, TypeVar, assert_never

import msgspec

from consumers.clone.facts import Outcome
from consumers.clone.intents import own_keys
from consumers.clone.tools import Later
from consumers.commands import plan, verdicts
from consumers.commands.facts import (
    CommandFacts,
    CommandIntent,
    Looked,
    Missing,
    Step,
    idempotency_key,
)
from consumers.commands.outcomes import Outcomes
from consumers.commands.plan import (
    Abandon,
    Action,
    AskAccount,
    Complete,
    Look,
    LookUpAccount,
    ReadBack,
    Reject,
    Repeat,
    Write,
)
from consumers.commands.tools import CommandTools, Ending
from consumers.projection import objects
from consumers.store.commands import CommandLease
from consumers.store.database import past_conflicts
from consumers.store.shares import LeaseLostError
from consumers.stripe_calls import Call
from consumers.stripe_errors import (
    AccountInvalidError,
    KeyRefusedError,
    OutcomeUnknownError,
    PermissionMissingError,
    RefusedError,
    StoppedError,
    StripeError,
)
from consumers.stripe_gateway import Reply
from schemas.commands import CloneOnce
from service.runtime.logging import get_logger

FIRST_DELAY_S: Final = 1.0
LONGEST_DELAY_S: Final = 900.0
FORBIDDEN_DELAY_S: Final = 30.0
OBSERVING_DELAY_S: Final = 60.0
ACCOUNT_DELAY_S: Final = 0.1
"""How soon to look whether the account has been read; ever later, if that takes long."""

_NOT_FOUND: Final = "resource_missing"

_T = TypeVar("_T")


class CommandWorker:
    """Works on one leased command."""

    def __init__(self, tools: CommandTools, lease: CommandLease) -> None:
        self._tools = tools
        self._lease = lease
        self._looked: Looked | Missing | None = None
        self._capabilities: Mapping[str, str] | None = None
        self._log = get_logger().bind(command=lease.command_id, lease_token=lease.token)
        self._outcomes = Outcomes(tools, lease, self._read, self._log)

    async def run(self) -> Ending:
        """Work until there is a result, or it must wait, or is lost.

        Raises:
            StoreError: Postgres is away; the lease runs out by itself and another goes on.
        """
        try:
            return await past_conflicts(self._until_result)
        except LeaseLostError:
            self._log.warning("command.lease_lost")
            return Ending.LEASE_LOST

    async def _until_result(self) -> Ending:
        while True:
            command = await self._load()
            action = plan.next_action(command, self._looked, self._tools.retry_for, self._tools.now())
            if self._tools.stopping():
                return await self._release()
            try:
                ending = await self._do(command, action)
            except (KeyRefusedError, StoppedError):
                return await self._release()
            except RefusedError as refused:
                # A reading: what a write is refused with is recorded where it is sent.
                ending = await self._outcomes.rejected(command, verdicts.of(refused), None)
            except Later as later:
                return await self._postpone(command, later)
            if ending is not None:
                return ending

    async def _load(self) -> CommandFacts:
        command = await self._tools.commands.load(self._lease)
        if self._capabilities is None:
            return command
        account = replace(command.account, capabilities=self._capabilities)
        return replace(command, account=account, account_asked=True)

    async def _do(self, command: CommandFacts, action: Action) -> Ending | None:
        match action:
            case Reject():
                return await self._outcomes.rejected(command, action, None)
            case Complete(payment_method=method):
                seen, _ = await self._read(method, command.account.id)
                return await self._outcomes.saved(command, seen, None)
            case LookUpAccount():
                await self._tools.projections.want_account(command.account.id)
                raise Later("the account is being read", _account_delay_s(command.attempts))
            case AskAccount():
                self._capabilities = await self._ask(command.account.id)
            case Look(payment_method=method):
                self._looked = await self._look(command, method)
            case ReadBack(payment_method=method):
                return await self._read_back(command, method)
            case Abandon():
                async with self._tools.commands.fenced(self._lease) as recording:
                    await recording.conclude_intent(Outcome.VOID, None)
            case Write():
                return await self._write(command, action)
            case Repeat(intent=intent):
                return await self._send(command, intent)
            case _:
                assert_never(action)
        return None

    # -- looking

    async def _ask(self, account: str) -> Mapping[str, str]:
        """Ask an account for its capabilities; what is projected of it stays what its events say."""
        stripe = self._tools.calls.stripe
        reply = await self._call("read_account", account, lambda: stripe.read_account(account))
        return _shaped(reply, objects.Account).capabilities or {}

    async def _look(self, command: CommandFacts, method: str) -> Looked | Missing:
        """Look at the method: what is known of the platform's is as good as a reading."""
        is_original = isinstance(command.order, CloneOnce)
        known = await self._tools.commands.find_original(method) if is_original else None
        if known is not None:
            return known
        account = None if is_original else command.account.id
        try:
            seen, _ = await self._read(method, account)
        except RefusedError as refused:
            if refused.code != _NOT_FOUND:
                raise
            return Missing(refused.request_id)
        bank = (seen.us_bank_account or {}).get("status_details") or {}
        unattached = is_original and seen.customer is None
        return Looked(
            type=seen.type,
            customer=seen.customer or (seen.customer_account if is_original else None),
            blocked=bool(bank.get("blocked")),
            owner_supported=seen.customer is not None or seen.customer_account is None,
            given_away=unattached and await self._tools.commands.is_given_away(command.id, method),
        )

    async def _read(self, method: str, account: str | None) -> tuple[objects.PaymentMethod, str | None]:
        stripe = self._tools.calls.stripe
        reply = await self._call(
            "read_payment_method" if account is None else "read_connected_payment_method",
            account,
            lambda: stripe.read_payment_method(method, account),
        )
        return _shaped(reply, objects.PaymentMethod), reply.request_id

    async def _read_back(self, command: CommandFacts, method: str) -> Ending | None:
        """Let the method tell what a lost write, or a SetupIntent, did."""
        try:
            seen, request_id = await self._read(method, command.account.id)
        except RefusedError as refused:
            return await self._outcomes.rejected(command, verdicts.of(refused), Outcome.VOID)
        if seen.customer == command.order.customer:
            return await self._outcomes.saved(command, seen, request_id)
        async with self._tools.commands.fenced(self._lease) as recording:
            await recording.conclude_intent(Outcome.VOID, request_id)
        return None

    # -- writing

    async def _write(self, command: CommandFacts, write: Write) -> Ending | None:
        if self._tools.observe:
            raise Later("observing only", OBSERVING_DELAY_S, counts=False)
        intent = await self._open_intent(command, write)
        if intent is None:
            return await self._outcomes.rejected(command, plan.USED_UP, None)
        return await self._send(command, intent)

    async def _open_intent(self, command: CommandFacts, write: Write) -> CommandIntent | None:
        """Record a write before it is sent; None where another command was quicker to use the original up."""
        async with self._tools.commands.fenced(self._lease) as recording:
            if write.consumes is not None and await recording.is_given_away(write.consumes):
                return None
            epoch = await recording.next_epoch(write.step)
            intent = CommandIntent(
                step=write.step,
                epoch=epoch,
                idempotency_key=idempotency_key(
                    own_keys(self._tools.installation), command.account.id, command.name, write.step, epoch
                ),
                parameters=write.parameters,
                first_tried_at=self._tools.now(),
                target=write.target,
                consumes=write.consumes,
            )
            await recording.open_intent(intent)
        return intent

    async def _send(self, command: CommandFacts, intent: CommandIntent) -> Ending | None:
        try:
            reply = await self._call(intent.step, command.account.id, lambda: self._make(command, intent))
        except RefusedError as refused:
            return await self._outcomes.refused(command, intent, refused)
        return await self._outcomes.succeeded(command, intent, reply)

    async def _make(self, command: CommandFacts, intent: CommandIntent) -> Reply:
        stripe, account, key = self._tools.calls.stripe, command.account.id, intent.idempotency_key
        match intent.step:
            case Step.ONCE:
                return await stripe.clone(account, intent.parameters, key)
            case Step.DIRECT_CREATE:
                return await stripe.create_payment_method(account, intent.parameters, key)
            case Step.DIRECT_ATTACH:
                return await stripe.attach(account, intent.target or "", intent.parameters, key)
            case Step.DIRECT_CONFIRM:
                return await stripe.create_setup_intent(account, intent.parameters, key)

    async def _release(self) -> Ending:
        await self._tools.commands.release(self._lease)
        return Ending.RELEASED

    async def _postpone(self, command: CommandFacts, later: Later) -> Ending:
        delay_s = later.delay_s or _delay_s(command.attempts)
        await self._tools.commands.postpone(self._lease, delay_s, counts=later.counts)
        self._log.warning(
            "command.postponed",
            account=command.account.id,
            why=str(later),
            attempts=command.attempts + later.counts,
            delay_s=round(delay_s, 3),
        )
        return Ending.POSTPONED

    # -- calls

    async def _call(self, name: str, account: str | None, call: Call) -> Reply:
        """Make one call in its turn; what did not go well, and is no refusal, means later."""
        try:
            return await self._tools.calls.make(name, call, self._renew, account=account)
        except (RefusedError, KeyRefusedError, StoppedError):
            raise
        except AccountInvalidError as error:
            # Only a reading of the account says what it means.
            if account is not None:
                await self._tools.projections.want_account(account)
            raise Later(str(error)) from error
        except PermissionMissingError as error:
            raise Later(str(error), FORBIDDEN_DELAY_S, counts=False) from error
        except OutcomeUnknownError as error:
            if error.stored:
                async with self._tools.commands.fenced(self._lease) as recording:
                    await recording.note_stored_error(error.request_id)
            raise Later(str(error)) from error
        except StripeError as error:
            raise Later(str(error)) from error

    async def _renew(self) -> None:
        async with self._tools.commands.fenced(self._lease):
            pass  # what the fence itself does is all that is wanted


def _shaped(reply: Reply, shape: type[_T]) -> _T:
    try:
        return objects.decode(msgspec.json.encode(reply.object), shape)
    except msgspec.MsgspecError:
        raise Later("the object has not its documented shape") from None


def _account_delay_s(attempts: int) -> float:
    return min(LONGEST_DELAY_S, ACCOUNT_DELAY_S * 2.0 ** min(attempts, 20))


def _delay_s(attempts: int) -> float:
    """Grow from 1 s to 15 min, jittered downwards to the half."""
    longest = min(LONGEST_DELAY_S, FIRST_DELAY_S * 2.0 ** min(attempts, 20))
    return longest * random.uniform(0.5, 1.0)  # noqa: S311 -- jitter
