"""How the banks behind test numbers behave: they decline, or ask for the one who pays."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Literal

from deploy.stripe_emulator.errors import DOC_URL, StripeError, card_error


@dataclass(frozen=True, slots=True)
class Decline:
    """What an issuer or a bank answers; advice is null where nobody recorded it."""

    code: str
    message: str
    decline_code: str | None = None
    param: str | None = None
    advice_code: str | None = None
    network_advice_code: str | None = None
    network_decline_code: str | None = None

    def on_saving(self) -> StripeError:
        """Give the answer to an attachment: only `card_declined` has a decline code ([doc] testing)."""
        decline_code = self.decline_code if self.code == "card_declined" else None
        return card_error(self.code, self.message, decline_code, self.param)

    def facts(self) -> dict[str, str]:
        """Give the fields of the answer to a charge ([rec] openfoodnetwork, 2026-08)."""
        said = {
            **asdict(self),
            "type": "card_error",
            "doc_url": DOC_URL + self.code.replace("_", "-"),
        }
        return {name: value for name, value in said.items() if value is not None}


Authentication = Literal["never", "until_set_up", "on_session", "always"]
"""When a card wants its holder to prove who they are: `until_set_up` is every payment but those off session
with a card that was set up for them."""


@dataclass(frozen=True, slots=True)
class Behaviour:
    """What is behind a test number: how it declines, when saved or only when charged, and when it asks."""

    declines: Decline | None = None
    declines_charge: Decline | None = None
    authentication: Authentication = "never"

    def asks(self, *, off_session: bool, set_up: bool) -> bool:
        """Say whether a payment needs the card's holder."""
        match self.authentication:
            case "never":
                return False
            case "until_set_up":
                return not (off_session and set_up)
            case "on_session":
                return not off_session
            case "always":
                return True


_DECLINED = "Your card was declined."
_TOO_OFTEN = (
    "Your card was declined for making repeated attempts too frequently or exceeding its amount limit."
)
_FUNDS = Decline(
    "card_declined",
    "Your card has insufficient funds.",
    "insufficient_funds",
    None,
    "try_again_later",
    "02",
    "51",
)
_GENERIC = Decline("card_declined", _DECLINED, "generic_decline", None, "try_again_later", None, "01")
AUTHENTICATION_REQUIRED = Decline(
    "authentication_required",
    "Your card was declined. This transaction requires authentication.",
    "authentication_required",
)
"""The answer to a payment off session whose card asks for its holder ([doc] declines/codes)."""

BEHAVIOURS: Mapping[str, Behaviour] = {
    "4000000000000002": Behaviour(_GENERIC),
    "4000000000009995": Behaviour(_FUNDS),
    "4000000000009987": Behaviour(
        Decline("card_declined", _DECLINED, "lost_card", None, "do_not_try_again", "01", "41")
    ),
    "4000000000009979": Behaviour(
        Decline("card_declined", _DECLINED, "stolen_card", None, "do_not_try_again", "01", "43")
    ),
    "4000000000006975": Behaviour(
        Decline(
            "card_declined",
            _TOO_OFTEN,
            "card_velocity_exceeded",
            None,
            "try_again_later",
            "02",
            "61",
        )
    ),
    "4000000000000069": Behaviour(
        Decline(
            "expired_card",
            "Your card has expired.",
            "expired_card",
            "exp_month",
            "confirm_card_data",
            "03",
            "54",
        )
    ),
    "4000000000000127": Behaviour(
        Decline(
            "incorrect_cvc",
            "Your card's security code is incorrect.",
            "incorrect_cvc",
            "cvc",
            "confirm_card_data",
            "03",
            "N7",
        )
    ),
    "4000000000000119": Behaviour(
        Decline(
            "processing_error",
            "An error occurred while processing your card. Try again in a little bit.",
            "processing_error",
            None,
            "try_again_later",
            None,
            "06",
        )
    ),
    "4000000000000341": Behaviour(declines_charge=_GENERIC),
    "4000002760003184": Behaviour(authentication="always"),
    "4000002500003155": Behaviour(authentication="until_set_up"),
    "4000003800000446": Behaviour(authentication="on_session"),
    "4000008260003178": Behaviour(declines_charge=_FUNDS, authentication="always"),
    "4000000000003220": Behaviour(authentication="always"),
}
"""Numbers that are refused or ask for their holder ([doc] testing#declined-payments, #regulatory-cards).

The codes of a declined charge are [rec] openfoodnetwork, Stripe_PaymentIntentValidator, 2026-08.
"""
