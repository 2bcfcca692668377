"""Calls: their log, their faults, their limits, and the clock they go by."""

import asyncio
import contextlib
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from deploy.stripe_emulator import faults
from deploy.stripe_emulator.control.request import Routes, body_of
from deploy.stripe_emulator.engine import Engine
from deploy.stripe_emulator.routes import templates


def routes(engine: Engine) -> Routes:
    """Give the handlers."""
    side = _Calls(engine)
    return (
        ("GET", "/log", side.log),
        ("DELETE", "/log", side.clear_log),
        ("POST", "/faults", side.add_fault),
        ("GET", "/faults", side.list_faults),
        ("DELETE", "/faults", side.remove_faults),
        ("DELETE", "/faults/{fault}", side.remove_fault),
        ("GET", "/limits", side.limits),
        ("POST", "/limits", side.set_limits),
        ("GET", "/clock", side.clock),
        ("POST", "/clock", side.advance_clock),
    )


class _Calls:
    """The handlers, in the order of the routes above."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    async def log(self, request: Request) -> Response:
        """Give the calls that match; with `wait_s`, as soon as there is one, or none after that time."""
        asked = request.query_params

        def matching() -> list[dict[str, Any]]:
            return self._engine.calls.select(
                account=asked.get("account"),
                method=asked.get("method"),
                path=asked.get("path"),
                idempotency_key=asked.get("idempotency_key"),
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

    async def add_fault(self, request: Request) -> Response:
        rule = faults.parse(await body_of(request), templates())
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

    async def limits(self, _: Request) -> Response:
        return JSONResponse(self._engine.limiter.shown())

    async def set_limits(self, request: Request) -> Response:
        self._engine.limiter.switch(await body_of(request))
        return JSONResponse(self._engine.limiter.shown())

    async def clock(self, _: Request) -> Response:
        return JSONResponse({"now": self._engine.clock.now_s()})

    async def advance_clock(self, request: Request) -> Response:
        self._engine.clock.advance(float((await body_of(request))["advance_s"]))
        self._engine.pass_time()
        return JSONResponse({"now": self._engine.clock.now_s()})
