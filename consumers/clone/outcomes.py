"""What was decided without a call, and what Stripe did: recorded and announced in one transaction."""

from typing import Any, Final

from consumers.clone import intents
from consumers.clone.effects import Effects, fingerprint
from consumers.clone.facts import Connected, Intent, MethodFacts, Outcome, ShareFacts, Step
from consumers.clone.gates import standing
from consumers.clone.tools import Tools
from consumers.store.shares import Lease
from consumers.stripe_gateway import Reply
from schemas.records import Reason, State

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
        log: Any,
    ) -> None:
        self._tools = tools
        self._lease = lease
        self._log = log
        self._effects = Effects(tools)

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
                source_fingerprint=fingerprint(method.content),
            )
            await recording.announce(method, State.READY, standing(method), now)
        self._log.info("clone.caught_up", account=share.account.id, platform_payment_method=method.id)

    async def succeeded(self, share: ShareFacts, method: MethodFacts, intent: Intent, reply: Reply) -> None:
        """Record a write that Stripe did."""
        async with self._tools.shares.fenced(self._lease) as recording:
            await recording.conclude_intent(Outcome.SUCCEEDED, reply.request_id)
            await self._effects.record(recording, share, method, intent, reply)
        self._log.info(
            f"clone.{_DONE[intent.step]}",
            account=share.account.id,
            platform_payment_method=method.id,
            object=reply.object.get("id"),
            request_id=reply.request_id,
            epoch=intent.epoch,
        )
