"""What a write says and under which key: https://docs.stripe.com/api/idempotent_requests.

The key names installation, account, object, step and epoch, so it is the same after a crash. The connected
customer's names account and platform customer, never a card: two cards can never make two customers.
"""

import hashlib
from collections.abc import Mapping
from typing import Any, Final

from consumers.clone.actions import Write
from consumers.clone.content import changes
from consumers.clone.facts import MethodFacts, ShareFacts, Step

KEY_LENGTH_AT_MOST: Final = 255
KEY_PREFIX: Final = "offshoot"
"""By it an event of Stripe's that our own write caused is recognised."""


def object_of(share: ShareFacts, write: Write) -> str:
    """Name what the write is about: epochs count per share, step and object."""
    match write.step:
        case Step.CREATE_CUSTOMER:
            return share.customer.id
        case Step.DETACH | Step.SET_DEFAULT:
            return write.detaching or made(write.method)
        case Step.CLONE | Step.ATTACH | Step.UPDATE:
            return f"{write.method.id}.{write.method.generation}"


def target_of(share: ShareFacts, write: Write) -> str | None:
    """Give the connected object that the call is addressed to; None where it makes a new one."""
    match write.step:
        case Step.CLONE | Step.CREATE_CUSTOMER:
            return None
        case Step.ATTACH:
            clone = write.method.clone
            return clone.next.id if clone is not None and clone.next is not None else made(write.method)
        case Step.UPDATE:
            return made(write.method)
        case Step.SET_DEFAULT:
            return share.connected_customer_id
        case Step.DETACH:
            return write.detaching


def made(method: MethodFacts) -> str:
    """Give the id of the method on the account that serves as the clone, or will."""
    if method.clone is None or method.clone.connected_payment_method_id is None:
        raise AssertionError(f"nothing is made of {method.id} yet")
    return method.clone.connected_payment_method_id


def idempotency_key(installation: str, share: ShareFacts, step: Step, about: str, epoch: int) -> str:
    """Build the key under which Stripe does the write at most once; a very long object goes by its hash."""
    key = f"{own_keys(installation)}{share.account.id}:{about}:{step}:{epoch}"
    if len(key) <= KEY_LENGTH_AT_MOST:
        return key
    hashed = hashlib.sha256(about.encode()).hexdigest()
    return f"{own_keys(installation)}{share.account.id}:{hashed}:{step}:{epoch}"


def own_keys(installation: str) -> str:
    """Say how every key of this installation begins."""
    return f"{KEY_PREFIX}:{installation}:"


def parameters(share: ShareFacts, write: Write) -> Mapping[str, Any]:
    """Say exactly what the write sends.

    The clone call carries `customer` and `payment_method` and nothing else: whether Stripe takes more is not
    documented.
    """
    match write.step:
        case Step.CLONE:
            return {"customer": share.customer.id, "payment_method": write.method.id}
        case Step.CREATE_CUSTOMER:
            return {
                "payment_method": made(write.method),
                "invoice_settings": {"default_payment_method": made(write.method)},
                **share.customer.profile,
                # For people who look at the account; Offshoot itself never adopts by metadata.
                "metadata": {"offshoot_platform_customer": share.customer.id},
            }
        case Step.ATTACH:
            return {"customer": share.connected_customer_id}
        case Step.UPDATE:
            return _update(write.method)
        case Step.SET_DEFAULT:
            return {"invoice_settings": {"default_payment_method": made(write.method)}}
        case Step.DETACH:
            return {}


def _update(method: MethodFacts) -> Mapping[str, Any]:
    if method.clone is None or method.content is None:
        raise AssertionError(f"what {method.id} is made of is not known")
    return changes(method.type, method.clone.content, method.content)
