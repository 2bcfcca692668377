"""An HTTP server on this machine that gives one prepared answer, or none, and keeps what it was asked."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Final, Literal
from urllib.parse import parse_qsl

Trouble = Literal["none", "silent", "dripping", "cut before the answer", "cut within the answer"]
_DRIP_S: Final = 0.05
_NO_HEADERS: Final[Mapping[str, str]] = {}


@dataclass(frozen=True, slots=True)
class Asked:
    """One request; header names in lower case."""

    method: str
    path: str
    headers: Mapping[str, str]
    form: Mapping[str, str]


@dataclass(slots=True)
class Answering:
    """What it answers, and what it was asked so far."""

    status: int = 200
    body: bytes = b"{}"
    headers: Mapping[str, str] = field(default_factory=dict)
    trouble: Trouble = "none"
    url: str = ""
    asked: list[Asked] = field(default_factory=list)

    def answer(self, status: int, body: object, headers: Mapping[str, str] = _NO_HEADERS) -> None:
        """Answer so from now on; the body as JSON, unless it is bytes."""
        self.status = status
        self.body = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.headers = {"Request-Id": "req_1", **headers}

    async def handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await self._read(reader)
            if self.trouble == "silent":
                await reader.read()
            elif self.trouble == "dripping":
                await self._drip(reader, writer)
            elif self.trouble != "cut before the answer":
                body = self.body[:-1] if self.trouble == "cut within the answer" else self.body
                lines = [
                    f"HTTP/1.1 {self.status} X",
                    f"Content-Length: {len(self.body)}",
                    "Connection: close",
                    *[f"{name}: {value}" for name, value in self.headers.items()],
                ]
                writer.write("\r\n".join(lines).encode() + b"\r\n\r\n" + body)
                await writer.drain()
        finally:
            writer.close()

    async def _drip(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer without end, a little at a time, until the other side has had enough."""
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n")
        while not reader.at_eof():
            writer.write(b" ")
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_DRIP_S):
                    await reader.read()

    async def _read(self, reader: asyncio.StreamReader) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
        method, path, _ = head[0].split(" ")
        headers = {
            name.lower(): value.strip() for name, _, value in (line.partition(":") for line in head[1:])
        }
        body = await reader.readexactly(int(headers.get("content-length", "0")))
        self.asked.append(Asked(method, path, headers, dict(parse_qsl(body.decode()))))


@asynccontextmanager
async def answering() -> AsyncIterator[Answering]:
    """Serve at 127.0.0.1 for as long as the block lasts."""
    served = Answering()
    server = await asyncio.start_server(served.handle, "127.0.0.1", 0)
    host, port = server.sockets[0].getsockname()
    served.url = f"http://{host}:{port}"
    try:
        yield served
    finally:
        server.close()
