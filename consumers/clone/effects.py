"""What a write that Stripe did changes here, whether its answer told or a later reading."""

import msgspec

from consumers.clone import intents
from consumers.clone.content import changes
from consumers.clone.facts import Connected, Content, Intent, MethodFacts, ShareFacts, Step
from consumers.clone.gates import standing, why_absent
from consumers.clone.policy import Leave
from consumers.clone.tools import Tools
from consumers.projection import objects
from consumers.store.recording import Recording
from consumers.stripe_gateway import Reply
from schemas.records import Reason, State


class Effects:
    """Records effects, in the transaction that concludes the write."""

    def __init__(self, tools: Tools) -> None:
        self._tools = tools

    async def record(
        self, recording: Recording, share: ShareFacts, method: MethodFacts, intent: Intent, reply: Reply
    ) -> None:
        """Record what the write did, as its answer shows it."""
        now, request_id = self._tools.now(), reply.request_id
        match intent.step:
            case Step.CLONE:
                made = Connected(str(reply.object["id"]), intent.generation, content_of(reply))
                await recording.cloned(method, made, now, request_id)
            case Step.CREATE_CUSTOMER:
                clone_id = intents.made(method)
                await recording.connected_customer(str(reply.object["id"]), clone_id)
                await self.attached(recording, method, clone_id, None, request_id)
            case Step.ATTACH:
                clone_id = intent.target or intents.made(method)
                await self.attached(recording, method, clone_id, content_of(reply), request_id)
            case Step.UPDATE:
                await self.updated(recording, method, intent, reply)
            case Step.SET_DEFAULT:
                await recording.connected_default(intent.target, default_in(intent), now)
            case Step.DETACH:
                await self.detached(recording, share, method, intent.object)

    async def attached(
        self,
        recording: Recording,
        method: MethodFacts,
        clone_id: str,
        content: Content | None,
        request_id: str | None,
    ) -> None:
        """The clone, or the one that replaces it, is on the connected customer."""
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
            source_fingerprint=fingerprint(original),
            detach_at=now + policy.superseded_grace if policy.on_superseded is Leave.DETACH else None,
        )
        await recording.announce(method, State.READY, standing(method, clone_id), now)

    async def updated(self, recording: Recording, method: MethodFacts, intent: Intent, reply: Reply) -> None:
        """An update of the same generation only adds billing details: nothing to tell."""
        now, content = self._tools.now(), content_of(reply)
        is_newer = method.clone is not None and method.clone.generation < intent.generation
        updated = Connected(intent.object, intent.generation, content)
        await recording.brought_to(method, updated, now, reply.request_id)
        if method.generation == intent.generation and content is not None and differs(method, content):
            # Stripe took the update and shows something else: it is not asked again.
            await recording.update_refused(method, intent.generation)
        if is_newer:
            await recording.announce(method, State.READY, standing(method), now)

    async def detached(
        self, recording: Recording, share: ShareFacts, method: MethodFacts, connected_id: str
    ) -> None:
        """A method is not on the connected customer any more."""
        now = self._tools.now()
        await recording.detached(connected_id, now)
        if method.clone is not None and method.clone.connected_payment_method_id == connected_id:
            reason = why_absent(share, method) or Reason.SHARE_REVOKED
            await recording.announce(method, State.ABSENT, reason, now)


def content_of(reply: Reply) -> Content | None:
    """What a method in an answer is made of; None where it cannot be read."""
    try:
        method = objects.decode(msgspec.json.encode(reply.object), objects.PaymentMethod)
    except msgspec.DecodeError:
        return None
    return objects.content(method)


def differs(method: MethodFacts, content: Content) -> bool:
    """Whether the original is not what this content is."""
    return method.content is not None and bool(changes(method.type, content, method.content))


def fingerprint(content: Content | None) -> str | None:
    """What tells one card from another; None where nothing is known."""
    return content["fingerprint"] if content is not None else None


def default_in(intent: Intent) -> str | None:
    """Say which default a change of it asks for."""
    settings = intent.parameters.get("invoice_settings") or {}
    default: str | None = settings.get("default_payment_method")
    return default
