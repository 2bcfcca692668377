"""What a reading of the method on the account shows: what a lost write did, and what is there."""

from datetime import datetime

from consumers.clone import intents, verdicts
from consumers.clone.effects import Effects, content_of, default_in, differs
from consumers.clone.facts import Connected, Intent, MethodFacts, Outcome, ShareFacts, Step
from consumers.clone.gates import standing
from consumers.clone.tools import Tools
from consumers.clone.verdicts import Failed, Missing
from consumers.store.recording import Recording
from consumers.store.shares import Lease
from consumers.stripe_errors import RefusedError
from consumers.stripe_gateway import Reply
from schemas.records import Reason, State


class Readings:
    """Records readings for one leased share."""

    def __init__(self, tools: Tools, lease: Lease) -> None:
        self._tools = tools
        self._lease = lease
        self._effects = Effects(tools)

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
                    await self._effects.updated(recording, method, intent, reply)
                case Step.DETACH:
                    await self._effects.detached(recording, share, method, intent.object)
                case _:
                    if share.connected_customer_id is None:
                        await recording.connected_customer(str(customer), connected_id)
                    await self._effects.attached(
                        recording, method, connected_id, content_of(reply), reply.request_id
                    )

    def _was_done(self, method: MethodFacts, intent: Intent, reply: Reply, customer: str | None) -> bool:
        match intent.step:
            case Step.DETACH:
                return not reply.object.get("customer")
            case Step.UPDATE:
                content = content_of(reply)
                return (
                    intent.generation == method.generation
                    and content is not None
                    and not differs(method, content)
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
        seen = Connected(intents.made(method), clone.generation, content_of(reply))
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

    async def customer_read(self, intent: Intent, reply: Reply, read_at: datetime) -> None:
        """Record the default that the connected customer has, ours or not; later events still count."""
        settings = reply.object.get("invoice_settings") or {}
        default, ours = settings.get("default_payment_method"), default_in(intent)
        outcome = Outcome.SUCCEEDED if default == ours else Outcome.VOID
        async with self._tools.shares.fenced(self._lease) as recording:
            await recording.conclude_intent(outcome, reply.request_id)
            if reply.object.get("deleted"):
                await recording.connected_customer_gone(self._tools.now())
            else:
                await recording.connected_default(intent.target, default, read_at)

    async def customer_not_read(self, refused: RefusedError) -> None:
        """Record that Stripe does not show the connected customer: it is gone, or nothing is known of it."""
        async with self._tools.shares.fenced(self._lease) as recording:
            await recording.conclude_intent(Outcome.VOID, refused.request_id)
            if isinstance(verdicts.of(refused), Missing):
                await recording.connected_customer_gone(self._tools.now())


def _shown_on(method: MethodFacts, intent: Intent | None) -> str | None:
    """Whose a clone was that is nobody's any more: the customer that we made is known by nothing else."""
    clone = method.clone
    if intent is None or clone is None or intent.step not in (Step.CREATE_CUSTOMER, Step.ATTACH):
        return None
    return clone.shown_on_customer_id if intent.target in (None, clone.connected_payment_method_id) else None
