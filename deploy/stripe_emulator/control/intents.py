"""Payments: what issuers, banks and cardholders do by themselves."""

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from deploy.stripe_emulator.control.request import Routes, account_of, body_of, world_of
from deploy.stripe_emulator.engine import Engine
from deploy.stripe_emulator.model import Call
from deploy.stripe_emulator.resources import paying, updater, verification


def routes(engine: Engine) -> Routes:
    """Give the handlers."""
    side = _Payments(engine)
    return (
        ("POST", "/accounts/{account}/payment_methods/{payment_method}/renew", side.renew),
        ("POST", "/accounts/{account}/intents/{intent}/authenticate", side.authenticate),
        ("POST", "/accounts/{account}/settle", side.settle),
    )


class _Payments:
    """The handlers, in the order of the routes above."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    async def renew(self, request: Request) -> Response:
        """Update a saved card as its issuer does: a new expiry, and maybe a new number."""
        call = self._on_account(request)
        method = call.account.payment_methods[request.path_params["payment_method"]]
        updater.renew(call, method, await body_of(request))
        self._engine.pass_time()
        return JSONResponse(method.body)

    async def authenticate(self, request: Request) -> Response:
        """Let the holder of the card that an intent waits for prove who they are, or fail to."""
        call, intent_id = self._on_account(request), request.path_params["intent"]
        intent = call.account.payment_intents.get(intent_id) or call.account.setup_intents[intent_id]
        holder = (await body_of(request))["succeeds"]
        verification.authenticate(call, intent, holder=bool(holder))
        self._engine.pass_time()
        return JSONResponse(intent.body)

    async def settle(self, request: Request) -> Response:
        """Let the banks answer every debit of the account at once."""
        call = self._on_account(request)
        waiting = [each for each in call.account.payment_intents.values() if each.settles_s is not None]
        for intent in waiting:
            paying.settle(self._on_account(request), intent)
        self._engine.pass_time()
        return JSONResponse({"settled": [intent.id for intent in waiting]})

    def _on_account(self, request: Request) -> Call:
        world = world_of(self._engine, request)
        return Call(world, account_of(world, request))
