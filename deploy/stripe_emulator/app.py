"""The emulator as an ASGI application: the API at `/v1` and `/v2`, the control side at `/_emulator`."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from starlette.applications import Starlette
from starlette.routing import Mount
from starlette.types import Receive, Scope, Send

from deploy.stripe_emulator import shapes
from deploy.stripe_emulator.cli import PREFIX as CLI
from deploy.stripe_emulator.cli import CliSessions
from deploy.stripe_emulator.clock import Clock
from deploy.stripe_emulator.control.side import PREFIX, control
from deploy.stripe_emulator.engine import Engine
from deploy.stripe_emulator.events.destination import Destinations
from deploy.stripe_emulator.events.faults import EventFaults
from deploy.stripe_emulator.exchange import Request
from deploy.stripe_emulator.idempotency import Answer
from deploy.stripe_emulator.keys import Key, Keys
from deploy.stripe_emulator.model import Account, World

DEFAULT_PLATFORM_ACCOUNT = "acct_1EmulatPlatform00"
DEFAULT_API_KEY = "sk_test_emulator0000000000"
DEFAULT_PUBLISHABLE_KEY = "pk_test_emulator0000000000"
DEFAULT_API_VERSION = "2026-10-28.endive"
BESIDE = (PREFIX, CLI)
"""What is not the API, but has a web framework."""
TRANSPORT = "transport"
"""Where the server leaves a connection's transport in the scope's state, so that a fault can cut it."""


@dataclass(frozen=True, slots=True)
class Options:
    """What an emulator is started with. Port 0 takes a free one; more keys come by the control side."""

    host: str = "127.0.0.1"
    port: int = 0
    platform_account: str = DEFAULT_PLATFORM_ACCOUNT
    api_key: str = DEFAULT_API_KEY
    publishable_key: str = DEFAULT_PUBLISHABLE_KEY
    api_version: str = DEFAULT_API_VERSION
    clock: Clock = field(default_factory=Clock)
    rate_limits: bool = False


class Emulator:
    """The application; `close` ends every held answer and every delivery."""

    def __init__(self, options: Options) -> None:
        destinations, faults = Destinations(), EventFaults()
        worlds = {
            livemode: _world(options, destinations, faults, livemode=livemode) for livemode in (False, True)
        }
        keys = {text: Key(text) for text in (options.api_key, options.publishable_key)}
        self.engine = Engine(worlds, keys=Keys(keys))
        self.engine.limiter.on = options.rate_limits
        routes = [Mount(PREFIX, control(self.engine)), *CliSessions(self.engine).routes()]
        self._side = Starlette(routes=routes, lifespan=self._lifespan)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one ASGI request; those of the API go past the web framework, which they have no use for."""
        if scope["type"] == "http" and not scope["path"].startswith(BESIDE):
            await self._api(scope, receive, send)
        else:
            await self._side(scope, receive, send)

    def close(self) -> None:
        """Let go of every call that waits."""
        self.engine.faults.close()
        self.engine.close()

    @asynccontextmanager
    async def _lifespan(self, _: Starlette) -> AsyncIterator[None]:
        yield
        self.close()
        await self.engine.deliveries.close()

    async def _api(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = await _read(scope, receive)

        async def gone() -> None:
            while (await receive())["type"] != "http.disconnect":
                continue

        answer = await self.engine.answer(request, gone)
        if answer is None:
            transport: asyncio.Transport = scope["state"][TRANSPORT]
            transport.abort()
            await gone()
            return
        await send({"type": "http.response.start", "status": answer.status, "headers": _headers(answer)})
        await send({"type": "http.response.body", "body": answer.body})


def build(options: Options) -> Emulator:
    """Make an emulator with nothing in it but the platform."""
    return Emulator(options)


def _world(options: Options, destinations: Destinations, faults: EventFaults, *, livemode: bool) -> World:
    body = shapes.account(
        options.platform_account,
        created=int(options.clock.now_s()),
        country="US",
        email="platform@example.com",
        kind="standard",
        business_type="company",
    )
    body.update(
        charges_enabled=True, payouts_enabled=True, details_submitted=True, requirements=shapes.requirements()
    )
    return World(
        platform=Account(options.platform_account, body),
        application_id="ca_" + "Emulator".ljust(32, "0"),
        api_version=options.api_version,
        clock=options.clock,
        livemode=livemode,
        destinations=destinations,
        event_faults=faults,
    )


def _headers(answer: Answer) -> list[tuple[bytes, bytes]]:
    headers = [(name.lower().encode(), value.encode()) for name, value in answer.headers.items()]
    return [*headers, (b"content-length", str(len(answer.body)).encode())]


async def _read(scope: Scope, receive: Receive) -> Request:
    chunks = []
    more = True
    while more:
        message = await receive()
        chunks.append(message.get("body", b""))
        more = message.get("more_body", False)
    return Request(
        method=scope["method"],
        path=scope["path"],
        query=scope["query_string"].decode("latin-1"),
        headers={name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]},
        body=b"".join(chunks),
    )
