"""What the handlers of the control side share: their shape, and how they read a request."""

import json
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from deploy.stripe_emulator.engine import Engine
from deploy.stripe_emulator.faults import PLATFORM
from deploy.stripe_emulator.model import Account, World

Handler = Callable[[Request], Awaitable[Response]]
Routes = Sequence[tuple[str, str, Handler]]


class Said(dict[str, Any]):
    """What a request says; to ask for what it does not say is a ValueError, for it is the request's fault."""

    def __missing__(self, name: str) -> Any:
        """Say what the request leaves out."""
        raise ValueError(f"the body has no {name}")


async def body_of(request: Request) -> Said:
    """Give the JSON object of a request; no body is an empty one, anything else a ValueError or TypeError."""
    text = await request.body()
    if not text:
        return Said()
    try:
        said = json.loads(text)
    except json.JSONDecodeError as error:
        raise ValueError(f"the body is not JSON: {error}") from error
    if not isinstance(said, dict):
        raise TypeError("the body is a JSON object")
    return Said(said)


def world_of(engine: Engine, request: Request) -> World:
    """Give the world that a request is about: test mode, but for `?livemode=true`."""
    return engine.worlds[request.query_params.get("livemode") == "true"]


def account_of(world: World, request: Request) -> Account:
    """Give the account in the path, `platform` for the platform; an unknown one is a KeyError."""
    name = request.path_params["account"]
    return world.platform if name in (PLATFORM, world.platform.id) else world.connected[name]
