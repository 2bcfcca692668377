"""The only module that speaks to Stripe: the official SDK's calls and errors, in Offshoot's words.

The errors say what happens next:

    StripeError
    ├── KeyRefusedError          401: stop every call until the key works again
    ├── AccountInvalidError      403 account_invalid: the account, or the access to it, is in doubt
    ├── PermissionMissingError   any other 403: stop that kind of call
    ├── NotExecutedError         429, 409: nothing happened, repeat the same later
    ├── OutcomeUnknownError      timeout, cut, 5xx: repeat the same, under the same key
    └── RefusedError             a definite no: repeating the same is useless

By status, type and code (https://docs.stripe.com/error-low-level); no message of Stripe's leaves this
module, since it may name a key or a person.
"""

import asyncio
from collections.abc import Awaitable, Mapping
from dataclasses import dataclass
from typing import Any, cast

import stripe


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
    """429 or 409: Stripe did not begin; the same request may be repeated."""


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
        param: str | None = None,
        decline_code: str | None,
        consumed: bool,
        not_attached: bool = False,
    ) -> None:
        super().__init__(summary, request_id)
        self.status = status
        self.code = code
        self.param = param
        self.decline_code = decline_code
        self.consumed = consumed
        self.not_attached = not_attached


@dataclass(frozen=True, slots=True)
class Reply:
    """What Stripe answered: the object as plain JSON values, and the request's id."""

    object: Mapping[str, Any]
    request_id: str | None


class StripeGateway:
    """Stripe's API for one platform. Every write carries an idempotency key; nothing is repeated here."""

    def __init__(self, *, api_key: str, api_base: str, timeout_s: float) -> None:
        """Args: the platform's key, where the API is, and how long one call may take."""
        self._timeout_s = timeout_s
        self._http = stripe.HTTPXClient(timeout=timeout_s)
        self._client = stripe.StripeClient(
            api_key,
            base_addresses={"api": api_base},
            http_client=self._http,
            max_network_retries=0,
        )

    async def clone(self, account: str, parameters: Mapping[str, Any], key: str) -> Reply:
        """Clone a platform method to `account`; parameters `customer` and `payment_method`, nothing else.

        https://docs.stripe.com/payments/payment-methods/connect#cloning-payment-methods
        """
        return await self._reply(
            self._client.v1.payment_methods.create_async(
                cast("Any", dict(parameters)), {"stripe_account": account, "idempotency_key": key}
            )
        )

    async def create_customer(self, account: str, parameters: Mapping[str, Any], key: str) -> Reply:
        """Create a customer on `account`, with a clone attached in the same call."""
        return await self._reply(
            self._client.v1.customers.create_async(
                cast("Any", dict(parameters)), {"stripe_account": account, "idempotency_key": key}
            )
        )

    async def attach(
        self, account: str, payment_method: str, parameters: Mapping[str, Any], key: str
    ) -> Reply:
        """Attach a clone to a customer of `account`; parameter `customer`."""
        return await self._reply(
            self._client.v1.payment_methods.attach_async(
                payment_method,
                cast("Any", dict(parameters)),
                {"stripe_account": account, "idempotency_key": key},
            )
        )

    async def update(
        self, account: str, payment_method: str, parameters: Mapping[str, Any], key: str
    ) -> Reply:
        """Update a clone in place: expiry, billing details."""
        return await self._reply(
            self._client.v1.payment_methods.update_async(
                payment_method,
                cast("Any", dict(parameters)),
                {"stripe_account": account, "idempotency_key": key},
            )
        )

    async def detach(self, account: str, payment_method: str, key: str) -> Reply:
        """Detach a clone from its customer, for good."""
        return await self._reply(
            self._client.v1.payment_methods.detach_async(
                payment_method, {}, {"stripe_account": account, "idempotency_key": key}
            )
        )

    async def update_customer(
        self, account: str, customer: str, parameters: Mapping[str, Any], key: str
    ) -> Reply:
        """Change a customer of `account`: its default method."""
        return await self._reply(
            self._client.v1.customers.update_async(
                customer, cast("Any", dict(parameters)), {"stripe_account": account, "idempotency_key": key}
            )
        )

    async def read_payment_method(self, payment_method: str, account: str | None = None) -> Reply:
        """Read a method on `account`, or on the platform."""
        return await self._reply(
            self._client.v1.payment_methods.retrieve_async(payment_method, None, _on(account))
        )

    async def read_customer(self, customer: str, account: str | None = None) -> Reply:
        """Read a customer on `account`, or on the platform; a deleted one answers with `deleted`."""
        return await self._reply(self._client.v1.customers.retrieve_async(customer, None, _on(account)))

    async def read_account(self, account: str) -> Reply:
        """Read a connected account."""
        return await self._reply(self._client.v1.accounts.retrieve_async(account))

    async def list_accounts(self, limit: int, after: str | None = None) -> Reply:
        """List connected accounts, newest first, from the one after `after` on."""
        page: Any = {"limit": limit, **({"starting_after": after} if after else {})}
        return await self._reply(self._client.v1.accounts.list_async(page))

    async def check_key(self) -> None:
        """Make one cheap call, which fails with `KeyRefusedError` if the key is not accepted."""
        await self._reply(self._client.v1.accounts.list_async({"limit": 1}))

    async def close(self) -> None:
        """Close the connections."""
        await self._http.close_async()  # type: ignore[no-untyped-call]

    async def _reply(self, call: Awaitable[stripe.StripeObject | stripe.ListObject[Any]]) -> Reply:
        try:
            async with asyncio.timeout(self._timeout_s):  # httpx bounds each phase, this the whole
                answer = await call
        except TimeoutError as error:
            raise OutcomeUnknownError("timeout") from error
        except stripe.StripeError as error:
            raise _translated(error) from error
        response = answer.last_response
        return Reply(answer.to_dict(), response.request_id if response is not None else None)


def _on(account: str | None) -> stripe.RequestOptions:
    return {"stripe_account": account} if account else {}


def _translated(error: stripe.StripeError) -> StripeError:  # noqa: PLR0911 -- a row for each class
    # The SDK leaves `code` out of some classes, while `error.error.code` has it.
    code = error.code or (error.error.code if error.error is not None else None)
    status, request_id = error.http_status, error.request_id
    summary = f"{status} {code or type(error).__name__}"
    if status is None:
        return OutcomeUnknownError(type(error).__name__)
    if status in (409, 429):
        return NotExecutedError(summary, request_id)
    if status >= 500:  # noqa: PLR2004 -- HTTP's own numbers, here and below
        headers = {name.lower(): value for name, value in (error.headers or {}).items()}
        stored = headers.get("idempotent-replayed") == "true"
        return OutcomeUnknownError(summary, request_id, stored=stored)
    if status < 400 or error.error is None:  # noqa: PLR2004
        # Cut short, or not Stripe's: a proxy's page says nothing of what Stripe did.
        return OutcomeUnknownError(summary, request_id)
    if status == 401:  # noqa: PLR2004
        return KeyRefusedError(summary, request_id)
    if status == 403:  # noqa: PLR2004
        kind = AccountInvalidError if code == "account_invalid" else PermissionMissingError
        return kind(summary, request_id)
    details = error.error
    return RefusedError(
        summary,
        request_id,
        status=status,
        code=code,
        param=details.param,
        decline_code=details.decline_code,
        # Stripe gives these two no code (STRIPE.md 1.4 and 1.6), so that only the message tells.
        consumed="previously used" in (error.user_message or ""),
        not_attached="not attached to a customer" in (error.user_message or ""),
    )
