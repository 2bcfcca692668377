"""`offshoot serve` as a process over real Kafka: every row of the table of answers, and what is published."""

import json
import socket
import uuid
from collections.abc import Iterator

import pytest

from deploy.local.kafka import Kafka
from tests.integration.receiver import CONNECT, LIMIT, OLD, PATH, Serve, create_topic, event, records, signed


@pytest.fixture(scope="module")
def topic(kafka: Kafka) -> str:
    """The topic of this module's receiver, made by the command."""
    prefix = f"t{uuid.uuid4().hex[:7]}."
    create_topic(kafka.bootstrap_servers, f"{prefix}stripe.events", **{"max.message.bytes": "2097152"})
    return f"{prefix}stripe.events"


@pytest.fixture(scope="module")
def serve(kafka: Kafka, topic: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serve]:
    """A receiver that is ready."""
    prefix = topic.removesuffix("stripe.events")
    with Serve(
        tmp_path_factory.mktemp("serve"), kafka.bootstrap_servers, KAFKA_TOPIC_PREFIX=prefix
    ) as running:
        running.wait_ready()
        yield running


def published(kafka: Kafka, topic: str, body: bytes) -> list[tuple[bytes, dict[str, bytes]]]:
    """The key and the headers of each record with exactly that value."""
    return [
        (record.key, dict(record.headers))
        for record in records(kafka.bootstrap_servers, topic)
        if record.value == body
    ]


def test_a_connected_accounts_snapshot(serve: Serve, kafka: Kafka, topic: str) -> None:
    body = event(id="evt_snapshot", account="acct_1", context="acct_1") + b"\n "
    assert serve.post(body, secret=CONNECT) == (200, b'{"received":true}')
    assert published(kafka, topic, body) == [
        (
            b"acct_1:pm_1",
            {
                "ce_specversion": b"1.0",
                "ce_id": b"evt_snapshot",
                "ce_type": b"com.stripe.payment_method.attached",
                "ce_source": b"/stripe/acct_1",
                "ce_subject": b"pm_1",
                "ce_time": b"2026-01-01T00:00:00Z",
                "ce_partitionkey": b"acct_1:pm_1",
                "ce_account": b"acct_1",
                "ce_livemode": b"false",
                "ce_payloadkind": b"snapshot",
                "ce_apiversion": b"2026-10-28.endive",
                "ce_endpoint": b"connect",
                "ce_via": b"webhook",
                "content-type": b"application/json",
            },
        )
    ]


def test_a_thin_event_of_the_platform(serve: Serve, kafka: Kafka, topic: str) -> None:
    body = json.dumps(
        {
            "id": "evt_thin",
            "object": "v2.core.event",
            "type": "v1.customer.updated",
            "created": "2026-01-01T00:00:00.5Z",
            "livemode": False,
            "context": "acct_platform",
            "related_object": {"id": "cus_1", "type": "customer", "url": "/v1/customers/cus_1"},
        }
    ).encode()
    assert serve.post(body) == (200, b'{"received":true}')
    assert published(kafka, topic, body) == [
        (
            b"platform:cus_1",
            {
                "ce_specversion": b"1.0",
                "ce_id": b"evt_thin",
                "ce_type": b"com.stripe.v1.customer.updated",
                "ce_source": b"/stripe/platform",
                "ce_subject": b"cus_1",
                "ce_time": b"2026-01-01T00:00:00.500000Z",
                "ce_partitionkey": b"platform:cus_1",
                "ce_livemode": b"false",
                "ce_payloadkind": b"thin",
                "ce_endpoint": b"main",
                "ce_via": b"webhook",
                "content-type": b"application/json",
            },
        )
    ]


def test_an_event_of_an_unknown_type_without_an_object_id(serve: Serve, kafka: Kafka, topic: str) -> None:
    body = b'{"id":"evt_bare","type":"invoice.upcoming","livemode":false,"data":{"object":{}},"created":"x"}'
    assert serve.post(body, secret=OLD) == (200, b'{"received":true}')
    [(key, headers)] = published(kafka, topic, body)
    assert key == b"platform:evt_bare"
    assert headers.keys().isdisjoint({"ce_subject", "ce_time", "ce_account", "ce_apiversion"})


def test_the_largest_body(serve: Serve, kafka: Kafka, topic: str) -> None:
    body = event().ljust(LIMIT)
    assert serve.post(body) == (200, b'{"received":true}')
    assert len(published(kafka, topic, body)) == 1


def test_the_same_event_twice_is_two_records(serve: Serve, kafka: Kafka, topic: str) -> None:
    body = event()
    assert [serve.post(body), serve.post(body)] == [(200, b'{"received":true}')] * 2
    assert len(published(kafka, topic, body)) == 2


def test_what_is_refused_never_reaches_kafka(serve: Serve, kafka: Kafka, topic: str) -> None:
    before = len(records(kafka.bootstrap_servers, topic))
    body = event()
    unsigned = [
        serve.public.post(PATH, content=body, headers=headers)
        for headers in (
            {},
            {"Stripe-Signature": ""},
            {"Stripe-Signature": "nonsense"},
            {"Stripe-Signature": signed(body, secret="whsec_wrong_0123456789")},
            {"Stripe-Signature": signed(body, passed_s=310)},
            {"Stripe-Signature": signed(body, passed_s=-310)},
            {"Stripe-Signature": signed(body + b" ")},
            {"Stripe-Signature": "t=1,v1=" + "0" * 30_000},
        )
    ]
    assert {(each.status_code, each.content) for each in unsigned} == {(400, b'{"error":"signature"}')}
    no_events = [
        b"",
        b"[]",
        b"\xff",
        b"{}",
        event(id=None),
        event(type="é"),
        event(livemode="no"),
        b"[" * 500_000,
    ]
    assert {serve.post(each) for each in no_events} == {(400, b'{"error":"payload"}')}
    assert serve.post(event(livemode=True)) == (200, b'{"received":false}')
    assert serve.post(body.ljust(LIMIT + 1)) == (413, b'{"error":"too_large"}')
    assert len(records(kafka.bootstrap_servers, topic)) == before


def test_a_body_that_is_streamed_is_bounded_too(serve: Serve) -> None:
    def chunks(size: int) -> Iterator[bytes]:
        body = event().ljust(size)
        for at in range(0, size, 10_000):
            yield body[at : at + 10_000]

    answers = [
        serve.public.post(
            PATH, content=chunks(size), headers={"Stripe-Signature": signed(b"".join(chunks(0)) or b"x")}
        )
        for size in (LIMIT + 1, 5 * LIMIT)
    ]
    assert [(each.status_code, each.content) for each in answers] == [(413, b'{"error":"too_large"}')] * 2


def test_a_declared_length_is_refused_before_the_body_comes(serve: Serve) -> None:
    with socket.create_connection(("127.0.0.1", serve.listening()["public"]), timeout=10) as connection:
        connection.sendall(
            b"POST /webhooks/stripe HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999999\r\n\r\n"
        )
        assert connection.recv(4096).startswith(b"HTTP/1.1 413 ")


@pytest.mark.parametrize(
    ("method", "path", "status", "allow"),
    [
        ("GET", PATH, 405, "POST"),
        ("HEAD", PATH, 405, "POST"),
        ("OPTIONS", PATH, 405, "POST"),
        ("POST", "/livez", 405, "GET"),
        ("HEAD", "/readyz", 405, "GET"),
        ("OPTIONS", "/readyz", 405, "GET"),
        ("GET", "/", 404, None),
        ("POST", PATH + "/", 404, None),
        ("GET", "/metrics", 404, None),
    ],
)
def test_other_methods_and_paths(
    serve: Serve, method: str, path: str, status: int, allow: str | None
) -> None:
    response = serve.public.request(method, path)
    assert (response.status_code, response.headers.get("allow")) == (status, allow)


def test_health_and_metrics(serve: Serve) -> None:
    for client in (serve.public, serve.ops):
        for path in ("/livez", "/readyz"):
            response = client.get(path)
            assert (response.status_code, response.json()["status"]) == (200, "ok")
            assert all(
                check.keys() == {"ok", "state", "age_s"} for check in response.json()["checks"].values()
            )
    serve.post(event(type="charge.succeeded"))
    text = serve.ops.get("/metrics").text
    assert 'offshoot_webhooks_total{endpoint="main",outcome="received",type="other"}' in text
    assert "charge.succeeded" not in text


def test_logs_hold_ids_and_nothing_private(serve: Serve) -> None:
    body = event(id="evt_logged", account="acct_1")
    serve.post(body)
    serve.post(body, secret="whsec_wrong_0123456789")
    [line] = [entry for entry in serve.logged("webhook.answered") if entry.get("event_id") == "evt_logged"]
    assert (line["outcome"], line["status"], line["endpoint"], line["account"]) == (
        "received",
        200,
        "main",
        "acct_1",
    )
    assert not any(word in serve.process.output() for word in ("whsec_", "Jürgen", "J\\u00fcrgen", "v1="))
