"""What Stripe's answers mean to whoever made the call: the first of two tables, by what happens next. Pure.

    StripeError
    ├── KeyRefusedError          401: stop every call until the key works again
    ├── AccountInvalidError      403 account_invalid: the account, or the access to it, is in doubt
    ├── PermissionMissingError   any other 403: stop that kind of call
    ├── NotExecutedError         409, or Stripe says so: nothing happened, repeat the same later
    │   └── RateLimitedError     429 but of a lock: and call less often
    ├── OutcomeUnknownError      timeout, cut, 5xx: repeat the same, under the same key
    ├── RefusedError             a definite no: repeating is useless (`clone.verdicts` says what it means)
    └── StoppedError             no call was made, since the process stops

By status, `Stripe-Should-Retry`, code, and only then message (https://docs.stripe.com/error-low-level,
https://docs.stripe.com/rate-limits). No message of Stripe's is kept: it may name a key or a person.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

RESOURCE_SPECIFIC: Final = "resource-specific"
_NOT_ATTACHED: Final = ("not attached to a customer", "save this PaymentMethod to a customer before")
_AGAIN_ANYHOW: Final = frozenset({"lock_timeout", "idempotency_key_in_use"})
"""Another request was in the way for the moment: never a refusal, and no reason to call less often."""


class StripeError(Exception):
    """A call to Stripe did not go well; `request_id` is Stripe's, where it gave one."""

    def __init__(self, summary: str, request_id: str | None = None) -> None:
        super().__init__(summary)
        self.request_id = request_id


class KeyRefusedError(StripeError):
    """401: Stripe does not accept the API key."""


class AccountInvalidError(StripeError):
    """403 `account_invalid`: no access to the account, or it does not exist."""


class PermissionMissingError(StripeError):
    """403 of another kind: the key may not do this."""


class NotExecutedError(StripeError):
    """Stripe did not begin; the same request may be repeated."""


class RateLimitedError(NotExecutedError):
    """429: too many calls; `account_alone` where only the object's account is meant."""

    def __init__(self, summary: str, request_id: str | None = None, *, account_alone: bool = False) -> None:
        super().__init__(summary, request_id)
        self.account_alone = account_alone


class OutcomeUnknownError(StripeError):
    """No answer, or a 5xx: it may have happened. `stored`: Stripe repeats this very answer for the key."""

    def __init__(self, summary: str, request_id: str | None = None, *, stored: bool = False) -> None:
        super().__init__(summary, request_id)
        self.stored = stored


class RefusedError(StripeError):
    """Any other 4xx: a definite no."""

    def __init__(
        self,
        summary: str,
        request_id: str | None,
        *,
        status: int,
        code: str | None,
        kind: str | None = None,
        param: str | None = None,
        decline_code: str | None,
        consumed: bool,
        not_attached: bool = False,
    ) -> None:
        super().__init__(summary, request_id)
        self.status = status
        self.code = code
        self.kind = kind
        self.param = param
        self.decline_code = decline_code
        self.consumed = consumed
        self.not_attached = not_attached


class StoppedError(StripeError):
    """The process stops: the call was not made."""


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer that is no success. `status` is None where none came; `is_stripes`: in Stripe's own form.

    `name` stands in a summary where there is no code; header names in lower case.
    """

    name: str
    status: int | None = None
    is_stripes: bool = True
    kind: str | None = None
    code: str | None = None
    param: str | None = None
    decline_code: str | None = None
    message: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)
    request_id: str | None = None

    @property
    def summary(self) -> str:
        """Say in a few words what it was, without any text of Stripe's."""
        return f"{self.status} {self.code or self.name}" if self.status is not None else self.name

    @property
    def again(self) -> bool | None:
        """What Stripe itself says of a repeat; it overrides the status (https://docs.stripe.com/error-low-level)."""
        return {"true": True, "false": False}.get(self.headers.get("stripe-should-retry", ""))


def error_of(answer: Answer) -> StripeError:  # noqa: PLR0911 -- a row for each class
    """Say what an answer means."""
    summary, status, request_id = answer.summary, answer.status, answer.request_id
    if status is None:
        return OutcomeUnknownError(summary)
    if answer.code in _AGAIN_ANYHOW:
        return NotExecutedError(summary, request_id)
    if status == 429:  # noqa: PLR2004 -- HTTP's own numbers, here and below
        # Stripe's word on a repeat is of one at once; in front of the limit there is no other end than later.
        reason = answer.headers.get("stripe-rate-limited-reason")
        return RateLimitedError(summary, request_id, account_alone=reason == RESOURCE_SPECIFIC)
    if status >= 500:  # noqa: PLR2004
        stored = answer.headers.get("idempotent-replayed") == "true" or answer.again is False
        return OutcomeUnknownError(summary, request_id, stored=stored)
    if status < 400 or not (answer.is_stripes or status == 409):  # noqa: PLR2004
        # Cut short, or not Stripe's: a proxy's page says nothing of what Stripe did.
        return OutcomeUnknownError(summary, request_id)
    if status == 401:  # noqa: PLR2004
        return KeyRefusedError(summary, request_id)
    if status == 403:  # noqa: PLR2004
        kind = AccountInvalidError if answer.code == "account_invalid" else PermissionMissingError
        return kind(summary, request_id)
    if answer.again is True or (status == 409 and answer.again is None):  # noqa: PLR2004
        return NotExecutedError(summary, request_id)
    return RefusedError(
        summary,
        request_id,
        status=status,
        code=answer.code,
        kind=answer.kind,
        param=answer.param,
        decline_code=answer.decline_code,
        # Stripe gives these no code (STRIPE.md 1.4 to 1.6), so that only the message tells.
        consumed="previously used" in answer.message,
        not_attached=any(words in answer.message for words in _NOT_ATTACHED),
    )
