"""API keys: their mode, and what a restricted one may do.

Source: [doc] docs.stripe.com/keys; STRIPE.md 7. A right is `read` or `write` (which includes reading) on one
resource; a restricted key has one set for the platform's own account, and one for connected accounts.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from deploy.stripe_emulator import denials

Level = Literal["none", "read", "write"]
LEVELS: tuple[Level, ...] = ("none", "read", "write")

PREFIXES = ("sk_test_", "sk_live_", "rk_test_", "rk_live_")
SHORTEST = 12

PERMISSIONS: Mapping[str, str] = {"account": "accounts_kyc_basic", "webhook_endpoint": "webhook"}
"""Where a permission is not named as its resource ([3p] messages of Stripe's); else `rak_customer_read`."""

RESOURCES: Mapping[str, str] = {"capability": "account", "event_destination": "webhook_endpoint"}
"""Whose rights a class of objects goes by where it has none of its own ([infer])."""


@dataclass(frozen=True, slots=True)
class Rights:
    """What a restricted key may do, by resource (`customer`); `*` is for all that are not named."""

    own: Mapping[str, Level] = field(default_factory=dict)
    connect: Mapping[str, Level] = field(default_factory=dict)


@dataclass(slots=True)
class Key:
    """One key; without `rights` it may do everything."""

    text: str
    rights: Rights | None = None
    expired: bool = False

    @property
    def publishable(self) -> bool:
        """Whether a browser may have it."""
        return self.text.startswith("pk_")

    @property
    def livemode(self) -> bool:
        """Whether it is for live mode."""
        return "_live_" in self.text

    def require(self, resource: str, level: Level, *, account_id: str, connected: bool) -> None:
        """Refuse with StripeError 403 what this key may not do."""
        if self.rights is None:
            return
        granted = self.rights.connect if connected else self.rights.own
        if connected and not any(each != "none" for each in granted.values()):
            raise denials.no_connect_permissions()
        right = RESOURCES.get(resource, resource)
        if LEVELS.index(granted.get(right, granted.get("*", "none"))) < LEVELS.index(level):
            permission = f"rak_{PERMISSIONS.get(right, right)}_{level}"
            raise denials.permission_missing(self.text, account_id, permission)


@dataclass(slots=True)
class Keys:
    """The keys of the platform."""

    by_text: dict[str, Key] = field(default_factory=dict)

    def add(self, key: Key) -> None:
        """Let a key in."""
        self.by_text[key.text] = key

    def checked(self, text: str) -> Key:
        """Give a key that is in force; any other is StripeError 401, a publishable one 403."""
        if not text:
            raise denials.no_api_key()
        key = self.by_text.get(text)
        if key is None and text.startswith("pk_"):
            raise denials.publishable_key()
        if key is None:
            raise denials.wrong_api_key(text)
        if key.expired:
            raise denials.expired_api_key(text)
        return key


def parse(said: Mapping[str, Any]) -> Key:
    """Read a key from JSON, `{"key", "rights"?, "connect_rights"?}`; what is wrong is a ValueError."""
    unknown = sorted(said.keys() - {"key", "rights", "connect_rights"})
    if unknown:
        raise ValueError(f"a key has no {', '.join(unknown)}; it has key, rights, connect_rights")
    text = str(said["key"])
    if not text.startswith(PREFIXES) or len(text) < SHORTEST:
        raise ValueError(f"a key begins with {', '.join(PREFIXES)} and has {SHORTEST} characters or more")
    if not text.startswith("rk_"):
        if len(said) > 1:
            raise ValueError("a secret key (sk_…) may do everything: rights are for restricted ones (rk_…)")
        return Key(text)
    return Key(text, Rights(_rights(said.get("rights", {})), _rights(said.get("connect_rights", {}))))


def level_of(method: str) -> Level:
    """Say which right a method needs ([3p] the table of docs.stripe.com/keys/restricted-api-keys)."""
    return "read" if method == "GET" else "write"


def _rights(said: Mapping[str, str]) -> dict[str, Level]:
    for resource, level in said.items():
        if level not in LEVELS:
            raise ValueError(f"{resource}: {level} is no right; one of {', '.join(LEVELS)}")
    return {resource: next(each for each in LEVELS if each == level) for resource, level in said.items()}
