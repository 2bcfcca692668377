"""When the key is at fault rather than an account, and when it lacks a permission. No I/O; time is passed in.

`account_invalid` is Stripe's answer for an account that is gone and for a key that has lost its access. Three
accounts within 5 minutes, and no call on an account that succeeded between, are the key's fault.
"""

from typing import Final

ACCOUNTS: Final = 3
WITHIN_S: Final = 300.0
PROBE_EVERY_S: Final = 30.0


class AccessDoubt:
    """Counts the accounts that Stripe called invalid; each once, until a call on it succeeds."""

    def __init__(self) -> None:
        self._lately: dict[str, float] = {}
        self._judged: set[str] = set()

    def invalid(self, account: str, now_s: float) -> bool:
        """Note the answer; say whether by now it is the key's fault."""
        if account in self._judged:
            return False
        self._lately = {each: at for each, at in self._lately.items() if now_s - at < WITHIN_S}
        self._lately[account] = now_s
        return len(self._lately) >= ACCOUNTS

    def succeeded(self, account: str) -> None:
        """Note that a call on this account went well: the key reaches accounts."""
        self._lately.clear()
        self._judged.discard(account)

    def cleared(self) -> None:
        """The key was found to be good: these accounts were at fault, and say nothing of it any more."""
        self._judged.update(self._lately)
        self._lately.clear()


class Permissions:
    """The kinds of call that the key may not make: each is tried again once in 30 s, by whoever comes."""

    def __init__(self) -> None:
        self._missing: dict[str, float] = {}

    def missing(self, call: str, now_s: float) -> bool:
        """Note a 403 of this kind of call; say whether that is news."""
        news = call not in self._missing
        self._missing[call] = now_s + PROBE_EVERY_S
        return news

    def granted(self, call: str) -> bool:
        """Note that this kind of call went through; say whether that is news."""
        return self._missing.pop(call, None) is not None

    def may_try(self, call: str, now_s: float) -> bool:
        """Whether to make a call of this kind; while it is missing, one caller in 30 s is told yes."""
        if self.is_missing(call, now_s):
            return False
        if call in self._missing:
            self._missing[call] = now_s + PROBE_EVERY_S
        return True

    def is_missing(self, call: str, now_s: float) -> bool:
        """Whether a call of this kind is of no use before the next try."""
        return now_s < self._missing.get(call, now_s)

    @property
    def all_missing(self) -> list[str]:
        """The kinds that are missing now."""
        return sorted(self._missing)
