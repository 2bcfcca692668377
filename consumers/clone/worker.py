"""One share, from its facts to rest: load, decide, do, record; again, until nothing is left to do.

Every branch of substance is in `plan`; here an action becomes a call and its outcome a record. No
transaction is open across a call, and what is recorded is fenced by the lease.
"""

import random
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from typing import Final, assert_never

from consumers.clone import intents, plan, verdicts
from consumers.clone.facts import CloneFacts, Intent, MethodFacts, Outcome, RecoveryPoint, ShareFacts, Step
from consumers.clone.verdicts import Failed
from consumers.store.projections import ProjectionStore
from consumers.store.shares import Lease, LeaseLostError, ShareStore
from consumers.stripe_calls import Call, StripeCalls
from consumers.stripe_gateway import (
    AccountInvalidError,
    KeyRefusedError,
    OutcomeUnknownError,
    PermissionMissingError,
    RefusedError,
    Reply,
    StripeError,
)
from schemas.records import Reason, State
from service.runtime.logging import get_logger

FIRST_DELAY_S: Final = 1.0
LONGEST_DELAY_S: Final = 900.0
CAUTIOUS_DELAY_S: Final = 30.0


class Ending(StrEnum):
    """How the work on a share ended."""

    RESTED = "rested"
    POSTPONED = "postponed"
    RELEASED = "released"
    LEASE_LOST = "lease_lost"


@dataclass(frozen=True, slots=True)
class Tools:
    """What a worker works with."""

    shares: ShareStore
    projections: ProjectionStore
    calls: StripeCalls
    policy: plan.Policy
    observe: bool
    installation: str
    now: Callable[[], datetime]
    stopping: Callable[[], bool]


class _Later(Exception):  # noqa: N818 -- an outcome, not an error
    """Come back later; whatever is recorded stands."""

    def __init__(self, reason: str, delay_s: float | None = None) -> None:
        super().__init__(reason)
        self.delay_s = delay_s


class ShareWorker:
    """Works on one leased share."""

    def __init__(self, tools: Tools, lease: Lease) -> None:
        self._tools = tools
        self._lease = lease
        self._calls = 0
        self._log = get_logger().bind(share=lease.share_id, lease_token=lease.token)

    async def run(self) -> Ending:
        """Work until the share rests, must wait, or is lost.

        Raises:
            StoreError: Postgres is away; the lease runs out by itself and another goes on.
        """
        try:
            return await self._until_rest()
        except LeaseLostError:
            self._log.warning("share.lease_lost")
            return Ending.LEASE_LOST

    async def _until_rest(self) -> Ending:
        while True:
            share = await self._tools.shares.load(self._lease)
            action = plan.next_action(share, self._tools.policy, self._tools.now())
            if self._tools.stopping():
                return await self._release()
            if isinstance(action, plan.LookUpAccount):
                await self._tools.projections.want_account(share.account.id)
                return await self._rest(share)
            if isinstance(action, plan.Rest) or self._tools.observe:
                return await self._rest(share, observed=type(action).__name__)
            try:
                await self._do(share, action)
            except KeyRefusedError:
                return await self._release()
            except _Later as later:
                return await self._postpone(share, later)

    async def _release(self) -> Ending:
        await self._tools.shares.release(self._lease)
        return Ending.RELEASED

    async def _postpone(self, share: ShareFacts, later: _Later) -> Ending:
        delay_s = later.delay_s or _delay_s(share.attempts)
        await self._tools.shares.postpone(self._lease, share.mark, delay_s)
        self._log.warning(
            "share.postponed",
            account=share.account.id,
            why=str(later),
            attempts=share.attempts + 1,
            delay_s=round(delay_s, 3),
        )
        return Ending.POSTPONED

    async def _rest(self, share: ShareFacts, **fields: str) -> Ending:
        await self._tools.shares.finish(self._lease, share.mark)
        self._log.info(
            "share.reconciled",
            account=share.account.id,
            customer=share.customer.id,
            methods=len(share.methods),
            stripe_calls=self._calls,
            **(fields if self._tools.observe else {}),
        )
        return Ending.RESTED

    async def _do(
        self,
        share: ShareFacts,
        action: plan.Write | plan.Repeat | plan.Abandon | plan.ReadClone | plan.Announce,
    ) -> None:
        match action:
            case plan.Write(method=method, step=step):
                intent = await self._open_intent(share, method, step)
                await self._send(share, _planned(method), intent)
            case plan.Repeat(method=method, intent=intent):
                await self._send(share, method, intent)
            case plan.Abandon():
                async with self._tools.shares.fenced(self._lease) as recording:
                    await recording.conclude_intent(Outcome.VOID, None)
            case plan.ReadClone(method=method, connected_payment_method_id=clone_id, intent=intent):
                await self._read_clone(share, method, clone_id, intent)
            case plan.Announce(method=method, state=state, reason=reason):
                await self._announce(share, method, state, reason)
            case _:
                assert_never(action)

    async def _open_intent(self, share: ShareFacts, method: MethodFacts, step: Step) -> Intent:
        about = intents.object_of(share, method, step)
        async with self._tools.shares.fenced(self._lease) as recording:
            epoch = await recording.next_epoch(step, about)
            intent = Intent(
                platform_payment_method_id=method.id,
                step=step,
                object=about,
                epoch=epoch,
                idempotency_key=intents.idempotency_key(self._tools.installation, share, step, about, epoch),
                parameters=intents.parameters(share, method, step),
                first_tried_at=self._tools.now(),
                generation=method.generation,
            )
            await recording.plan_clone(method, intent.first_tried_at)
            await recording.open_intent(intent)
        return intent

    async def _send(self, share: ShareFacts, method: MethodFacts, intent: Intent) -> None:
        try:
            reply = await self._call(share, intent.step, lambda: self._write(share, method, intent))
        except RefusedError as refused:
            await self._refused(share, method, intent, refused)
        else:
            await self._succeeded(share, method, intent, reply)

    async def _write(self, share: ShareFacts, method: MethodFacts, intent: Intent) -> Reply:
        stripe, account, key = self._tools.calls.stripe, share.account.id, intent.idempotency_key
        match intent.step:
            case Step.CLONE:
                return await stripe.clone(account, intent.parameters, key)
            case Step.CREATE_CUSTOMER:
                return await stripe.create_customer(account, intent.parameters, key)
            case Step.ATTACH:
                return await stripe.attach(account, _clone_id(method), intent.parameters, key)
            case Step.UPDATE | Step.SET_DEFAULT | Step.DETACH:
                raise NotImplementedError(intent.step)

    async def _call(self, share: ShareFacts, name: str, call: Call) -> Reply:
        """Make one call in its turn; what did not go well, and is no refusal, means later."""
        self._calls += 1
        try:
            return await self._tools.calls.make(name, call, self._renew)
        except (RefusedError, KeyRefusedError):
            raise
        except AccountInvalidError as error:
            # Only a reading of the account says what it means.
            await self._tools.projections.want_account(share.account.id)
            raise _Later(str(error)) from error
        except PermissionMissingError as error:
            self._log.error("stripe.permission_missing", request_id=error.request_id)
            raise _Later(str(error), CAUTIOUS_DELAY_S) from error
        except OutcomeUnknownError as error:
            if error.stored:
                async with self._tools.shares.fenced(self._lease) as recording:
                    await recording.note_stored_error(error.request_id)
            raise _Later(str(error)) from error
        except StripeError as error:
            raise _Later(str(error)) from error

    async def _renew(self) -> None:
        async with self._tools.shares.fenced(self._lease):
            pass  # what the fence itself does is all that is wanted

    async def _succeeded(self, share: ShareFacts, method: MethodFacts, intent: Intent, reply: Reply) -> None:
        now = self._tools.now()
        async with self._tools.shares.fenced(self._lease) as recording:
            await recording.conclude_intent(Outcome.SUCCEEDED, reply.request_id)
            match intent.step:
                case Step.CLONE:
                    await recording.cloned(
                        method, intent.generation, str(reply.object["id"]), reply.request_id
                    )
                case Step.CREATE_CUSTOMER:
                    await recording.connected_customer(str(reply.object["id"]), _clone_id(method))
                    await recording.attached(method, reply.request_id)
                    await recording.announce(method, State.READY, None, now)
                case Step.ATTACH:
                    await recording.attached(method, reply.request_id)
                    await recording.announce(method, State.READY, None, now)
        self._log.info(
            f"clone.{_REACHED[intent.step]}",
            account=share.account.id,
            platform_payment_method=method.id,
            object=reply.object.get("id"),
            request_id=reply.request_id,
            epoch=intent.epoch,
        )

    async def _refused(
        self, share: ShareFacts, method: MethodFacts, intent: Intent, refused: RefusedError
    ) -> None:
        verdict = verdicts.of(refused)
        async with self._tools.shares.fenced(self._lease) as recording:
            await recording.conclude_intent(Outcome.REFUSED, refused.request_id)
            await recording.announce(method, State.FAILED, verdict.reason, self._tools.now())
        log = self._log.error if verdict.alarm else self._log.warning
        log(
            "clone.failed",
            account=share.account.id,
            platform_payment_method=method.id,
            step=intent.step,
            reason=verdict.reason,
            stripe_status=refused.status,
            stripe_code=refused.code,
            decline_code=refused.decline_code,
            request_id=refused.request_id,
        )

    async def _read_clone(
        self, share: ShareFacts, method: MethodFacts, clone_id: str, intent: Intent | None
    ) -> None:
        """Let the clone itself tell what became of it; `intent` is the write whose answer was lost."""
        try:
            reply = await self._call(
                share,
                "read_clone",
                lambda: self._tools.calls.stripe.read_payment_method(clone_id, share.account.id),
            )
        except RefusedError as refused:
            await self._give_up(method, intent, verdicts.of(refused))
            return
        customer = reply.object.get("customer")
        now = self._tools.now()
        async with self._tools.shares.fenced(self._lease) as recording:
            if intent is not None:
                outcome = Outcome.SUCCEEDED if customer else Outcome.VOID
                await recording.conclude_intent(outcome, reply.request_id)
            if customer:
                if share.connected_customer_id is None:
                    await recording.connected_customer(str(customer), clone_id)
                await recording.attached(method, reply.request_id)
                await recording.announce(method, State.READY, None, now)
            elif intent is None:
                await recording.announce(method, State.ABSENT, Reason.DETACHED_ON_ACCOUNT, now)

    async def _give_up(self, method: MethodFacts, intent: Intent | None, verdict: Failed) -> None:
        async with self._tools.shares.fenced(self._lease) as recording:
            if intent is not None:
                await recording.conclude_intent(Outcome.VOID, None)
            await recording.announce(method, State.FAILED, verdict.reason, self._tools.now())

    async def _announce(
        self, share: ShareFacts, method: MethodFacts, state: State, reason: Reason | None
    ) -> None:
        now = self._tools.now()
        async with self._tools.shares.fenced(self._lease) as recording:
            await recording.plan_clone(method, now)
            await recording.announce(method, state, reason, now)
        self._log.info(
            f"clone.{state}", account=share.account.id, platform_payment_method=method.id, reason=reason
        )


_REACHED: Final = {
    Step.CLONE: "cloned",
    Step.CREATE_CUSTOMER: "customer_created",
    Step.ATTACH: "attached",
}


def _planned(method: MethodFacts) -> MethodFacts:
    if method.clone is not None:
        return method
    return replace(method, clone=CloneFacts(RecoveryPoint.PLANNED, None, State.PENDING, None))


def _clone_id(method: MethodFacts) -> str:
    if method.clone is None or method.clone.connected_payment_method_id is None:
        raise AssertionError("a clone is made before it is attached")
    return method.clone.connected_payment_method_id


def _delay_s(attempts: int) -> float:
    """Grow from 1 s to 15 min, jittered downwards to the half."""
    longest = min(LONGEST_DELAY_S, FIRST_DELAY_S * 2.0 ** min(attempts, 20))
    return longest * random.uniform(0.5, 1.0)  # noqa: S311 -- jitter
