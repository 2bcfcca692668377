"""The card updater: an issuer tells of a new card behind a saved one.

[doc] docs.stripe.com/payments/cards/overview#automatic-card-updates. No call does it: the control side does.
"""

import copy
from collections.abc import Mapping
from typing import Any

from deploy.stripe_emulator import cards
from deploy.stripe_emulator.model import Call, PaymentMethod


def renew(call: Call, method: PaymentMethod, said: Mapping[str, Any]) -> None:
    """Give a saved card a new expiry, and with `number` a new number and fingerprint.

    `payment_method.automatically_updated` tells of it. ValueError: it is no card, or nobody saved it;
    KeyError: `exp_month` or `exp_year` is missing; StripeError: there is no such card, or it is over.
    """
    if method.body["type"] != "card" or method.customer is None:
        raise ValueError(f"{method.id} is not a card that was saved")
    before = copy.deepcopy(method.body)
    expiry = {name: int(said[name]) for name in ("exp_month", "exp_year")}
    cards.check_expiry(expiry["exp_month"], expiry["exp_year"], call.world.clock.now_s())
    card = method.body["card"]
    if "number" in said:
        made, method.behaviour = cards.card_from_number(
            {"number": said["number"], **expiry}, call.world.clock.now_s()
        )
        card.update(made, checks=card["checks"])
    else:
        card.update(expiry)
    call.emit("payment_method.automatically_updated", method.body, before=before)
