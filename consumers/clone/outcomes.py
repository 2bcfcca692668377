"""What became of a write or a reading, recorded and announced in one transaction."""

from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from typing import Any, Final

import msgspec

from consumers.clone import intents, verdicts
from consumers.clone.content import changes
from consumers.clone.facts import Connected, Content, Intent, MethodFacts, Outcome, ShareFacts, Step
from consumers.clone.gates import is_attached, standing, why_absent
from consumers.clone.policy import Leave
from consumers.clone.tools import Later, Tools
from consumers.clone.verdicts import Declined, Detached, Failed, Missing
from consumers.projection import objects
from consumers.store.recording import Recording
from consumers.store.shares import Lease
from consumers.stripe_calls import Call
from consumers.stripe_errors import RefusedError
from consumers.stripe_gateway import Reply
from schemas.records import Reason, State

ROOM_IS_MADE_AFTER: Final = timedelta(minutes=1)
MISSING_DELAY_S: Final = 10.0
"""How long the reading of what was not found is given before the write is tried anew."""

_DONE: Final = {
    Step.CLONE: "cloned",
    Step.CREATE_CUSTOMER: "customer_created",
    Step.ATTACH: "attached",
    Step.UPDATE: "updated",
    Step.SET_DEFAULT: "made_default",
    Step.DETACH: "detached",
}


class Outcomes:
    """Records outcomes for one leased share."""

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

    # -- without a call

    async def announce(
        self, share: ShareFacts, method: MethodFacts, state: State, reason: Reason | None
    ) -> None:
        """Record and announce a state."""
        now = self._tools.now()
        async with self._tools.shares.fenced(self._lease) as recording:
            await recording.plan_clone(method, now)
            await recording.announce(method, state, reason, now)
        self._log.info(
            f"clone.{state}", account=share.account.id, platform_payment_method=method.id, reason=reason
        )

    async def reused(self, share: ShareFacts, method: MethodFacts) -> None:
        """Let what is there already serve as the clone."""
        if method.reusable is None:
            raise AssertionError("nothing to reuse")
        now = self._tools.now()
        async with self._tools.shares.fenced(self._lease) as recording:
            await recording.plan_clone(method, now)
            await recording.reused(method, method.reusable.id, method.reusable.content, now)
            await recording.announce(method, State.READY, Reason.REUSED, now)
        self._log.info("clone.reused", account=share.account.id, platform_payment_method=method.id)

    async def caught_up(self, share: ShareFacts, method: MethodFacts) -> None:
        """The clone is what is wanted already."""
        if method.clone is None:
            raise AssertionError("nothing to catch up")
        now = self._tools.now()
        async with self._tools.shares.fenced(self._lease) as recording:
            await recording.brought_to(
                method,
                Connected(intents.made(method), method.generation, method.clone.content),
                now,
                None,
                source_fingerprint=_fingerprint(method.content),
            )
            await recording.announce(method, State.READY, standing(method), now)
        self._log.info("clone.caught_up", account=share.account.id, platform_payment_method=method.id)

    # -- a write that succeeded

    async def succeeded(self, share: ShareFacts, method: MethodFacts, intent: Intent, reply: Reply) -> None:
        """Record a write that Stripe did."""
        async with self._tools.shares.fenced(self._lease) as recording:
            await recording.conclude_intent(Outcome.SUCCEEDED, reply.request_id)
            await self._effect(recording, share, method, intent, reply)
        self._log.info(
            f"clone.{_DONE[intent.step]}",
            account=share.account.id,
            platform_payment_method=method.id,
            object=reply.object.get("id"),
            request_id=reply.request_id,
            epoch=intent.epoch,
        )

    async def _effect(
        self, recording: Recording, share: ShareFacts, method: MethodFacts, intent: Intent, reply: Reply
    ) -> None:
        now, request_id = self._tools.now(), reply.request_id
        match intent.step:
            case Step.CLONE:
                made = Connected(str(reply.object["id"]), intent.generation, _content(reply))
                await recording.cloned(method, made, now, request_id)
            case Step.CREATE_CUSTOMER:
                clone_id = intents.made(method)
                await recording.connected_customer(str(reply.object["id"]), clone_id)
                await self._attached(recording, method, clone_id, None, request_id)
            case Step.ATTACH:
                clone_id = intent.target or intents.made(method)
                await self._attached(recording, method, clone_id, _content(reply), request_id)
            case Step.UPDATE:
                await self._updated(recording, method, intent, reply)
            case Step.SET_DEFAULT:
                await recording.connected_default(_default_in(intent))
            case Step.DETACH:
                await self._detached(recording, share, method, intent.object)

    async def _attached(
        self,
        recording: Recording,
        method: MethodFacts,
        clone_id: str,
        content: Content | None,
        request_id: str | None,
    ) -> None:
        clone, policy, now = method.clone, self._tools.policy, self._tools.now()
        if clone is None:
            raise AssertionError("nothing was made")
        was = Connected(clone_id, clone.generation, clone.content)
        if clone.next is not None and clone.next.id == clone_id:
            was = clone.next
        original = method.content if method.generation == was.generation else content or was.content
        await recording.attached(
            method,
            Connected(clone_id, was.generation, content),
            now,
            request_id,
            source_fingerprint=_fingerprint(original),
            detach_at=now + policy.superseded_grace if policy.on_superseded is Leave.DETACH else None,
        )
        await recording.announce(method, State.READY, standing(method, clone_id), now)

    async def _updated(self, recording: Recording, method: MethodFacts, intent: Intent, reply: Reply) -> None:
        """An update of the same generation only adds billing details: nothing to tell."""
        now, content = self._tools.now(), _content(reply)
        is_newer = method.clone is not None and method.clone.generation < intent.generation
        updated = Connected(intent.object, intent.generation, content)
        await recording.brought_to(method, updated, now, reply.request_id)
        if method.generation == intent.generation and content is not None and _differs(method, content):
            # Stripe took the update and shows something else: it is not asked again.
            await recording.update_refused(method, intent.generation)
        if is_newer:
            await recording.announce(method, State.READY, standing(method), now)

    async def _detached(
        self, recording: Recording, share: ShareFacts, method: MethodFacts, connected_id: str
    ) -> None:
        now = self._tools.now()
        await recording.detached(connected_id, now)
        if method.clone is not None and method.clone.connected_payment_method_id == connected_id:
            reason = why_absent(share, method) or Reason.SHARE_REVOKED
            await recording.announce(method, State.ABSENT, reason, now)

    # -- a write that was refused

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
                await self._detached(recording, share, method, intent.object)
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
                await self._fail(recording, method, intent, Reason.REFUSED, now)
            case Failed(reason=Reason.CUSTOMER_FULL) if await recording.hasten_superseded(now):
                # Room is made first: of clones that were to be detached anyhow.
                await recording.declined(method, _declines(method), now + ROOM_IS_MADE_AFTER)
            case Failed(reason=reason):
                await self._fail(recording, method, intent, reason, now)
        return False

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

    # -- a reading

    async def read(
        self,
        share: ShareFacts,
        method: MethodFacts,
        connected_id: str,
        intent: Intent | None,
        reply: Reply,
    ) -> None:
        """Record what the method on the account shows; `intent` is the write whose answer was lost."""
        customer = reply.object.get("customer") or _shown_on(method, intent)
        async with self._tools.shares.fenced(self._lease) as recording:
            if intent is None:
                await self._found(recording, share, method, reply)
                return
            if not self._was_done(method, intent, reply, customer):
                await recording.conclude_intent(Outcome.VOID, reply.request_id)
                return
            await recording.conclude_intent(Outcome.SUCCEEDED, reply.request_id)
            match intent.step:
                case Step.UPDATE:
                    await self._updated(recording, method, intent, reply)
                case Step.DETACH:
                    await self._detached(recording, share, method, intent.object)
                case _:
                    if share.connected_customer_id is None:
                        await recording.connected_customer(str(customer), connected_id)
                    await self._attached(recording, method, connected_id, _content(reply), reply.request_id)

    def _was_done(self, method: MethodFacts, intent: Intent, reply: Reply, customer: str | None) -> bool:
        match intent.step:
            case Step.DETACH:
                return not reply.object.get("customer")
            case Step.UPDATE:
                content = _content(reply)
                return (
                    intent.generation == method.generation
                    and content is not None
                    and not _differs(method, content)
                )
            case _:
                return bool(customer)

    async def _found(
        self, recording: Recording, share: ShareFacts, method: MethodFacts, reply: Reply
    ) -> None:
        """A look at what is there: the account was away, or somebody took the method up."""
        now, clone = self._tools.now(), method.clone
        if clone is None:
            raise AssertionError("nothing to look at")
        customer = reply.object.get("customer")
        if not customer:
            await recording.announce(method, State.ABSENT, Reason.DETACHED_ON_ACCOUNT, now)
            return
        if share.connected_customer_id is None:
            await recording.connected_customer(str(customer), None)
        seen = Connected(intents.made(method), clone.generation, _content(reply))
        await recording.brought_to(method, seen, now, reply.request_id)
        await recording.announce(method, State.READY, standing(method), now)

    async def not_read(
        self, method: MethodFacts, connected_id: str, intent: Intent | None, refused: RefusedError
    ) -> None:
        """Record that Stripe does not show the method: it is gone."""
        verdict, now = verdicts.of(refused), self._tools.now()
        reason = verdict.reason if isinstance(verdict, Failed) else Reason.NOT_FOUND
        async with self._tools.shares.fenced(self._lease) as recording:
            if intent is not None:
                await recording.conclude_intent(Outcome.VOID, refused.request_id)
            if intent is not None and intent.step is Step.DETACH:
                await recording.detached(connected_id, now)
            else:
                await recording.failed(method, method.generation)
                await recording.announce(method, State.FAILED, reason, now)


def _declines(method: MethodFacts) -> int:
    return method.clone.declines if method.clone is not None else 0


def _shown_on(method: MethodFacts, intent: Intent | None) -> str | None:
    """Whose a clone was that is nobody's any more: the customer that we made is known by nothing else."""
    clone = method.clone
    if intent is None or clone is None or intent.step not in (Step.CREATE_CUSTOMER, Step.ATTACH):
        return None
    return clone.shown_on_customer_id if intent.target in (None, clone.connected_payment_method_id) else None


def _content(reply: Reply) -> Content | None:
    """What a method in an answer is made of; None where it cannot be read."""
    try:
        method = objects.decode(msgspec.json.encode(reply.object), objects.PaymentMethod)
    except msgspec.DecodeError:
        return None
    return objects.content(method)


def _differs(method: MethodFacts, content: Content) -> bool:
    return method.content is not None and bool(changes(method.type, content, method.content))


def _fingerprint(content: Content | None) -> str | None:
    return content["fingerprint"] if content is not None else None


def _default_in(intent: Intent) -> str | None:
    settings = intent.parameters.get("invoice_settings") or {}
    default: str | None = settings.get("default_payment_method")
    return default
