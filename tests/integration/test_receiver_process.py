"""The life of `offshoot serve`: its start, its end, and brokers that come and go."""

import os
import signal
import socket
import sys
from pathlib import Path

import pytest

from deploy.local.kafka import Kafka
from deploy.local.process import ChildProcess
from tests.integration.receiver import (
    PATH,
    SCRIPT,
    UP_S,
    Serve,
    create_topic,
    environment,
    event,
    records,
    seconds_unavailable,
    signed,
)


def test_sigterm_ends_it_with_status_0(kafka: Kafka, topic_prefix: str, tmp_path: Path) -> None:
    create_topic(kafka.bootstrap_servers, f"{topic_prefix}stripe.events")
    with Serve(tmp_path, kafka.bootstrap_servers, KAFKA_TOPIC_PREFIX=topic_prefix) as serve:
        serve.wait_ready()
        assert serve.post(event())[0] == 200  # its connection stays open
        serve.process.send(signal.SIGTERM)
        assert serve.process.wait_ended(10)
        assert serve.process.status == 0
        assert [entry["event"] for entry in serve.logged("process.stopped")] == ["process.stopped"]


SCHEDULING_S = 2


def test_a_body_that_never_ends_does_not_outlast_the_grace(tmp_path: Path) -> None:
    with (
        Serve(tmp_path, "127.0.0.1:1", SHUTDOWN_GRACE_S="6") as serve,
        socket.create_connection(("127.0.0.1", serve.listening()["public"]), timeout=10) as connection,
    ):
        connection.sendall(b"POST /webhooks/stripe HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\n12345")
        serve.process.wait_ready(
            lambda: "offshoot_webhooks_in_flight 1.0" in serve.ops.get("/metrics").text, within_s=5
        )
        serve.process.send(signal.SIGTERM)
        assert serve.process.wait_ended(6 + SCHEDULING_S)
        assert serve.process.status == 0
        assert connection.recv(4096).startswith(b"HTTP/1.1 503 ")


def test_a_topic_that_takes_less_lowers_the_limit(kafka: Kafka, topic_prefix: str, tmp_path: Path) -> None:
    create_topic(kafka.bootstrap_servers, f"{topic_prefix}stripe.events", **{"max.message.bytes": "200000"})
    with Serve(tmp_path, kafka.bootstrap_servers, KAFKA_TOPIC_PREFIX=topic_prefix) as serve:
        serve.wait_ready()
        assert serve.post(event().ljust(200_000 - 65_536)) == (200, b'{"received":true}')
        assert serve.post(event().ljust(200_000 - 65_535)) == (413, b'{"error":"too_large"}')


def test_a_missing_topic_is_told_and_waited_for(kafka: Kafka, topic_prefix: str, tmp_path: Path) -> None:
    with Serve(tmp_path, kafka.bootstrap_servers, KAFKA_TOPIC_PREFIX=topic_prefix) as serve:
        serve.process.wait_ready(lambda: bool(serve.logged("broker.away")), within_s=UP_S)
        check = serve.public.get("/readyz").json()["checks"]["kafka"]
        assert (check["ok"], check["state"]) == (False, "the topic is missing: run offshoot topics")
        assert serve.post(event()) == (503, b'{"error":"unavailable"}')
        create_topic(kafka.bootstrap_servers, f"{topic_prefix}stripe.events")
        serve.wait_ready()
        assert serve.post(event()) == (200, b'{"received":true}')


def test_settings_faults_stop_the_start_all_at_once(tmp_path: Path) -> None:
    process = ChildProcess(
        [*SCRIPT, "serve"],
        log=tmp_path / "log",
        env={
            "PATH": os.environ["PATH"],
            "OFFSHOOT_LIVEMODE": "yes",
            "OFFSHOOT_WEBHOOK_SECRETS": "main=hush-hush",
        },
        cwd=tmp_path,
    )
    process.start()
    assert process.wait_ended(UP_S)
    assert process.status == 2
    output = process.output()
    assert all(name in output for name in ("LIVEMODE", "WEBHOOK_SECRETS", "KAFKA_BOOTSTRAP_SERVERS"))
    assert "hush" not in output


def test_a_port_that_is_taken_ends_it_with_status_1(tmp_path: Path) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        process = ChildProcess(
            [*SCRIPT, "serve"],
            log=tmp_path / "log",
            env=environment("127.0.0.1:1", HTTP_PORT=str(other.getsockname()[1])),
            cwd=tmp_path,
        )
        process.start()
        assert process.wait_ended(UP_S)
    assert process.status == 1
    assert "cannot listen on 127.0.0.1" in process.output()


def test_it_loads_neither_stripe_nor_a_database_driver(tmp_path: Path) -> None:
    code = "import sys, deploy.cli.serve; print(sys.modules.keys() & {'stripe', 'asyncpg', 'aiosql'})"
    process = ChildProcess(
        [sys.executable, "-c", code], log=tmp_path / "log", env={"PATH": os.environ["PATH"]}, cwd=tmp_path
    )
    assert process.run(within_s=UP_S).strip() == "set()"


def test_a_broker_that_is_down_at_the_start_and_again_later(tmp_path: Path) -> None:
    """It starts without Kafka, says 503 at once, and comes back by itself each time that Kafka does."""
    (tmp_path / "kafka").mkdir()
    kafka = Kafka(tmp_path / "kafka")
    try:
        kafka.start()
        [node] = kafka.nodes
        create_topic(kafka.bootstrap_servers, "stripe.events")
        node.stop()
        with Serve(tmp_path, kafka.bootstrap_servers, PUBLISH_TIMEOUT_S="3") as serve:
            serve.process.wait_ready(lambda: bool(serve.logged("broker.away")), within_s=UP_S)
            response = serve.public.post(PATH, content=event(), headers={"Stripe-Signature": "none"})
            assert response.status_code == 400
            body = event()
            response = serve.public.post(PATH, content=body, headers={"Stripe-Signature": signed(body)})
            assert (response.status_code, response.content) == (503, b'{"error":"unavailable"}')
            assert int(response.headers["retry-after"]) > 0
            assert serve.public.get("/livez").status_code == 200
            assert serve.public.get("/readyz").status_code == 503

            node.start()
            serve.wait_ready()
            first = event()
            assert serve.post(first) == (200, b'{"received":true}')

            node.freeze()
            assert seconds_unavailable(serve) == pytest.approx(3, abs=1)
            assert seconds_unavailable(serve) < 1
            assert serve.public.get("/readyz").status_code == 503
            node.thaw()
            last = event()
            serve.process.wait_ready(lambda: serve.post(last)[0] == 200, within_s=10)
            values = [record.value for record in records(kafka.bootstrap_servers, "stripe.events")]
            assert values.count(first) == 1
            assert last in values

            node.kill()
            assert seconds_unavailable(serve) < 4
            serve.process.wait_ready(lambda: serve.public.get("/readyz").status_code == 503, within_s=5)
            assert seconds_unavailable(serve) < 1
    finally:
        kafka.kill()
