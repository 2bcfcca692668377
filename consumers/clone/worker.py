"""One share, from its facts to rest: load, decide, do, record; again, until nothing is left to do.

Every branch of substance is in `plan`; here an action becomes a call, and `outcomes`, `refusals` and
`readings` record what became of it. No transaction is open across a call, and what is recorded is fenced by
the lease.
"""

import random
from dataclasses import replace
from datetime import timedelta
from enum import StrEnum
from typing import Final, assert_never

from consumers.clone import intents, plan
from consumers.clone.actions import (
    Abandon,
    Announce,
    CatchUp,
    Confirm,
    Deed,
    LookUpAccount,
    ReadClone,
    ReadCustomer,
    Repeat,
    Rest,
    Restart,
    Reuse,
    Write,
)
from consumers.clone.facts import CloneFacts, Intent, MethodFacts, Outcome, RecoveryPoint, ShareFacts, Step
from consumers.clone.gates import is_attached
from consumers.clone.outcomes import Outcomes
from consumers.clone.readings import Readings
from consumers.clone.refusals import Refusals
from consumers.clone.tools import Later, Tools
from consumers.store.database import past_conflicts
from consumers.store.recording import Recording
from consumers.store.shares import Lease, LeaseLostError
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
from schemas.records import Reason, State
from service.runtime.logging import get_logger

FIRST_DELAY_S: Final = 1.0
LONGEST_DELAY_S: Final = 900.0
FORBIDDEN_DELAY_S: Final = 30.0
OBSERVE_AGAIN: Final = timedelta(hours=1)


class Ending(StrEnum):
    """How the work on a share ended."""

    RESTED = "rested"
    POSTPONED = "postponed"
    RELEASED = "released"
    LEASE_LOST = "lease_lost"


class ShareWorker:
    """Works on one leased share."""

    def __init__(self, tools: Tools, lease: Lease, *, has_turn: bool = False) -> None:
        """Args: what to work with, the lease, and whether the turn of the first call is taken already."""
        self._tools = tools
        self._lease = lease
        self.has_turn = has_turn
        self._made_calls = 0
        self._log = get_logger().bind(share=lease.share_id, lease_token=lease.token)
        self._outcomes = Outcomes(tools, lease, self._log)
        self._refusals = Refusals(tools, lease, self._call, self._log)
        self._readings = Readings(tools, lease)

    async def run(self) -> Ending:
        """Work until the share rests, must wait, or is lost.

        Raises:
            StoreError: Postgres is away; the lease runs out by itself and another goes on.
        """
        try:
            return await past_conflicts(self._until_rest)
        except LeaseLostError:
            self._log.warning("share.lease_lost")
            return Ending.LEASE_LOST

    async def _until_rest(self) -> Ending:
        while True:
            share = await self._tools.shares.load(self._lease)
            action = plan.next_action(share, self._tools.policy, self._tools.now())
            if self._tools.stopping():
                return await self._release()
            if isinstance(action, Rest):
                return await self._rest(share, action)
            if self._tools.observe and not isinstance(action, LookUpAccount):
                return await self._only_observe(share, action)
            if isinstance(action, LookUpAccount | Confirm):
                await self._have_read(share, action)
                return await self._rest(share, Rest())
            try:
                await self._do(share, action)
            except (KeyRefusedError, StoppedError):
                return await self._release()
            except Later as later:
                return await self._postpone(share, later)

    async def _only_observe(self, share: ShareFacts, action: Deed | Confirm) -> Ending:
        """Count what would be done, and look again in an hour: by then it may be wanted in earnest."""
        would = action.step if isinstance(action, Write) else type(action).__name__.lower()
        self._tools.calls.metrics.actions_observed.labels(would).inc()
        return await self._rest(share, Rest(self._tools.now() + OBSERVE_AGAIN), would=would)

    async def _have_read(self, share: ShareFacts, action: LookUpAccount | Confirm) -> None:
        """Have an object read: it makes the share due again."""
        if isinstance(action, LookUpAccount):
            await self._tools.projections.want_account(share.account.id)
            return
        await self._tools.projections.want_reading(action.kind, action.id)

    async def _release(self) -> Ending:
        await self._tools.shares.release(self._lease)
        return Ending.RELEASED

    async def _postpone(self, share: ShareFacts, later: Later) -> Ending:
        delay_s = later.delay_s or _delay_s(share.attempts)
        if later.counts:
            await self._tools.shares.postpone(self._lease, share.mark, delay_s)
        else:
            until = self._tools.now() + timedelta(seconds=delay_s)
            await self._tools.shares.finish(self._lease, share.mark, until=until)
        self._log.warning(
            "share.postponed",
            account=share.account.id,
            why=str(later),
            attempts=share.attempts + later.counts,
            delay_s=round(delay_s, 3),
        )
        return Ending.POSTPONED

    async def _rest(self, share: ShareFacts, rest: Rest, **fields: str) -> Ending:
        await self._tools.shares.finish(self._lease, share.mark, until=rest.until, braked=rest.braked)
        self._log.info(
            "share.reconciled",
            account=share.account.id,
            customer=share.customer.id,
            methods=len(share.methods),
            stripe_calls=self._made_calls,
            **fields,
        )
        return Ending.RESTED

    async def _do(self, share: ShareFacts, action: Deed) -> None:
        match action:
            case Write():
                await self._begin(share, action)
            case Repeat(method=method, intent=intent):
                await self._send(share, method, intent)
            case Abandon(intent=intent):
                if intent.step is Step.CLONE:
                    self._tools.calls.metrics.stray_clones.inc()
                async with self._tools.shares.fenced(self._lease) as recording:
                    await recording.conclude_intent(Outcome.VOID, None)
            case ReadClone() | ReadCustomer():
                await self._look(share, action)
            case Reuse(method=method):
                await self._outcomes.reused(share, method)
            case CatchUp(method=method):
                await self._outcomes.caught_up(share, method)
            case Restart(method=method, keep=keep):
                async with self._tools.shares.fenced(self._lease) as recording:
                    await recording.restart(method, keep=keep)
            case Announce(method=method, state=state, reason=reason):
                await self._outcomes.announce(share, method, state, reason)
            case _:
                assert_never(action)

    async def _begin(self, share: ShareFacts, write: Write) -> None:
        if self._tools.calls.forbids(write.step):
            raise Later(f"{write.step}: not permitted", FORBIDDEN_DELAY_S, counts=False)
        intent = await self._open_intent(share, write)
        if intent is not None:
            await self._send(share, _planned(write.method), intent)

    async def _open_intent(self, share: ShareFacts, write: Write) -> Intent | None:
        """Record a write before it is sent; None where it has to wait after all."""
        method, now = write.method, self._tools.now()
        about = intents.object_of(share, write)
        async with self._tools.shares.fenced(self._lease) as recording:
            await recording.plan_clone(method, now)
            if not await self._may_write(recording, write):
                return None
            epoch = await recording.next_epoch(write.step, about)
            intent = Intent(
                platform_payment_method_id=method.id,
                step=write.step,
                object=about,
                epoch=epoch,
                idempotency_key=intents.idempotency_key(
                    self._tools.installation, share, write.step, about, epoch
                ),
                parameters=intents.parameters(share, write),
                first_tried_at=now,
                generation=method.generation,
                target=intents.target_of(share, write),
            )
            await recording.open_intent(intent)
            if _begins_an_update(write):
                await recording.announce(method, State.READY, Reason.UPDATING, now)
        return intent

    async def _may_write(self, recording: Recording, write: Write) -> bool:
        """Whether the card has its turn, and the brake lets a detach through."""
        method, now = write.method, self._tools.now()
        if write.step is Step.CLONE and (method.clone is None or method.clone.paced_until is None):
            if await recording.take_turn(method, now, self._tools.clones_per_card_per_hour) > now:
                if not is_attached(method):
                    await recording.announce(method, State.PENDING, None, now)
                return False
        elif write.step is Step.DETACH:
            braked, news = await recording.is_braked(self._tools.detach_brake)
            if news:
                self._log.error("brake.engaged", fix="see what detaches so much, then offshoot brake release")
            return not braked
        return True

    async def _send(self, share: ShareFacts, method: MethodFacts, intent: Intent) -> None:
        try:
            reply = await self._call(intent.step, share, lambda: self._write(share, intent))
        except RefusedError as refused:
            await self._refusals.refused(share, method, intent, refused)
        else:
            await self._outcomes.succeeded(share, method, intent, reply)

    async def _write(self, share: ShareFacts, intent: Intent) -> Reply:
        stripe, account, key = self._tools.calls.stripe, share.account.id, intent.idempotency_key
        target = intent.target or ""
        match intent.step:
            case Step.CLONE:
                return await stripe.clone(account, intent.parameters, key)
            case Step.CREATE_CUSTOMER:
                return await stripe.create_customer(account, intent.parameters, key)
            case Step.ATTACH:
                return await stripe.attach(account, target, intent.parameters, key)
            case Step.UPDATE:
                return await stripe.update(account, target, intent.parameters, key)
            case Step.SET_DEFAULT:
                return await stripe.update_customer(account, target, intent.parameters, key)
            case Step.DETACH:
                return await stripe.detach(account, target, key)

    async def _look(self, share: ShareFacts, action: ReadClone | ReadCustomer) -> None:
        match action:
            case ReadClone(method=method, connected_payment_method_id=clone_id, intent=intent):
                await self._read_clone(share, method, clone_id, intent)
            case ReadCustomer(intent=intent):
                await self._read_customer(share, intent)
            case _:
                assert_never(action)

    async def _read_clone(
        self, share: ShareFacts, method: MethodFacts, clone_id: str, intent: Intent | None
    ) -> None:
        """Let the method on the account tell; `intent` is the write whose answer was lost."""
        account = share.account.id
        try:
            reply = await self._call(
                "read_clone", share, lambda: self._tools.calls.stripe.read_payment_method(clone_id, account)
            )
        except RefusedError as refused:
            await self._readings.not_read(method, clone_id, intent, refused)
        else:
            await self._readings.read(share, method, clone_id, intent, reply)

    async def _read_customer(self, share: ShareFacts, intent: Intent) -> None:
        """Let the connected customer tell what a lost change of its default did."""
        account, customer, read_at = share.account.id, intent.target or "", self._tools.now()
        try:
            reply = await self._call(
                "read_connected_customer",
                share,
                lambda: self._tools.calls.stripe.read_customer(customer, account),
            )
        except RefusedError as refused:
            await self._readings.customer_not_read(refused)
        else:
            await self._readings.customer_read(intent, reply, read_at)

    async def _call(self, name: str, share: ShareFacts, call: Call) -> Reply:
        """Make one call in its turn; what did not go well, and is no refusal, means later."""
        self._made_calls += 1
        has_turn, self.has_turn = self.has_turn, False
        try:
            return await self._tools.calls.make(
                name,
                call,
                self._renew,
                account=share.account.id,
                priority=self._lease.priority,
                has_turn=has_turn,
            )
        except (RefusedError, KeyRefusedError, StoppedError):
            raise
        except AccountInvalidError as error:
            # Only a reading of the account says what it means.
            await self._tools.projections.want_account(share.account.id, called_invalid=True)
            raise Later(str(error)) from error
        except PermissionMissingError as error:
            raise Later(f"{name}: {error}", FORBIDDEN_DELAY_S, counts=False) from error
        except OutcomeUnknownError as error:
            if error.stored:
                async with self._tools.shares.fenced(self._lease) as recording:
                    await recording.note_stored_error(error.request_id)
            raise Later(str(error)) from error
        except StripeError as error:
            raise Later(str(error)) from error

    async def _renew(self) -> None:
        async with self._tools.shares.fenced(self._lease):
            pass  # what the fence itself does is all that is wanted


def _begins_an_update(write: Write) -> bool:
    clone = write.method.clone
    return (
        write.step in (Step.CLONE, Step.ATTACH, Step.UPDATE)
        and is_attached(write.method)
        and clone is not None
        and clone.generation < write.method.generation
        and clone.reason is not Reason.UPDATING
    )


def _planned(method: MethodFacts) -> MethodFacts:
    if method.clone is not None:
        return method
    return replace(method, clone=CloneFacts(RecoveryPoint.PLANNED, None, State.PENDING, None))


def _delay_s(attempts: int) -> float:
    """Grow from 1 s to 15 min, jittered downwards to the half."""
    longest = min(LONGEST_DELAY_S, FIRST_DELAY_S * 2.0 ** min(attempts, 20))
    return longest * random.uniform(0.5, 1.0)  # noqa: S311 -- jitter
