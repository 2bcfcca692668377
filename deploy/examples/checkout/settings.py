"""What the shop is told from outside: its keys, and the account it sells for."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self
from urllib.parse import urlsplit

STRIPE_JS = "https://js.stripe.com/endive/stripe.js"
API = "https://api.stripe.com"
FRAMES = "https://js.stripe.com https://*.js.stripe.com https://hooks.stripe.com"


@dataclass(frozen=True, slots=True)
class Settings:
    """The shop's settings; `stripe_js` and `api_base` are Stripe's own unless a stand-in is named."""

    secret_key: str
    publishable_key: str
    connected_account: str
    stripe_js: str = STRIPE_JS
    api_base: str = API

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> Self:
        """Read the settings; a missing one is a KeyError with its name."""
        return cls(
            secret_key=environment["STRIPE_SECRET_KEY"],
            publishable_key=environment["STRIPE_PUBLISHABLE_KEY"],
            connected_account=environment["STRIPE_CONNECTED_ACCOUNT"],
            stripe_js=environment.get("STRIPE_JS_URL", STRIPE_JS),
            api_base=environment.get("STRIPE_API_BASE", API),
        )

    @property
    def content_security_policy(self) -> str:
        """Let a page load Stripe.js, show its frames and talk to Stripe, and nothing else.

        Source: docs.stripe.com/security/guide#content-security-policy.
        """
        scripts = urlsplit(self.stripe_js)
        hosts = f" https://{scripts.netloc} https://*.{scripts.netloc}" if scripts.netloc else ""
        return (
            f"default-src 'none'; script-src 'self'{hosts}; style-src 'self'; frame-src {FRAMES}; "
            f"connect-src 'self' {self.api_base}; form-action 'self'; base-uri 'none'"
        )
