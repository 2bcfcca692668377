"""The composition root of `offshoot serve`: builds the receiver, runs it until a signal, and drains it."""

import asyncio
import functools
import os
import time
from typing import Any

from schemas.topics import STRIPE_EVENTS
from service.receiver.app import PublicApp
from service.receiver.intake import Intake
from service.receiver.protocol import webhook_protocol
from service.receiver.publisher import Publisher
from service.receiver.room import Room
from service.receiver.rotation import RotationWatch
from service.receiver.signature import SignatureVerifier
from service.receiver.webhook import Receiver
from service.runtime.health import Health
from service.runtime.kafka.connection import client_options
from service.runtime.kafka.diagnosis import diagnose
from service.runtime.kafka.producer import EventProducer
from service.runtime.lifecycle import (
    HttpListener,
    ListenError,
    LoopTick,
    Supervisor,
    run_process,
    stop_on_signals,
)
from service.runtime.logging import configure, get_logger
from service.runtime.metrics import Metrics
from service.runtime.ops import ops_app
from service.runtime.settings import ServeSettings, unknown_settings

_CONNECT_S = 1.5
_FLUSH_S = 2.0
_EXIT_S = 1.0
"""Of the grace, kept back for what follows the draining: tasks that end, and the interpreter."""
_LAST_S = 1.0
"""Kept back for the private listener, so that health and metrics tell of the draining."""


def run(settings: ServeSettings) -> int:
    """Serve until SIGTERM or SIGINT; give the process' exit status.

    Raises:
        SettingsError: a certificate or key that the settings name cannot be used.

    """
    configure(settings.log_format, settings.log_level)
    for name in unknown_settings(os.environ):
        get_logger().warning("settings.unknown", name=name)
    return run_process(_serve(settings, client_options(settings)))


async def _serve(settings: ServeSettings, kafka_options: dict[str, Any]) -> int:
    metrics, health = Metrics(), Health()
    publisher = _make_publisher(settings, kafka_options, metrics)
    room = Room(metrics, max_requests=settings.webhook_max_in_flight)
    intake = Intake(receiver=_make_receiver(settings), publisher=publisher, room=room, metrics=metrics)
    app = PublicApp(intake=intake, health=health, path=settings.webhook_path)
    tick = LoopTick()
    health.add_liveness("loop", tick)
    health.add_readiness("kafka", publisher.connection)
    health.add_readiness("publish", publisher.last_publish)
    health.add_readiness("load", room.probe)
    health.add_readiness("serving", intake.serving)
    ops = HttpListener("ops", ops_app(health, metrics), settings.ops_host, settings.ops_port)
    protocol = webhook_protocol(intake, settings.webhook_path)
    if protocol is None:
        get_logger().warning("http.slower", why="another uvicorn than the one pinned")
    public = HttpListener("public", app, settings.http_host, settings.http_port, protocol=protocol)
    async with stop_on_signals() as stop:
        supervisor = Supervisor(stop, health)
        try:
            await ops.start()
            await public.start()
        except ListenError as error:
            get_logger().error("http.listen_failed", reason=error.strerror)
            await ops.stop(_LAST_S)
            return 1
        supervisor.start("kafka", functools.partial(publisher.run, stop))
        supervisor.start("tick", functools.partial(tick.run, stop))
        await stop.wait()
        await _drain(
            grace_s=settings.shutdown_grace_s - _EXIT_S,
            intake=intake,
            public=public,
            publisher=publisher,
            supervisor=supervisor,
            ops=ops,
        )
    get_logger().info("process.stopped")
    return 0


async def _drain(
    *,
    grace_s: float,
    intake: Intake,
    public: HttpListener,
    publisher: Publisher,
    supervisor: Supervisor,
    ops: HttpListener,
) -> None:
    end = time.monotonic() + grace_s
    intake.drain()
    await public.stop(max(0.0, grace_s - _FLUSH_S - 2 * _LAST_S))
    await asyncio.gather(
        publisher.close(max(0.0, min(_FLUSH_S, end - time.monotonic() - _LAST_S))),
        supervisor.shut_down(_LAST_S),
    )
    intake.end()
    public.cut()
    await ops.stop(max(0.0, min(_LAST_S, end - time.monotonic())))


def _make_receiver(settings: ServeSettings) -> Receiver:
    secrets = [(each.name, each.secret.get_secret_value().encode()) for each in settings.webhook_secrets]
    return Receiver(
        verifier=SignatureVerifier(secrets, settings.webhook_tolerance_s),
        livemode=settings.livemode,
        platform_account=settings.platform_account,
        on_older_secret=RotationWatch(),
    )


def _make_publisher(settings: ServeSettings, kafka_options: dict[str, Any], metrics: Metrics) -> Publisher:
    return Publisher(
        functools.partial(
            EventProducer.connect,
            kafka_options,
            settings.topic(STRIPE_EVENTS.name),
            deadline_s=settings.publish_timeout_s,
            within_s=_CONNECT_S,
        ),
        functools.partial(diagnose, kafka_options),
        metrics,
        deadline_s=settings.publish_timeout_s,
        max_body_bytes=settings.webhook_max_body_bytes,
    )
