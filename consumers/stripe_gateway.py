"""The only module that speaks to Stripe: the official SDK's calls, and its errors as `stripe_errors`."""

import asyncio
from collections.abc import Awaitable, Mapping
from dataclasses import dataclass
from typing import Any, cast

import stripe

from consumers.stripe_errors import (
    AccountInvalidError,
    Answer,
    KeyRefusedError,
    NotExecutedError,
    OutcomeUnknownError,
    PermissionMissingError,
    RefusedError,
    StripeError,
    error_of,
)

__all__ = [
    "AccountInvalidError",
    "KeyRefusedError",
    "NotExecutedError",
    "OutcomeUnknownError",
    "PermissionMissingError",
    "RefusedError",
    "Reply",
    "StripeError",
    "StripeGateway",
]


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

    async def create_payment_method(self, account: str, parameters: Mapping[str, Any], key: str) -> Reply:
        """Make a method on `account`, of a token that was made there."""
        return await self._reply(
            self._client.v1.payment_methods.create_async(
                cast("Any", dict(parameters)), {"stripe_account": account, "idempotency_key": key}
            )
        )

    async def create_setup_intent(self, account: str, parameters: Mapping[str, Any], key: str) -> Reply:
        """Create, and by `confirm` confirm, a SetupIntent on `account`: it saves a method with its mandate.

        https://docs.stripe.com/api/setup_intents/create
        """
        return await self._reply(
            self._client.v1.setup_intents.create_async(
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

    async def read_setup_intent(self, intent: str, account: str) -> Reply:
        """Read a SetupIntent on `account`."""
        return await self._reply(self._client.v1.setup_intents.retrieve_async(intent, None, _on(account)))

    async def read_payment_intent(self, intent: str, account: str) -> Reply:
        """Read a PaymentIntent on `account`."""
        return await self._reply(self._client.v1.payment_intents.retrieve_async(intent, None, _on(account)))

    async def read_mandate(self, mandate: str, account: str) -> Reply:
        """Read a mandate on `account`."""
        return await self._reply(self._client.v1.mandates.retrieve_async(mandate, None, _on(account)))

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

    async def check_access(self) -> None:
        """Read one connected account that Stripe lists: fails if the key does not reach accounts."""
        listed = await self.list_accounts(limit=1)
        for account in listed.object["data"]:
            await self.read_account(account["id"])

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
            raise error_of(_answer(error)) from error
        response = answer.last_response
        return Reply(answer.to_dict(), response.request_id if response is not None else None)


def _on(account: str | None) -> stripe.RequestOptions:
    return {"stripe_account": account} if account else {}


def _answer(error: stripe.StripeError) -> Answer:
    said = error.error
    return Answer(
        name=type(error).__name__,
        status=error.http_status,
        is_stripes=said is not None,
        kind=said.type if said is not None else None,
        # The SDK leaves `code` out of some classes, while `error.error.code` has it.
        code=error.code or (said.code if said is not None else None),
        param=said.param if said is not None else None,
        decline_code=said.decline_code if said is not None else None,
        message=error.user_message or "",
        headers={name.lower(): value for name, value in (error.headers or {}).items()},
        request_id=error.request_id,
    )
