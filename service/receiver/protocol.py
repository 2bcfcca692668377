"""Webhooks answered inside uvicorn's HTTP protocol: no task, no scope, one write an answer.

A subclass of uvicorn's protocol over httptools, so pinned to the uvicorn it was read against (`UVICORN`).
With another one the ASGI app serves webhooks too, slower. A POST to the webhook's path is read and answered
here, everything else goes the usual way. Answers keep the order of their connection's requests (RFC 9112
9.3.2), also where the two kinds are mixed in a pipeline.
"""

import asyncio
from collections import deque
from collections.abc import Iterable
from typing import Any, ClassVar, Final

import uvicorn
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from service.receiver.intake import Delivery, Intake
from service.receiver.webhook import Answer

UVICORN: Final = "0.54.0"
_WANTED: Final = frozenset({b"content-length", b"stripe-signature", b"traceparent"})
"""Headers that count only where they stand in the request exactly once."""

READ_WITHIN_S: Final = 60.0
"""How long a request may take to arrive, and a new connection to send one."""

SKIP_AT_MOST: Final = 8 * 1024 * 1024
"""How much of a body that is not wanted is read, so that its sender sees the answer, before it is cut off."""

HEAD_AT_MOST: Final = 64 * 1024
"""Bytes of a request's head, or of the trailers behind its body: whatever the parser keeps to itself."""

TURNS_AT_MOST: Final = 64
"""Unanswered requests of one connection, past which it is not read from."""


class _Turn:
    """One webhook's place in the order of its connection's answers."""

    __slots__ = ("answer", "keep_alive", "protocol")

    def __init__(self, protocol: "WebhookProtocol", *, keep_alive: bool) -> None:
        self.protocol = protocol
        self.keep_alive = keep_alive
        self.answer: Answer | None = None

    def __call__(self, answer: Answer) -> None:
        self.answer = answer
        self.protocol.flush()


class _Unfinished:
    """Stands for the webhooks before an ordinary request, so that uvicorn queues it behind them."""

    response_complete: ClassVar = False


class WebhookProtocol(HttpToolsProtocol):
    """One connection. Made for one intake and path by `webhook_protocol`."""

    intake: ClassVar[Intake]
    path: ClassVar[bytes]
    wire: ClassVar["_Wire"]

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self._turns: deque[_Turn] = deque()
        self._delivery: Delivery | None = None
        self._chunks: list[bytes] = []
        self._signature: bytes | None = None
        self._traceparent: bytes | None = None
        self._unused = 0
        self._ours = False
        self._receiving = False
        self._skipped = 0
        self._awaits_continue = False
        self._close_after_body = False
        self._last = False
        self._read_limit: asyncio.TimerHandle | None = None
        self._idle_limit: asyncio.TimerHandle | None = None
        self._idle_since = 0.0

    # -- the connection

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override] # as uvicorn's
        """Begin."""
        super().connection_made(transport)
        self._arm_read_limit()

    def connection_lost(self, exc: Exception | None) -> None:
        """End: what is on its way to Kafka goes on, what was not whole is forgotten."""
        self._disarm_read_limit()
        if self._idle_limit is not None:
            self._idle_limit.cancel()
        if self._delivery is not None:
            self._delivery.abandon()
            self._delivery = None
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Take bytes from the wire."""
        self._unused += len(data)
        super().data_received(data)
        if self._unused > HEAD_AT_MOST and not self.transport.is_closing():
            self.send_400_response("The head of the request is too large.")
        elif self._receiving and self._read_limit is None:
            self._arm_read_limit()

    def pause_writing(self) -> None:
        """Read nothing more from a client that does not read its answers, or they would pile up."""
        super().pause_writing()
        self.flow.pause_reading()

    def resume_writing(self) -> None:
        """Read on, unless that has to wait for answers."""
        super().resume_writing()
        if not self._turns and not self.pipeline and not self.transport.is_closing():
            self.flow.resume_reading()

    def shutdown(self) -> None:
        """Close once everything that was begun is answered."""
        if self._turns or self._ours:
            self._last = True
        else:
            super().shutdown()

    def send_400_response(self, msg: str) -> None:
        """Refuse bytes that are no HTTP, after the answers that are still due."""
        if self._delivery is not None:
            self._delivery.abandon()
            self._delivery = None
        if self._ours and self._turns and self._turns[-1].answer is None:
            self._turns.pop()
        self._ours = self._receiving = False
        if self._turns:
            self._last = True
            self.flow.pause_reading()
        else:
            super().send_400_response(msg)

    def _arm_read_limit(self) -> None:
        self._read_limit = self.loop.call_later(READ_WITHIN_S, self._too_slow)

    def _disarm_read_limit(self) -> None:
        if self._read_limit is not None:
            self._read_limit.cancel()
            self._read_limit = None

    def _too_slow(self) -> None:
        self._read_limit = None
        self.transport.close()

    # -- the parser's callbacks

    def on_message_begin(self) -> None:
        """A request begins; whose it is, is known after its headers."""
        self.url = b""
        self.headers = []
        self.expect_100_continue = False
        self._receiving = True
        self._ours = False

    def on_headers_complete(self) -> None:
        """Take a webhook, or hand the request on."""
        self._unused = 0
        cycle: Any = self.cycle  # None before the first
        behind_ordinary = cycle is not None and not cycle.response_complete
        if (
            not behind_ordinary
            and self.parser.get_method() == b"POST"
            and self.url.partition(b"?")[0] == self.path
            and not self.parser.should_upgrade()
        ):
            self._open()
            return
        if self._idle_limit is not None:  # from here on uvicorn sees to that
            self._idle_limit.cancel()
            self._idle_limit = None
        url, headers, expect = self.url, self.headers, self.expect_100_continue
        super().on_message_begin()
        self.url, self.expect_100_continue = url, expect
        self.headers.extend(headers)
        if self._turns and not behind_ordinary:
            self.cycle = _Unfinished()  # type: ignore[assignment] # uvicorn asks it nothing else
        super().on_headers_complete()

    def _open(self) -> None:
        keep_alive = self.parser.get_http_version() != "1.0" and self.parser.should_keep_alive()
        turn = _Turn(self, keep_alive=keep_alive)
        self._turns.append(turn)
        self._ours = True
        self._chunks = []
        self._skipped = 0
        self._awaits_continue = self.expect_100_continue
        only: dict[bytes, bytes | None] = {}
        for name, value in self.headers:
            if name in _WANTED:
                only[name] = None if name in only else value
        self._signature = only.get(b"stripe-signature")
        self._traceparent = only.get(b"traceparent")
        delivery = self.intake.open(turn, only.get(b"content-length"))
        self._delivery = None if delivery.answered else delivery
        if self._awaits_continue and not delivery.answered and len(self._turns) == 1:
            self.transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")
            self._awaits_continue = False
        if len(self._turns) > TURNS_AT_MOST:
            self.flow.pause_reading()

    def on_body(self, body: bytes) -> None:
        """Take a part of a body."""
        self._unused = 0
        if not self._ours:
            super().on_body(body)
            return
        delivery = self._delivery
        if delivery is None:
            self._skipped += len(body)
            if self._skipped > SKIP_AT_MOST:
                self.transport.close()
            return
        delivery.grow(len(body))
        if delivery.answered:
            self._delivery, self._chunks = None, []
        else:
            self._chunks.append(body)

    def on_message_complete(self) -> None:
        """The request is whole."""
        self._receiving = False
        self._unused = 0
        self._disarm_read_limit()
        if not self._ours:
            super().on_message_complete()
            return
        self._ours = False
        self.server_state.total_requests += 1
        delivery, self._delivery = self._delivery, None
        if delivery is not None:
            chunks, self._chunks = self._chunks, []
            body = chunks[0] if len(chunks) == 1 else b"".join(chunks)
            delivery.judge(body, self._signature, self._traceparent)
        elif self._close_after_body:
            self.transport.close()
        else:
            self.flush()

    # -- answers

    def flush(self) -> None:
        """Write the answers whose turn it is."""
        if self.transport.is_closing():
            self._turns.clear()
            return
        turns, ready = self._turns, []
        while turns and (answer := turns[0].answer) is not None:
            # An answer may be due before its request was read to the end.
            early = self._ours and len(turns) == 1
            turn = turns.popleft()
            closes = not turn.keep_alive or (self._last and not turns) or (early and self._awaits_continue)
            ready.append(self._wire(answer, closes=closes))
            if closes:
                self.transport.write(b"".join(ready))
                self._close_after_body = early and not self._awaits_continue
                if not self._close_after_body:
                    self.transport.close()
                turns.clear()
                return
        if ready:
            self.transport.write(b"".join(ready))
        if not turns:
            self._idle()

    def _idle(self) -> None:
        if not self.flow.write_paused:
            self.flow.resume_reading()
        if self.pipeline:
            cycle, app = self.pipeline.pop()
            self._start_asgi_task(cycle, app)
        elif self._last and not self._receiving:
            self.transport.close()
        elif not self._receiving:
            self._idle_since = self.loop.time()
            if self._idle_limit is None:
                self._idle_limit = self.loop.call_later(self.timeout_keep_alive, self._idle_too_long)

    def _idle_too_long(self) -> None:
        """Close a connection that has been idle for so long; else look again when it may have been."""
        self._idle_limit = None
        if self._receiving or self._turns:
            return
        left_s = self._idle_since + self.timeout_keep_alive - self.loop.time()
        if left_s > 0:
            self._idle_limit = self.loop.call_later(left_s, self._idle_too_long)
        else:
            self.timeout_keep_alive_handler()

    def _wire(self, answer: Answer, *, closes: bool) -> bytes:
        # uvicorn makes this list anew every second, for the date in it.
        defaults = self.server_state.default_headers
        if defaults is not self.wire.defaults:
            self.wire.defaults = defaults
            self.wire.answers.clear()
        key = (answer.outcome, closes)
        made = self.wire.answers.get(key)
        if made is None:
            made = self.wire.answers[key] = _encode(answer, defaults, closes=closes)
        return made


class _Wire:
    """The answers of this second as they go on the wire."""

    def __init__(self) -> None:
        self.defaults: list[tuple[bytes, bytes]] = []
        self.answers: dict[tuple[str, bool], bytes] = {}


def _encode(answer: Answer, defaults: Iterable[tuple[bytes, bytes]], *, closes: bool) -> bytes:
    headers = [
        *defaults,
        (b"content-type", b"application/json"),
        (b"content-length", b"%d" % len(answer.body)),
        *answer.headers,
    ]
    if closes:
        headers.append((b"connection", b"close"))
    lines = b"".join([b"%b: %b\r\n" % header for header in headers])
    return STATUS_LINE[answer.status] + lines + b"\r\n" + answer.body


def webhook_protocol(intake: Intake, path: str) -> type[WebhookProtocol] | None:
    """Make the protocol for one intake and path; None where uvicorn is not the one it was read against."""
    if uvicorn.__version__ != UVICORN:
        return None
    return type(
        "BoundWebhookProtocol", (WebhookProtocol,), {"intake": intake, "path": path.encode(), "wire": _Wire()}
    )
