"""API keys: made, shown, expired."""

from dataclasses import asdict

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from deploy.stripe_emulator import keys
from deploy.stripe_emulator.control.request import Routes, body_of
from deploy.stripe_emulator.engine import Engine


def routes(engine: Engine) -> Routes:
    """Give the handlers."""
    side = _Keys(engine)
    return (
        ("GET", "/keys", side.list_keys),
        ("POST", "/keys", side.add),
        ("POST", "/keys/{key}/expire", side.expire),
    )


class _Keys:
    """The handlers, in the order of the routes above."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    async def list_keys(self, _: Request) -> Response:
        shown = [{**asdict(key), "livemode": key.livemode} for key in self._engine.keys.by_text.values()]
        return JSONResponse({"keys": shown})

    async def add(self, request: Request) -> Response:
        """Make a key, or give one of that text other rights."""
        key = keys.parse(await body_of(request))
        self._engine.keys.add(key)
        return JSONResponse({"livemode": key.livemode})

    async def expire(self, request: Request) -> Response:
        """Let a key be of no more use, as one that was rolled or revoked."""
        self._engine.keys.by_text[request.path_params["key"]].expired = True
        return JSONResponse({})
