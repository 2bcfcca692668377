"""Waiting for what another process does: asked again and again until a deadline, never a fixed pause."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from typing import TypeVar

_T = TypeVar("_T")


async def until(ask: Callable[[], Awaitable[_T]], *, within_s: float, what: str) -> _T:
    """Ask until the answer is true, and return it; fail by name when it never is."""
    never = asyncio.Event()
    deadline = asyncio.get_running_loop().time() + within_s
    while not (answer := await ask()):
        assert asyncio.get_running_loop().time() < deadline, f"not within {within_s} s: {what}"
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(never.wait(), 0.02)
    return answer
