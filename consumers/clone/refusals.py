"""What Stripe's definite no to a write changes here; what it means is `verdicts`."""

from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from typing import Any, Final

from consumers.clone import verdicts
from consumers.clone.effects import Effects
from consumers.clone.facts import Intent, MethodFacts, Outcome, ShareFacts, Step
from consumers.clone.gates import is_attached
from consumers.clone.tools import Later, Tools
from consumers.clone.verdicts import Declined, Detached, Failed, Missing
from consumers.store.recording import Recording
from consumers.store.shares import Lease
from consumers.stripe_calls import Call
from consumers.stripe_errors import RefusedError
from consumers.stripe_gateway import Reply
from schemas.records import Reason, State

ROOM_IS_MADE_AFTER: Final = timedelta(minutes=1)
MISSING_DELAY_S: Final = 10.0
"""How long the reading of what was not found is given before the write is tried anew."""


class Refusals:
    """Records refusals for one leased share."""

    def __init__(
        self,
        tools: Tools,
        lease: Lease,
        call: Callable[[str, ShareFacts, Call], Awaitable[Reply]],
        log: Any,
    ) -> None:
        self._tools = tools
        self._lease = lease
        self._call = call
        self._log = log
        self._effects = Effects(tools)

    async def refused(
        self, share: ShareFacts, method: MethodFacts, intent: Intent, refused: RefusedError
    ) -> None:
        """Record a definite no.

        Raises:
            Later: something was not found; what it is, is read first.
        """
        verdict = verdicts.of(refused)
        if isinstance(verdict, Missing) and await self._lost_its_customer(share, intent, verdict):
            async with self._tools.shares.fenced(self._lease) as recording:
                await recording.conclude_intent(Outcome.REFUSED, refused.request_id)
                await recording.connected_customer_gone(self._tools.now())
            self._log.warning("share.connected_customer_gone", account=share.account.id)
            return
        first_missing = False
        async with self._tools.shares.fenced(self._lease) as recording:
            await recording.conclude_intent(Outcome.REFUSED, refused.request_id)
            first_missing = await self._refuse(recording, share, method, intent, verdict)
        alarm = isinstance(verdict, Failed) and verdict.alarm
        if alarm:
            self._tools.calls.metrics.unknown_refusals.inc()
        (self._log.error if alarm else self._log.warning)(
            "clone.refused",
            account=share.account.id,
            platform_payment_method=method.id,
            step=intent.step,
            verdict=type(verdict).__name__,
            reason=verdict.reason if isinstance(verdict, Failed) else None,
            stripe_status=refused.status,
            stripe_code=refused.code,
            stripe_param=refused.param,
            decline_code=refused.decline_code,
            request_id=refused.request_id,
        )
        if first_missing:
            raise Later(str(refused), MISSING_DELAY_S)

    async def _refuse(
        self, recording: Recording, share: ShareFacts, method: MethodFacts, intent: Intent, verdict: Any
    ) -> bool:
        """Record what a refusal means; say whether something was not found for the first time."""
        now = self._tools.now()
        match verdict:
            case Detached() | Missing() if intent.step is Step.DETACH:
                await self._effects.detached(recording, share, method, intent.object)
            case Declined():
                declines = _declines(method) + 1
                again = verdicts.retry_at(declines, now)
                if again is None or intent.step not in (Step.ATTACH, Step.CREATE_CUSTOMER):
                    await self._fail(recording, method, intent, Reason.CARD_DECLINED, now)
                else:
                    await recording.declined(method, declines, again)
                    if not is_attached(method):
                        await recording.announce(method, State.PENDING, None, now)
            case Missing():
                if intent.step in (Step.CLONE, Step.ATTACH, Step.CREATE_CUSTOMER) and await recording.missing(
                    method, now
                ):
                    return True
                await self._fail(recording, method, intent, Reason.NOT_FOUND, now)
            case Detached():
                await self._not_attached(recording, method, intent, now)
            case Failed(reason=Reason.CUSTOMER_FULL) if await recording.hasten_superseded(now):
                # Room is made first: of clones that were to be detached anyhow.
                await recording.declined(method, _declines(method), now + ROOM_IS_MADE_AFTER)
            case Failed(reason=reason):
                await self._fail(recording, method, intent, reason, now)
        return False

    async def _not_attached(
        self, recording: Recording, method: MethodFacts, intent: Intent, now: datetime
    ) -> None:
        if intent.step is Step.UPDATE:
            # Somebody on the account did it, and the event that says so is on its way.
            await recording.announce(method, State.ABSENT, Reason.DETACHED_ON_ACCOUNT, now)
        else:
            await self._fail(recording, method, intent, Reason.REFUSED, now)

    async def _fail(
        self, recording: Recording, method: MethodFacts, intent: Intent, reason: Reason, now: datetime
    ) -> None:
        match intent.step:
            case Step.UPDATE:
                await recording.update_refused(method, intent.generation)
            case Step.SET_DEFAULT:
                pass  # it is recorded that it was refused, and not asked for again
            case Step.DETACH if (
                method.clone is None or method.clone.connected_payment_method_id != intent.object
            ):
                await recording.keep_superseded(intent.object)
            case _:
                await recording.failed(method, intent.generation)
                if is_attached(method) and intent.step is not Step.DETACH:
                    await recording.announce(method, State.READY, Reason.UPDATE_FAILED, now)
                else:
                    await recording.announce(method, State.FAILED, reason, now)

    async def _lost_its_customer(self, share: ShareFacts, intent: Intent, missing: Missing) -> bool:
        """Whether what was not found is the connected customer: it is read, and is gone."""
        customer = share.connected_customer_id
        names_it = intent.step is Step.SET_DEFAULT or missing.parameter == "customer"
        if customer is None or intent.step not in (Step.ATTACH, Step.SET_DEFAULT) or not names_it:
            return False
        try:
            reply = await self._call(
                "read_connected_customer",
                share,
                lambda: self._tools.calls.stripe.read_customer(customer, share.account.id),
            )
        except RefusedError as refused:
            return isinstance(verdicts.of(refused), Missing)
        return bool(reply.object.get("deleted"))


def _declines(method: MethodFacts) -> int:
    return method.clone.declines if method.clone is not None else 0
