"""Idempotency keys as API v1 has them.

Source: [doc] docs.stripe.com/api/idempotent_requests, docs.stripe.com/error-low-level.

A key belongs to one API key and one account. It is taken when a request arrives, kept with its answer once
execution began, given back when the request was refused before that, and forgotten after 24 hours.
"""

from dataclasses import dataclass, field

from deploy.stripe_emulator import denials

KEPT_S = 24 * 3600
LONGEST_KEY = 255


@dataclass(frozen=True, slots=True)
class Scope:
    """Where a key means one thing."""

    api_key: str
    account_id: str
    key: str


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer as it is sent: status, headers, body."""

    status: int
    headers: dict[str, str]
    body: bytes


@dataclass(slots=True)
class _Entry:
    path: str
    parameters: str
    taken_s: float
    answer: Answer | None = None
    open: bool = True


@dataclass(slots=True)
class IdempotencyKeys:
    """The keys that are remembered."""

    entries: dict[Scope, _Entry] = field(default_factory=dict)

    def take(self, scope: Scope, *, path: str, parameters: str, now_s: float) -> Answer | None:
        """Take a key for a request: None to execute it, or the first request's answer to replay.

        A key with other parameters or another path is StripeError 400, one still in use StripeError 409.
        """
        if len(scope.key) > LONGEST_KEY:
            raise denials.key_too_long()
        self._forget(now_s - KEPT_S)
        entry = self.entries.get(scope)
        if entry is not None and not entry.open and now_s - entry.taken_s >= KEPT_S:
            del self.entries[scope]
            entry = None
        if entry is None:
            self.entries[scope] = _Entry(path, parameters, now_s)
            return None
        if entry.path != path:
            raise denials.key_reused_elsewhere(scope.key, path, entry.path)
        if entry.parameters != parameters:
            raise denials.key_reused(scope.key)
        if entry.open:
            raise denials.key_in_use(scope.key)
        return entry.answer

    def _forget(self, before_s: float) -> None:
        """Forget what is old; entries stand in the order they were taken, but for the few still in use."""
        while self.entries:
            oldest = next(iter(self.entries))
            entry = self.entries[oldest]
            if entry.open or entry.taken_s > before_s:
                return
            del self.entries[oldest]

    def keep(self, scope: Scope, answer: Answer) -> None:
        """Remember what a request was answered; the key stays in use until `release`."""
        self.entries[scope].answer = answer

    def release(self, scope: Scope) -> None:
        """End the use of a key; one without a kept answer is as if it had never been sent."""
        entry = self.entries[scope]
        entry.open = False
        if entry.answer is None:
            del self.entries[scope]
