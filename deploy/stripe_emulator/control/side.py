"""The control side, `/_emulator/…`: what no API call can do. JSON, without a key, for loopback."""

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from deploy.stripe_emulator.control import accounts, calls, events, intents, keys
from deploy.stripe_emulator.engine import Engine
from deploy.stripe_emulator.errors import StripeError

PREFIX = "/_emulator"
PARTS = (accounts, intents, calls, events, keys)


def control(engine: Engine) -> Starlette:
    """Make the control side of an engine; a bad request is 400 `{"error"}`, an unknown id 404."""
    handlers = [each for part in PARTS for each in part.routes(engine)]
    return Starlette(
        routes=[Route(path, handler, methods=[method]) for method, path, handler in handlers],
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
