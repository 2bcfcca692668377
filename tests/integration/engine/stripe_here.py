"""The emulator in the same process: the SDK's calls reach it without a network, one step each."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import httpx
import stripe

from consumers.stripe_gateway import StripeGateway
from deploy.stripe_emulator.app import DEFAULT_API_KEY, Emulator
from deploy.stripe_emulator.exchange import Request
from tests.integration.engine.boundaries import reach


class Here(httpx.AsyncBaseTransport):
    """Any client of httpx, to an emulator in this process."""

    def __init__(self, emulator: Emulator) -> None:
        self._emulator = emulator
        self._control = httpx.ASGITransport(emulator)

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        if request.url.path.startswith("/_emulator"):
            return await self._control.handle_async_request(request)
        asked = Request(
            request.method,
            request.url.path,
            request.url.query.decode(),
            dict(request.headers),
            await request.aread(),
        )
        answer = await self._emulator.engine.answer(asked, _never)
        if answer is None:
            raise httpx.RemoteProtocolError("cut", request=request)
        return httpx.Response(answer.status, headers=answer.headers, content=answer.body)


@dataclass(frozen=True, slots=True)
class OurCall:
    """A call of the engine's, as it leaves: `body` is form-encoded."""

    method: str
    path: str
    account: str | None
    key: str | None
    body: str


Watch = Callable[[OurCall, Callable[[], Awaitable[Any]]], Awaitable[Any]]
"""Sees each call of the engine's, and lets it happen."""


class SdkHere(stripe.HTTPClient):
    """The SDK's own way of being given another client; a call can be the last thing a worker did."""

    name = "here"

    def __init__(self, emulator: Emulator, watch: Watch | None = None) -> None:
        super().__init__()
        self.emulator = emulator
        self.watch = watch

    async def request_async(  # type: ignore[override]
        self, method: str, url: str, headers: dict[str, str], post_data: Any = None
    ) -> tuple[bytes, int, dict[str, str]]:
        parts = urlsplit(url)
        names = {name.lower(): value for name, value in headers.items()}
        body = post_data or ""
        call = OurCall(
            method.upper(), parts.path, names.get("stripe-account"), names.get("idempotency-key"), body
        )
        request = Request(call.method, call.path, parts.query, names, body.encode())

        async def answer() -> Any:
            return await self.emulator.engine.answer(request, _never)

        await reach(f"before {call.method} {call.path}")
        got = await (self.watch(call, answer) if self.watch is not None else answer())
        await reach(f"after {call.method} {call.path}")
        if got is None:
            raise stripe.APIConnectionError("cut")  # type: ignore[no-untyped-call]
        # In lower case, as any client of HTTP shows them to the SDK.
        return got.body, got.status, {name.lower(): value for name, value in got.headers.items()}

    async def close_async(self) -> None:
        return


class GatewayHere(StripeGateway):
    """The gateway over that client."""

    def __init__(self, http: SdkHere) -> None:
        self._timeout_s = 10.0
        self._http = http  # type: ignore[assignment]
        self._client = stripe.StripeClient(
            DEFAULT_API_KEY,
            base_addresses={"api": "http://127.0.0.1"},
            http_client=http,
            max_network_retries=0,
        )


async def _never() -> None:
    raise AssertionError("nobody holds an answer here")
