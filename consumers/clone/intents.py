"""What a write says and under which key: https://docs.stripe.com/api/idempotent_requests.

The key names installation, account, object, step and epoch, so it is the same after a crash. The connected
customer's names account and platform customer, never a card: two cards can never make two customers.
"""

from collections.abc import Mapping
from typing import Any, Final

from consumers.clone.facts import MethodFacts, ShareFacts, Step

KEY_PREFIX: Final = "offshoot"
"""By it an event of Stripe's that our own write caused is recognised."""


def object_of(share: ShareFacts, method: MethodFacts, step: Step) -> str:
    """Name what the write is about: epochs count per share, step and object."""
    if step is Step.CREATE_CUSTOMER:
        return share.customer.id
    return f"{method.id}.{method.generation}"


def idempotency_key(installation: str, share: ShareFacts, step: Step, about: str, epoch: int) -> str:
    """Build the key under which Stripe does the write at most once."""
    return f"{KEY_PREFIX}:{installation}:{share.account.id}:{about}:{step}:{epoch}"


def parameters(share: ShareFacts, method: MethodFacts, step: Step) -> Mapping[str, Any]:
    """Say exactly what the write sends.

    The clone call carries `customer` and `payment_method` and nothing else: whether Stripe takes more is not
    documented.
    """
    clone_id = method.clone.connected_payment_method_id if method.clone is not None else None
    match step:
        case Step.CLONE:
            return {"customer": share.customer.id, "payment_method": method.id}
        case Step.CREATE_CUSTOMER:
            return {
                "payment_method": clone_id,
                "invoice_settings": {"default_payment_method": clone_id},
                **share.customer.profile,
                # For people who look at the account; Offshoot itself never adopts by metadata.
                "metadata": {"offshoot_platform_customer": share.customer.id},
            }
        case Step.ATTACH:
            return {"customer": share.connected_customer_id}
        case Step.UPDATE | Step.SET_DEFAULT | Step.DETACH:
            raise NotImplementedError(step)
