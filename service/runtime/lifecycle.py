"""What a process lives through: signals, supervised tasks, and the sign that its event loop still turns."""

import asyncio
import contextlib
import random
import signal
import time
import traceback
from collections.abc import AsyncIterator, Callable, Coroutine
from typing import Any

import uvloop

from service.runtime.health import Health, Pulse, State
from service.runtime.http import HttpListener, ListenError
from service.runtime.logging import get_logger

__all__ = [
    "HttpListener",
    "ListenError",
    "LoopTick",
    "Supervisor",
    "describe_error",
    "run_process",
    "stop_on_signals",
    "wait_for_stop",
]

_FIRST_DELAY_S = 0.1
_LONGEST_DELAY_S = 10.0
_STEADY_S = 10.0
_TICK_S = 1.0
_LEFTOVER_S = 1.0

TaskFactory = Callable[[], Coroutine[Any, Any, None]]


def describe_error(error: BaseException) -> dict[str, str]:
    """Give log fields that say what was raised and where, without its message, which may hold a payload."""
    frames = traceback.extract_tb(error.__traceback__)[-3:]
    where = " < ".join(f"{frame.name}:{frame.lineno}" for frame in reversed(frames))
    return {"error": type(error).__qualname__, "where": where}


def run_process(main: Coroutine[Any, Any, int]) -> int:
    """Run a process' main coroutine on uvloop and give its status.

    Unlike `asyncio.run` it does not wait for ever for tasks that ignore their cancellation, as a Kafka client
    that lost its broker may leave them.
    """
    loop = uvloop.new_event_loop()
    try:
        return loop.run_until_complete(main)
    finally:
        leftover = asyncio.all_tasks(loop)
        for task in leftover:
            task.cancel()
        if leftover:
            loop.run_until_complete(asyncio.wait(leftover, timeout=_LEFTOVER_S))
        loop.run_until_complete(loop.shutdown_asyncgens())
        loop.close()


@contextlib.asynccontextmanager
async def stop_on_signals() -> AsyncIterator[asyncio.Event]:
    """Give an event that the first SIGTERM or SIGINT sets, instead of ending the process."""
    loop = asyncio.get_running_loop()
    stop = asyncio.Event()

    def on_signal(number: signal.Signals) -> None:
        get_logger().info("process.stopping", signal=number.name)
        stop.set()

    handled = (signal.SIGTERM, signal.SIGINT)
    for number in handled:
        loop.add_signal_handler(number, on_signal, number)
    try:
        yield stop
    finally:
        for number in handled:
            loop.remove_signal_handler(number)


async def wait_for_stop(stop: asyncio.Event, within_s: float) -> bool:
    """Wait so long for the stop, and say whether it came: the pause of every loop that must end with it."""
    if within_s > 0 and not stop.is_set():
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(within_s):
                await stop.wait()
    return stop.is_set()


class Supervisor:
    """Keeps named tasks running until the stop: one that raises, or returns before it, is started again.

    The pause between two starts grows from 0.1 to 10 s, jittered, and begins anew once a task ran for 10 s.
    A task that has not run so long for `dead_after_s` makes the process not alive.
    """

    def __init__(self, stop: asyncio.Event, health: Health, *, dead_after_s: float = 60.0) -> None:
        self._stop = stop
        self._health = health
        self._dead_after_s = dead_after_s
        self._tasks: set[asyncio.Task[None]] = set()

    def start(self, name: str, factory: TaskFactory) -> None:
        """Run what the factory makes, again and again until the stop, upon which it ends by itself."""
        state = State(ok=True, state="running")
        self._health.add_liveness(f"task:{name}", state)
        self._tasks.add(asyncio.create_task(self._keep(name, factory, state), name=name))

    async def shut_down(self, within_s: float) -> None:
        """Set the stop, give the tasks so long to end by themselves, then cancel what is left."""
        self._stop.set()
        if not self._tasks:
            return
        _, late = await asyncio.wait(self._tasks, timeout=max(0.0, within_s))
        for task in late:
            get_logger().warning("task.cancelled", task=task.get_name())
            task.cancel()
        if late:
            await asyncio.wait(late, timeout=1)

    async def _keep(self, name: str, factory: TaskFactory, state: State) -> None:
        failing_since: float | None = None
        delay_s = _FIRST_DELAY_S
        while not self._stop.is_set():
            began = time.monotonic()
            steady = asyncio.get_running_loop().call_later(
                _STEADY_S, lambda: state.set(ok=True, state="running")
            )
            try:
                await factory()
                failure = {"error": "returned"}
            except Exception as error:  # noqa: BLE001 - whatever a task raises, it is started again
                failure = describe_error(error)
            finally:
                steady.cancel()
            if self._stop.is_set():
                return
            now = time.monotonic()
            if failing_since is None or now - began >= _STEADY_S:
                failing_since, delay_s = now, _FIRST_DELAY_S
            state.set(ok=now - failing_since < self._dead_after_s, state="restarting")
            get_logger().error("task.failed", task=name, retry_in_s=round(delay_s, 3), **failure)
            await wait_for_stop(self._stop, delay_s * random.uniform(0.5, 1.0))  # noqa: S311 - jitter
            delay_s = min(_LONGEST_DELAY_S, delay_s * 2)


class LoopTick(Pulse):
    """The liveness check of the event loop: false once the loop has not turned for `limit_s`."""

    def __init__(self, *, limit_s: float = 10.0, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__(limit_s, clock=clock)

    async def run(self, stop: asyncio.Event) -> None:
        """Note each turn until the stop."""
        while not await wait_for_stop(stop, _TICK_S):
            self.beat()
