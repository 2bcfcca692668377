"""What must have become of every method in the end, from what is true at Stripe and from nothing of ours.

A verdict is the set of what may be announced. More than one is right only where the answer rests on what was
seen on the way: whether a revocation was noticed before it was taken back.
"""

from dataclasses import dataclass, field
from typing import Any, Final

from consumers.clone.policy import Leave, Policy
from deploy.stripe_emulator.model import Account, PaymentMethod, World
from schemas.records import Reason, State

Said = tuple[State, Reason | None]

_CAPABILITY: Final = "card_payments"


@dataclass(slots=True)
class Happened:
    """What was done at Stripe that its present state does not tell."""

    owners: dict[str, str] = field(default_factory=dict)
    """The platform customer of each platform method."""
    detached_there: set[tuple[str, str]] = field(default_factory=set)
    """Account and platform method: somebody there detached its clone."""
    customer_deleted_there: set[tuple[str, str]] = field(default_factory=set)
    """Account and platform customer: somebody there deleted its connected customer."""
    changed_there: set[str] = field(default_factory=set)
    """Connected methods that somebody there changed."""
    granted: set[tuple[str, str]] = field(default_factory=set)
    """Account and platform customer: it was ever shared."""
    away: set[str] = field(default_factory=set)
    """Accounts that were ever deauthorised."""


class Oracle:
    """Reads Stripe's truth."""

    def __init__(self, stripe: World, happened: Happened, policy: Policy) -> None:
        self._stripe = stripe
        self._happened = happened
        self._policy = policy

    def pairs(self) -> list[tuple[Account, PaymentMethod]]:
        """Every account and platform method that could have to do with each other."""
        return [
            (account, self._stripe.platform.payment_methods[method])
            for account in self._stripe.connected.values()
            for method in self._happened.owners
        ]

    def wanted(self, account: Account, method: PaymentMethod) -> Reason | None:
        """Why the method should not be there; None where it should."""
        customer = self._stripe.platform.customers[self._happened.owners[method.id]]
        named = customer.body["metadata"].get("connected_accounts", "")
        if customer.deleted:
            return Reason.CUSTOMER_DELETED
        if method.customer is None:
            return Reason.DETACHED_ON_PLATFORM
        if account.id not in named and not ("*" in named and account.events):
            return Reason.SHARE_REVOKED
        if method.body["metadata"].get("offshoot") == "never":
            return Reason.OPTED_OUT
        return None

    def may_say(self, account: Account, method: PaymentMethod) -> set[Said] | None:
        """What may be announced; None: whatever, or nothing."""
        if (reason := self.wanted(account, method)) is not None:
            return self._gone(account, method, reason)
        said = self._done_there(account, method)
        if method.behaviour.declines is not None:
            said.add((State.FAILED, Reason.CARD_DECLINED))
        if not account.authorized:
            said.add((State.BLOCKED, Reason.ACCOUNT_DISCONNECTED))
        elif account.body["capabilities"].get(_CAPABILITY) != "active":
            said.add((State.BLOCKED, Reason.CAPABILITY_INACTIVE))
        elif method.behaviour.declines is None:
            said |= {(State.READY, None), (State.READY, Reason.REUSED)}
        return said

    def _gone(self, account: Account, method: PaymentMethod, reason: Reason) -> set[Said] | None:
        if self._owner(account, method) not in self._happened.granted or self.stays(reason):
            return None
        if reason is Reason.SHARE_REVOKED and not account.events:
            return None  # `*` means it only once it was heard of, which a reading does too
        gone: set[Said] = {(State.ABSENT, reason)}
        if not account.authorized:
            gone.add((State.BLOCKED, Reason.ACCOUNT_DISCONNECTED))
        return gone

    def _done_there(self, account: Account, method: PaymentMethod) -> set[Said]:
        said: set[Said] = set()
        if (account.id, method.id) in self._happened.detached_there:
            said.add((State.ABSENT, Reason.DETACHED_ON_ACCOUNT))
        if self._owner(account, method) in self._happened.customer_deleted_there:
            said |= {
                (State.ABSENT, Reason.CONNECTED_CUSTOMER_DELETED),
                (State.ABSENT, Reason.DETACHED_ON_ACCOUNT),
            }
        return said

    def _owner(self, account: Account, method: PaymentMethod) -> tuple[str, str]:
        return account.id, self._happened.owners[method.id]

    def must_be_said(self, account: Account, method: PaymentMethod) -> bool:
        """Whether there must be a record; `*` does not mean an account that was gone when first heard of."""
        return self.wanted(account, method) is None and account.authorized

    def stays(self, reason: Reason | None) -> bool:
        """Whether a clone that should not be there may be attached all the same."""
        return reason is not None and self._policy.on_detach is Leave.KEEP

    def fault_in(self, account: Account, method: PaymentMethod, clone_id: str) -> str | None:
        """Say what is wrong with the method that is announced to be ready; None: nothing."""
        clone = account.payment_methods.get(clone_id)
        if clone is None or clone.customer is None:
            return "it is not attached"
        if account.customers[clone.customer].deleted:
            return "its customer is deleted"
        if clone_id in self._happened.changed_there:
            return None
        if _content(clone.body) != _content(method.body):
            return f"it is not like its original: {_content(clone.body)} is not {_content(method.body)}"
        return None


def _content(body: dict[str, Any]) -> Any:
    card = body["card"]
    billing = {
        name: value
        for name, value in body["billing_details"].items()
        if value and not isinstance(value, dict)
    }
    return card["fingerprint"], card["exp_year"], card["exp_month"], billing
