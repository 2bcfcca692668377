"""The control side, `/_emulator/…`: what no API call can do. JSON, without a key, for loopback."""

import asyncio
import contextlib
import copy
import json
from collections.abc import Awaitable, Callable
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from deploy.stripe_emulator import faults, shapes
from deploy.stripe_emulator.engine import Engine
from deploy.stripe_emulator.errors import StripeError
from deploy.stripe_emulator.model import Account, Call
from deploy.stripe_emulator.resources import payment_intents, updater, verification
from deploy.stripe_emulator.resources.accounts import CAPABILITIES, STATUSES, move_capability
from deploy.stripe_emulator.routes import templates


def control(engine: Engine) -> Starlette:
    """Make the control side of an engine; a bad request is 400 `{"error"}`, an unknown id 404."""
    side = _Control(engine)
    routes: tuple[tuple[str, str, Callable[[Request], Awaitable[Response]]], ...] = (
        ("GET", "/log", side.log),
        ("DELETE", "/log", side.clear_log),
        ("GET", "/accounts/{account}/state", side.state),
        ("POST", "/accounts/{account}/capabilities", side.move_capabilities),
        ("POST", "/accounts/{account}/deauthorize", side.deauthorize),
        ("POST", "/accounts/{account}/authorize", side.authorize),
        ("POST", "/accounts/{account}/payment_methods/{payment_method}/renew", side.renew),
        ("POST", "/accounts/{account}/intents/{intent}/authenticate", side.authenticate),
        ("POST", "/accounts/{account}/settle", side.settle),
        ("POST", "/faults", side.add_fault),
        ("GET", "/faults", side.list_faults),
        ("DELETE", "/faults", side.remove_faults),
        ("DELETE", "/faults/{fault}", side.remove_fault),
        ("POST", "/clock", side.advance_clock),
        ("GET", "/deliveries", side.deliveries),
    )
    return Starlette(
        routes=[Route(path, handler, methods=[method]) for method, path, handler in routes],
        exception_handlers={
            ValueError: _refused,
            TypeError: _refused,
            StripeError: _refused,
            KeyError: _missing,
        },
    )


async def _refused(_: Request, error: Exception) -> Response:
    return JSONResponse({"error": str(error)}, status_code=400)


async def _missing(_: Request, error: Exception) -> Response:
    return JSONResponse({"error": f"there is no {error.args[0]}"}, status_code=404)


class _Control:
    """The handlers, in the order of the routes above."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._world = engine.world

    async def log(self, request: Request) -> Response:
        """Give the calls that match; with `wait_s`, as soon as there is one, or none after that time."""
        asked = request.query_params

        def matching() -> list[dict[str, Any]]:
            return self._engine.calls.select(
                account=asked.get("account"),
                method=asked.get("method"),
                path=asked.get("path"),
                after=int(asked.get("after", "0")),
            )

        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(float(asked.get("wait_s", "0"))):
                while not matching():
                    await self._engine.calls.wait()
        return JSONResponse({"calls": matching()})

    async def clear_log(self, _: Request) -> Response:
        self._engine.calls.clear()
        return JSONResponse({})

    async def state(self, request: Request) -> Response:
        return JSONResponse(_state(self._account(request)))

    async def move_capabilities(self, request: Request) -> Response:
        """Move capabilities to a status, as Stripe does when it has verified an account."""
        account, wanted = self._account(request), await _body(request)
        for name, status in wanted.items():
            if name not in CAPABILITIES or status not in STATUSES:
                raise ValueError(f"{name}: {status} is not a capability and its status")
        for name, status in wanted.items():
            move_capability(Call(self._world, account), name, status)
        self._engine.deliveries.send(self._world.take_undelivered())
        return JSONResponse(_state(account))

    async def deauthorize(self, request: Request) -> Response:
        return self._set_authorized(self._account(request), authorized=False)

    async def authorize(self, request: Request) -> Response:
        return self._set_authorized(self._account(request), authorized=True)

    async def renew(self, request: Request) -> Response:
        """Update a saved card as its issuer does: a new expiry, and maybe a new number."""
        account = self._account(request)
        method = account.payment_methods[request.path_params["payment_method"]]
        updater.renew(Call(self._world, account), method, await _body(request))
        self._engine.pass_time()
        return JSONResponse(method.body)

    async def authenticate(self, request: Request) -> Response:
        """Let the holder of the card that an intent waits for prove who they are, or fail to."""
        account, intent_id = self._account(request), request.path_params["intent"]
        intent = account.payment_intents.get(intent_id) or account.setup_intents[intent_id]
        holder = (await _body(request))["succeeds"]
        verification.authenticate(Call(self._world, account), intent, holder=bool(holder))
        self._engine.pass_time()
        return JSONResponse(intent.body)

    async def settle(self, request: Request) -> Response:
        """Let the banks answer every debit of the account at once."""
        account = self._account(request)
        waiting = [each for each in account.payment_intents.values() if each.settles_s is not None]
        for intent in waiting:
            payment_intents.settle(Call(self._world, account), intent)
        self._engine.pass_time()
        return JSONResponse({"settled": [intent.id for intent in waiting]})

    async def add_fault(self, request: Request) -> Response:
        rule = faults.parse(await _body(request), templates())
        self._engine.faults.add(rule)
        return JSONResponse({"id": rule.id})

    async def list_faults(self, _: Request) -> Response:
        return JSONResponse({"faults": [rule.shown() for rule in self._engine.faults.rules.values()]})

    async def remove_faults(self, _: Request) -> Response:
        self._engine.faults.remove()
        return JSONResponse({})

    async def remove_fault(self, request: Request) -> Response:
        self._engine.faults.remove(request.path_params["fault"])
        return JSONResponse({})

    async def advance_clock(self, request: Request) -> Response:
        self._world.clock.advance(float((await _body(request))["advance_s"]))
        self._engine.pass_time()
        return JSONResponse({"now": self._world.clock.now_s()})

    async def deliveries(self, _: Request) -> Response:
        return JSONResponse({"deliveries": self._engine.deliveries.shown()})

    def _account(self, request: Request) -> Account:
        name = request.path_params["account"]
        return (
            self._world.platform
            if name in (faults.PLATFORM, self._world.platform.id)
            else self._world.connected[name]
        )

    def _set_authorized(self, account: Account, *, authorized: bool) -> Response:
        """Give or take back access; the event names the account only in `account` (STRIPE.md 2)."""
        if account is self._world.platform:
            raise ValueError("the platform does not authorise itself")
        if account.authorized != authorized:
            account.authorized = authorized
            kind = "authorized" if authorized else "deauthorized"
            application = shapes.application(self._world.application_id)
            Call(self._world, account).emit(f"account.application.{kind}", application)
            self._engine.deliveries.send(self._world.take_undelivered())
        return JSONResponse(_state(account))


def _state(account: Account) -> dict[str, Any]:
    return {
        "id": account.id,
        "account": account.body,
        "authorized": account.authorized,
        "deleted": account.deleted,
        "capabilities": {name: each["status"] for name, each in account.capabilities.items()},
        "customers": [
            {**copy.copy(each.body), "deleted": each.deleted} for each in account.customers.values()
        ],
        "payment_methods": [
            {**each.body, "consumed": each.consumed} for each in account.payment_methods.values()
        ],
        "payment_intents": [each.body for each in account.payment_intents.values()],
        "setup_intents": [each.body for each in account.setup_intents.values()],
    }


async def _body(request: Request) -> dict[str, Any]:
    try:
        said = json.loads(await request.body())
    except json.JSONDecodeError as error:
        raise ValueError(f"the body is not JSON: {error}") from error
    if not isinstance(said, dict):
        raise TypeError("the body is a JSON object")
    return said
