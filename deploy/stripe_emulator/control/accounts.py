"""Accounts: their state, their capabilities, their access, and whether API v2 tells of them."""

from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from deploy.stripe_emulator import shapes
from deploy.stripe_emulator.control.request import Routes, account_of, body_of, world_of
from deploy.stripe_emulator.engine import Engine
from deploy.stripe_emulator.model import Account, Call, World
from deploy.stripe_emulator.resources.accounts import CAPABILITIES, STATUSES, move_capability
from deploy.stripe_emulator.texts import in_live_mode

OF_V2 = "v2.core.account"


def routes(engine: Engine) -> Routes:
    """Give the handlers."""
    side = _Accounts(engine)
    return (
        ("GET", "/accounts/{account}/state", side.state),
        ("POST", "/accounts/{account}/capabilities", side.move_capabilities),
        ("POST", "/accounts/{account}/deauthorize", side.deauthorize),
        ("POST", "/accounts/{account}/authorize", side.authorize),
        ("POST", "/accounts/{account}/v2", side.become_v2),
        ("POST", "/accounts/{account}/v2_events", side.tell),
    )


class _Accounts:
    """The handlers, in the order of the routes above."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    async def state(self, request: Request) -> Response:
        world, account = self._found(request)
        return JSONResponse(_state(world, account))

    async def move_capabilities(self, request: Request) -> Response:
        """Move capabilities to a status, as Stripe does when it has verified an account."""
        world, account = self._found(request)
        wanted = await body_of(request)
        for name, status in wanted.items():
            if name not in CAPABILITIES or status not in STATUSES:
                raise ValueError(f"{name}: {status} is not a capability and its status")
        for name, status in wanted.items():
            move_capability(Call(world, account), name, status)
        self._engine.pass_time()
        return JSONResponse(_state(world, account))

    async def deauthorize(self, request: Request) -> Response:
        return self._set_authorized(request, authorized=False)

    async def authorize(self, request: Request) -> Response:
        return self._set_authorized(request, authorized=True)

    async def become_v2(self, request: Request) -> Response:
        """Let an account be one of Accounts v2, of which API v2 tells as well."""
        world, account = self._found(request)
        account.of_v2 = bool((await body_of(request)).get("v2", True))
        return JSONResponse(_state(world, account))

    async def tell(self, request: Request) -> Response:
        """Make an event of API v2 about an account: `{"type": "v2.core.account…", "data"?}`."""
        world, account = self._found(request)
        said = await body_of(request)
        kind = str(said.get("type"))
        if not kind.startswith(OF_V2):
            raise ValueError(f"{kind} is not a type of API v2 about an account, {OF_V2}…")
        event = world.tell_of_account(account, kind, said.get("data"))
        self._engine.pass_time()
        return JSONResponse(event.fetched())

    def _found(self, request: Request) -> tuple[World, Account]:
        world = world_of(self._engine, request)
        return world, account_of(world, request)

    def _set_authorized(self, request: Request, *, authorized: bool) -> Response:
        """Give or take back access; the event names the account only in `account` (STRIPE.md 2)."""
        world, account = self._found(request)
        if account is world.platform:
            raise ValueError("the platform does not authorise itself")
        if account.authorized != authorized:
            account.authorized = authorized
            kind = "authorized" if authorized else "deauthorized"
            application = shapes.application(world.application_id)
            Call(world, account).emit(f"account.application.{kind}", application)
            self._engine.pass_time()
        return JSONResponse(_state(world, account))


def _state(world: World, account: Account) -> dict[str, Any]:
    state = {
        "id": account.id,
        "account": account.body,
        "authorized": account.authorized,
        "deleted": account.deleted,
        "v2": account.of_v2,
        "capabilities": {name: each["status"] for name, each in account.capabilities.items()},
        "customers": [{**each.body, "deleted": each.deleted} for each in account.customers.values()],
        "payment_methods": [
            {**each.body, "consumed": each.consumed} for each in account.payment_methods.values()
        ],
        "payment_intents": [each.body for each in account.payment_intents.values()],
        "setup_intents": [each.body for each in account.setup_intents.values()],
    }
    shown: dict[str, Any] = in_live_mode(state) if world.livemode else state
    return shown
