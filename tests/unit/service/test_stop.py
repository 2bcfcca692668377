"""Ending a Kafka client whose broker says nothing: in time, its connections closed, its tasks ended."""

import asyncio
import contextlib
from types import SimpleNamespace
from typing import Any

import pytest

from service.runtime.kafka.stop import stop_client


class SilentBroker:
    """Takes connections and reads nothing."""

    async def __aenter__(self) -> int:
        self._server = await asyncio.start_server(lambda _, writer: self._writers.append(writer), "127.0.0.1")
        port: int = self._server.sockets[0].getsockname()[1]
        return port

    def __init__(self) -> None:
        self._writers: list[asyncio.StreamWriter] = []

    async def __aexit__(self, *_: object) -> None:
        for writer in self._writers:
            writer.transport.abort()
        self._server.close()
        await self._server.wait_closed()


class StuckClient:
    """Like an aiokafka producer that waits for a broker: it does not stop, and its sender minds no cancel."""

    def __init__(self, writer: asyncio.StreamWriter) -> None:
        self.connection = SimpleNamespace(_writer=writer, close=lambda: None)
        self.sender_task = asyncio.create_task(self._send())
        self.sync_task = asyncio.create_task(self._forever())
        self._sender = SimpleNamespace(sender_task=self.sender_task)
        self.client: Any = SimpleNamespace(_sync_task=self.sync_task, _conns={1: self.connection})

    async def _send(self) -> None:
        with contextlib.suppress(asyncio.CancelledError):
            await self._forever()
        await self._forever()  # for the requests that are out

    async def _forever(self) -> None:
        await asyncio.Event().wait()

    async def stop(self) -> None:
        await self._forever()


class StuckNetwork(StuckClient):
    """The same of the client under it, used alone: it has no sender."""

    def __init__(self, writer: asyncio.StreamWriter) -> None:
        super().__init__(writer)
        self._sync_task, self._conns = self.sync_task, {1: self.connection}
        self.sender_task.cancel()
        del self.client, self._sender


@pytest.mark.parametrize("kind", [StuckClient, StuckNetwork])
async def test_a_client_that_does_not_stop_is_cut_off(kind: type[StuckClient]) -> None:
    async with SilentBroker() as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(bytes(50_000_000))  # more than the system takes: an orderly close would wait for ever
        client = kind(writer)
        await asyncio.sleep(0)
        async with asyncio.timeout(5):
            assert not await stop_client(client, 0)
            await reader.read()
            await asyncio.wait({client.sender_task, client.sync_task})
        assert writer.transport.is_closing()
        assert client.sender_task.cancelled()
        assert client.sync_task.cancelled()
