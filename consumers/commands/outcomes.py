"""What became of a command's write, recorded and told in one transaction."""

from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import msgspec

from consumers.clone.facts import Outcome
from consumers.commands import verdicts
from consumers.commands.facts import CommandFacts, CommandIntent, Step
from consumers.commands.plan import Reject
from consumers.commands.tools import CommandTools, Ending
from consumers.projection import objects
from consumers.projection.seen import ConnectedMethodSeen, MandateSeen
from consumers.store.commands import CommandLease
from consumers.stripe_errors import RefusedError
from consumers.stripe_gateway import Reply
from schemas.commands import CloneOnce, MethodMade, Rejected, RejectReason

Read = Callable[[str, str | None], Awaitable[tuple[objects.PaymentMethod, str | None]]]
"""Reads a method, of an account or of the platform; gives it and the request's id."""


class Outcomes:
    """Records outcomes for one leased command."""

    def __init__(self, tools: CommandTools, lease: CommandLease, read: Read, log: Any) -> None:
        self._tools = tools
        self._lease = lease
        self._read = read
        self._log = log

    async def succeeded(self, command: CommandFacts, intent: CommandIntent, reply: Reply) -> Ending | None:
        """Record a write that Stripe did; None where more is to be done."""
        self._log.info(
            f"command.{intent.step}_done",
            account=command.account.id,
            object=reply.object.get("id"),
            request_id=reply.request_id,
            epoch=intent.epoch,
        )
        match intent.step:
            case Step.ONCE:
                result = MethodMade(connected_payment_method=str(reply.object["id"]))
                async with self._tools.commands.fenced(self._lease) as recording:
                    await recording.conclude_intent(Outcome.SUCCEEDED, reply.request_id)
                    await recording.finish(result)
                return self._ended(command, Ending.COMPLETED)
            case Step.DIRECT_CREATE:
                async with self._tools.commands.fenced(self._lease) as recording:
                    await recording.conclude_intent(Outcome.SUCCEEDED, reply.request_id)
                    await recording.made(str(reply.object["id"]))
                return None
            case Step.DIRECT_ATTACH:
                seen = objects.decode(msgspec.json.encode(reply.object), objects.PaymentMethod)
                return await self.saved(command, seen, reply.request_id)
            case Step.DIRECT_CONFIRM:
                return await self._confirmed(command, intent, reply)

    async def _confirmed(self, command: CommandFacts, intent: CommandIntent, reply: Reply) -> Ending | None:
        """A SetupIntent has an answer: only one that succeeded has saved its method."""
        status = str(reply.object.get("status"))
        if status != "succeeded":
            message = f"the SetupIntent is {status}: its holder has to do something"
            reject = Reject(RejectReason.REFUSED, message, reply.request_id)
            return await self.rejected(command, reject, Outcome.REFUSED)
        try:
            seen, _ = await self._read(intent.target or "", command.account.id)
        except RefusedError as refused:
            return await self.rejected(command, verdicts.of(refused), Outcome.REFUSED)
        has_mandate = reply.object.get("mandate") is not None
        return await self.saved(command, seen, reply.request_id, has_mandate=has_mandate)

    async def refused(
        self, command: CommandFacts, intent: CommandIntent, refused: RefusedError
    ) -> Ending | None:
        """Record a definite no."""
        reject = verdicts.of(refused)
        is_alarm = reject.reason is RejectReason.REFUSED
        (self._log.error if is_alarm else self._log.warning)(
            "command.refused",
            account=command.account.id,
            step=intent.step,
            reason=reject.reason,
            stripe_status=refused.status,
            stripe_code=refused.code,
            stripe_param=refused.param,
            decline_code=refused.decline_code,
            request_id=refused.request_id,
        )
        return await self.rejected(command, reject, Outcome.REFUSED)

    async def saved(
        self,
        command: CommandFacts,
        method: objects.PaymentMethod,
        request_id: str | None,
        *,
        has_mandate: bool = False,
    ) -> Ending:
        """The method is on its customer: announced, in the transaction that completes the command."""
        async with self._tools.commands.fenced(self._lease) as recording:
            await recording.conclude_intent(Outcome.SUCCEEDED, request_id)
            await recording.saved(self._seen(command, method, has_mandate=has_mandate))
            await recording.finish(MethodMade(connected_payment_method=method.id))
        return self._ended(command, Ending.COMPLETED)

    def _seen(
        self, command: CommandFacts, method: objects.PaymentMethod, *, has_mandate: bool
    ) -> ConnectedMethodSeen:
        # The method's own beginning, by Stripe's clock: no later event looks old by it.
        as_of = self._tools.now().replace(microsecond=0)
        if method.created is not None:
            as_of = datetime.fromtimestamp(method.created, UTC)
        seen = objects.connected_method_seen(method, as_of, command.account.id)
        return replace(seen, mandate=MandateSeen(active=True, as_of=as_of)) if has_mandate else seen

    async def rejected(self, command: CommandFacts, reject: Reject, outcome: Outcome | None) -> Ending:
        """Record that the command is not carried out; `outcome` is that of its open write, if it has one."""
        rejected = Rejected(
            reason=reject.reason,
            message=reject.message,
            stripe_request_id=reject.stripe_request_id or msgspec.UNSET,
            decline_code=reject.decline_code or msgspec.UNSET,
        )
        async with self._tools.commands.fenced(self._lease) as recording:
            if outcome is not None:
                await recording.conclude_intent(outcome, reject.stripe_request_id)
            if reject.reason is RejectReason.NOT_FOUND and isinstance(command.order, CloneOnce):
                await recording.want_original(command.order.payment_method)
            await recording.finish(rejected)
        return self._ended(command, Ending.REJECTED, reason=reject.reason)

    def _ended(self, command: CommandFacts, ending: Ending, **fields: Any) -> Ending:
        self._log.info(f"command.{ending}", account=command.account.id, key=command.name.key, **fields)
        return ending
