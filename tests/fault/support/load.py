"""Signed webhooks at a steady rate, each with a note of what was answered and when.

Bare sockets: the senders share two cores with the receiver and its brokers. Times are of `time.monotonic`.
"""

import asyncio
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from typing import Self

from service.runtime.lifecycle import wait_for_stop
from tests.integration.receiver import PATH, event, signed
from tests.support.waiting import until

_PATIENCE_S = 40.0
NO_ANSWER = 0
"""Stands for the status where the connection was refused, or ended without an answer."""


@dataclass(frozen=True)
class Answer:
    """One webhook, and what was answered."""

    event_id: str
    object_id: str
    value: bytes
    began: float
    ended: float
    status: int
    body: bytes

    @property
    def took_s(self) -> float:
        """Seconds from its first byte to its answer."""
        return self.ended - self.began

    @property
    def acked(self) -> bool:
        """Whether its sender was told that it is received."""
        return 200 <= self.status < 300


class Connection:
    """One kept-alive connection of HTTP/1.1, made when it is needed."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Drop the connection."""
        if self._streams is not None:
            self._streams[1].transport.abort()
            self._streams = None

    async def post(self, body: bytes) -> tuple[int, bytes]:
        """Post a signed webhook; give the status and the body of the answer."""
        head = f"POST {PATH} HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\nStripe-Signature: "
        return await self._exchange(f"{head}{signed(body)}\r\n\r\n".encode() + body)

    async def get(self, path: str) -> tuple[int, bytes]:
        """Ask for a path; give the status and the body of the answer."""
        return await self._exchange(f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode())

    async def _exchange(self, request: bytes) -> tuple[int, bytes]:
        try:
            async with asyncio.timeout(_PATIENCE_S):
                return await self._ask(request)
        except (OSError, EOFError):
            self.close()
            return NO_ANSWER, b""

    async def _ask(self, request: bytes) -> tuple[int, bytes]:
        if self._streams is None:
            self._streams = await asyncio.open_connection("127.0.0.1", self._port)
        reader, writer = self._streams
        writer.write(request)
        head = (await reader.readuntil(b"\r\n\r\n")).decode("ascii").lower().split("\r\n")
        headers = dict(line.split(": ", 1) for line in head[1:-2])
        body = await reader.readexactly(int(headers["content-length"]))
        if headers.get("connection") == "close":
            self.close()
        return int(head[0].split()[1]), body


class Load:
    """So many senders, each posting events of an object of its own, one after the other.

    Leaving waits for the answers that are still due.
    """

    def __init__(self, port: int, *, senders: int = 20, pause_s: float = 0.05) -> None:
        self.answers: list[Answer] = []
        self._port = port
        self._senders = senders
        self._pause_s = pause_s
        self._stop = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []

    async def __aenter__(self) -> Self:
        self._tasks = [asyncio.create_task(self._send(number)) for number in range(self._senders)]
        return self

    async def __aexit__(self, *_: object) -> None:
        self._stop.set()
        await asyncio.gather(*self._tasks)

    async def _send(self, number: int) -> None:
        async with Connection(self._port) as connection:
            while not self._stop.is_set():
                self.answers.append(await post(connection, f"pm_{number}"))
                await wait_for_stop(self._stop, self._pause_s)

    async def until(
        self, count: int, wanted: Callable[[Answer], bool], *, within_s: float, what: str
    ) -> list[Answer]:
        """Wait for so many answers of a kind, from now on."""
        start = len(self.answers)

        async def enough() -> list[Answer]:
            found = [answer for answer in self.answers[start:] if wanted(answer)]
            return found if len(found) >= count else []

        return await until(enough, within_s=within_s, what=f"{count} {what}")

    async def until_each_acked(self, since: float, *, within_s: float) -> None:
        """Wait until each sender was answered 2xx after a moment."""

        async def each() -> bool:
            acked = {answer.object_id for answer in self.answers if answer.acked and answer.ended > since}
            return len(acked) == self._senders

        await until(each, within_s=within_s, what="an ack for each sender")

    async def until_steady(self, *, within_s: float) -> None:
        """Wait until the newest answers, a few of each sender, are all acks."""
        start, few = len(self.answers), 4 * self._senders

        async def steady() -> bool:
            newest = self.answers[start:][-few:]
            return len(newest) == few and all(answer.acked for answer in newest)

        await until(steady, within_s=within_s, what=f"{few} acks in a row")


async def post(connection: Connection, object_id: str, *, size: int = 0) -> Answer:
    """Post one event of an object, of at least so many bytes, and note the answer."""
    event_id = f"evt_{uuid.uuid4().hex}"
    value = event(id=event_id, data={"object": {"id": object_id, "name": "Jürgen"}}).ljust(size)
    began = time.monotonic()
    status, body = await connection.post(value)
    return Answer(event_id, object_id, value, began, time.monotonic(), status, body)
