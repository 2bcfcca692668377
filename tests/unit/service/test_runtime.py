"""The runtime: health, logs, supervised tasks, listeners and the end of a Kafka client."""

import asyncio
import io
import json
import logging
import os
import signal
import socket
import sys
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
import structlog

from service.runtime.health import CheckResult, Health, State
from service.runtime.kafka.stop import stop_client
from service.runtime.lifecycle import (
    HttpListener,
    ListenError,
    LoopTick,
    Supervisor,
    run_process,
    stop_on_signals,
    wait_for_stop,
)
from service.runtime.logging import configure, get_logger
from service.runtime.metrics import Metrics, type_label
from service.runtime.ops import ops_app


def test_health_tells_each_check_its_state_and_its_age() -> None:
    health = Health(clock=lambda: 12.5)
    health.add_liveness("loop", lambda: CheckResult(ok=True, state="ticking", since=10))
    health.add_readiness("kafka", lambda: CheckResult(ok=False, state="away", since=2.25))
    health.add_readiness("load", lambda: CheckResult(ok=True, state="fine", since=13))
    assert health.livez() == (
        True,
        {"status": "ok", "checks": {"loop": {"ok": True, "state": "ticking", "age_s": 2.5}}},
    )
    assert health.readyz() == (
        False,
        {
            "status": "unavailable",
            "checks": {
                "kafka": {"ok": False, "state": "away", "age_s": 10.25},
                "load": {"ok": True, "state": "fine", "age_s": 0},
            },
        },
    )


def test_a_state_said_again_keeps_its_age() -> None:
    moments = iter([1.0, 2.0, 3.0])
    state = State(ok=True, state="up", clock=lambda: next(moments))
    state.set(ok=True, state="up")
    assert state() == CheckResult(ok=True, state="up", since=1.0)
    state.set(ok=False, state="down")
    assert state() == CheckResult(ok=False, state="down", since=2.0)


def test_the_tick_is_false_once_the_loop_stood_still() -> None:
    now = [0.0]
    tick = LoopTick(limit_s=10, clock=lambda: now[0])
    assert tick().ok
    now[0] = 10.0
    assert not tick().ok


@pytest.fixture
def log_lines(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """Log as JSON, and give what was logged."""
    written, root = io.TextIOWrapper(io.BytesIO()), logging.getLogger()
    handlers, level = root.handlers, root.level
    monkeypatch.setattr(sys, "stderr", written)
    configure("json", "info")
    yield lambda: [json.loads(line) for line in written.buffer.getvalue().splitlines()]
    root.handlers = handlers
    root.setLevel(level)
    structlog.reset_defaults()


def test_what_is_secret_is_not_logged(log_lines: Any) -> None:
    get_logger().info(
        "it.happened",
        payload=b"raw",
        stripe_api_key="x",
        client_secret="y",
        text="whsec_abc and sk_live_1 and pi_1_secret_2 and postgresql://u:p@h/d",
        event_id="evt_1",
    )
    [line] = log_lines()
    assert {
        name: line[name]
        for name in ("event", "payload", "stripe_api_key", "client_secret", "text", "event_id")
    } == {
        "event": "it.happened",
        "payload": "[redacted]",
        "stripe_api_key": "[redacted]",
        "client_secret": "[redacted]",
        "text": "[redacted] and [redacted] and [redacted] and postgresql://[redacted]@h/d",
        "event_id": "evt_1",
    }


def test_foreign_loggers_speak_through_ours(log_lines: Any) -> None:
    logging.getLogger("aiokafka").warning("cannot reach %s", "sk_test_123")
    logging.getLogger("aiokafka").debug("not at this level")
    [line] = log_lines()
    assert (line["event"], line["logger"], line["level"]) == (
        "cannot reach [redacted]",
        "aiokafka",
        "warning",
    )


async def test_a_task_that_raises_or_returns_is_started_again(log_lines: Any) -> None:
    stop, health, runs = asyncio.Event(), Health(), asyncio.Semaphore(0)
    ends = iter(["raises", "returns"])

    async def task() -> None:
        runs.release()
        end = next(ends, "waits")
        if end == "raises":
            raise RuntimeError("hidden text")
        if end == "waits":
            await stop.wait()

    supervisor = Supervisor(stop, health)
    supervisor.start("it", task)
    async with asyncio.timeout(5):
        for _ in range(3):
            await runs.acquire()
    assert health.livez()[0]
    await supervisor.shut_down(5)
    failed = [line for line in log_lines() if line["event"] == "task.failed"]
    assert [(line["task"], line["error"]) for line in failed] == [("it", "RuntimeError"), ("it", "returned")]
    assert "hidden text" not in str(failed)


async def test_a_task_that_cannot_run_makes_the_process_not_alive(log_lines: Any) -> None:
    stop, health, runs = asyncio.Event(), Health(), asyncio.Semaphore(0)

    async def task() -> None:
        runs.release()
        raise RuntimeError

    supervisor = Supervisor(stop, health, dead_after_s=0)
    supervisor.start("it", task)
    async with asyncio.timeout(5):
        await runs.acquire()
        await runs.acquire()
    assert health.livez()[1]["checks"]["task:it"]["state"] == "restarting"
    assert not health.livez()[0]
    await supervisor.shut_down(5)
    assert log_lines()


async def test_a_task_that_does_not_end_is_cancelled(log_lines: Any) -> None:
    begun, cancelled = asyncio.Event(), asyncio.Event()

    async def task() -> None:
        begun.set()
        try:
            await asyncio.Event().wait()
        finally:
            cancelled.set()

    supervisor = Supervisor(asyncio.Event(), Health())
    supervisor.start("it", task)
    await begun.wait()
    await supervisor.shut_down(0.01)
    assert cancelled.is_set()
    assert [line["event"] for line in log_lines()] == ["task.cancelled"]


async def test_a_stop_ends_a_wait() -> None:
    stop = asyncio.Event()
    assert not await wait_for_stop(stop, 0)
    waiting = asyncio.create_task(wait_for_stop(stop, 60))
    stop.set()
    assert await waiting


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_a_signal_sets_the_stop(number: signal.Signals) -> None:
    async with stop_on_signals() as stop, asyncio.timeout(5):
        os.kill(os.getpid(), number)
        await stop.wait()


def test_a_process_ends_though_a_task_ignores_its_cancellation() -> None:
    async def stubborn() -> None:
        while True:
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                continue

    kept = []

    async def main() -> int:
        kept.append(asyncio.create_task(stubborn()))
        await asyncio.sleep(0)
        return 5

    assert run_process(main()) == 5


async def test_the_private_listener() -> None:
    health, metrics = Health(), Metrics()
    ready = State(ok=False, state="not yet")
    health.add_readiness("it", ready)
    listener = HttpListener("ops", ops_app(health, metrics), "127.0.0.1", 0)
    await listener.start()
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{listener.port}") as client:
        answers = {path: await client.get(path) for path in ("/livez", "/readyz", "/metrics", "/", "/livez/")}
        head = await client.head("/livez")
    await listener.stop(1)
    assert [answer.status_code for answer in answers.values()] == [200, 503, 200, 404, 404]
    assert "offshoot_publish_seconds_bucket" in answers["/metrics"].text
    assert (head.status_code, head.headers["allow"]) == (405, "GET")


async def test_an_address_that_is_taken() -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        with pytest.raises(ListenError, match=f"127.0.0.1:{port}"):
            await HttpListener("public", None, "127.0.0.1", port).start()


class _Client:
    """Ends as its test says."""

    def __init__(self, how: str) -> None:
        self._how = how
        self.given_up = asyncio.Event()

    async def stop(self) -> None:
        if self._how == "raises":
            raise RuntimeError
        if self._how == "cancels":
            raise asyncio.CancelledError
        if self._how == "hangs":
            try:
                await asyncio.Event().wait()
            finally:
                self.given_up.set()


@pytest.mark.parametrize(
    ("how", "ended"), [("ends", True), ("raises", True), ("cancels", True), ("hangs", False)]
)
async def test_stopping_a_client_never_hangs_and_never_raises(how: str, ended: bool) -> None:  # noqa: FBT001
    client = _Client(how)
    assert await stop_client(client, 0.01) == ended
    if not ended:
        async with asyncio.timeout(5):
            await client.given_up.wait()


def test_only_relevant_types_are_labels() -> None:
    assert [type_label(name) for name in ("customer.updated", "charge.succeeded", None)] == [
        "customer.updated",
        "other",
        "other",
    ]
