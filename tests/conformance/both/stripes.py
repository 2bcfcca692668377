"""The Stripes that one set of tests runs against: the emulator, and the sandbox of the environment's key."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

KEY: Final = "STRIPE_TEST_KEY"
RESTRICTED_KEY: Final = "STRIPE_TEST_RESTRICTED_KEY"
API_BASE: Final = "STRIPE_TEST_API_BASE"
SANDBOX: Final = "sandbox"
EMULATOR: Final = "emulator"
_API: Final = "https://api.stripe.com"


class LiveKeyError(Exception):
    """A live key was given: these tests make and delete customers and accounts."""


@dataclass(frozen=True, slots=True)
class Leg:
    """One Stripe, and the key for it."""

    name: str
    key: str
    api_base: str

    @property
    def retries(self) -> int:
        """How often the client tries again: a sandbox is behind a network and a rate limit."""
        return 3 if self.name == SANDBOX else 0

    @property
    def event_within_s(self) -> float:
        """How long an event may take until it is listed."""
        return 60.0 if self.name == SANDBOX else 5.0


def sandbox(environment: Mapping[str, str] = os.environ, *, key: str = KEY) -> Leg | None:
    """Give the sandbox of the environment, or None.

    Raises:
        LiveKeyError: the key is not one of test mode.
    """
    found = environment.get(key)
    if not found:
        return None
    if not found.startswith(("sk_test_", "rk_test_")):
        raise LiveKeyError(f"{key} has to be a key of a sandbox, sk_test_… or rk_test_…")
    return Leg(SANDBOX, found, environment.get(API_BASE, _API))
