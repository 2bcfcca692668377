"""An HTTP listener inside our own event loop: uvicorn's server without its handling of signals."""

import asyncio
import contextlib
import socket
from collections.abc import Iterator
from typing import Any

import uvicorn

from service.runtime.logging import get_logger

_KEEP_ALIVE_S = 75  # longer than what load balancers keep, so that they close first
_BACKLOG = 2048
_CLOSING_S = 0.5


class ListenError(OSError):
    """The address cannot be listened on; the message names it."""


class _Server(uvicorn.Server):
    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.listening = asyncio.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.listening.set()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        # uvicorn raises a captured signal again after its end, and the process would die of that signal.
        yield


class HttpListener:
    """One listening socket and the ASGI app behind it."""

    def __init__(
        self, name: str, app: Any, host: str, port: int, *, protocol: type[asyncio.Protocol] | None = None
    ) -> None:
        self._name = name
        self._host = host
        self._asked_port = port
        self._config = uvicorn.Config(
            app,
            http=protocol or "httptools",
            ws="none",
            lifespan="off",
            log_config=None,
            access_log=False,
            server_header=False,
            proxy_headers=False,
            timeout_keep_alive=_KEEP_ALIVE_S,
        )
        self._server = _Server(self._config)
        self._socket: socket.socket | None = None
        self._task: asyncio.Task[None] | None = None

    @property
    def port(self) -> int:
        """The real port; where 0 was asked for, the one that the system chose."""
        if self._socket is None:
            raise RuntimeError("the listener has not been started")
        port: int = self._socket.getsockname()[1]
        return port

    async def start(self) -> None:
        """Listen.

        Raises:
            ListenError: the address is taken, or is none of this machine.

        """
        self._socket = self._bind()
        self._task = asyncio.create_task(self._server.serve([self._socket]), name=f"http:{self._name}")
        await self._server.listening.wait()
        get_logger().info("http.listening", listener=self._name, host=self._host, port=self.port)

    async def stop(self, within_s: float) -> None:
        """Take no more connections, let requests finish for so long, and close what is left."""
        if self._task is None:
            return
        # uvicorn only hands it to asyncio.wait_for, which takes fractions
        self._config.timeout_graceful_shutdown = within_s  # type: ignore[assignment]
        self._server.should_exit = True
        done, _ = await asyncio.wait({self._task}, timeout=within_s + _CLOSING_S)
        if not done:
            self._task.cancel()
        if self._socket is not None:
            self._socket.close()

    def cut(self) -> None:
        """Close the connections that are left, once what is written to them is sent."""
        for connection in list(self._server.server_state.connections):
            if connection.transport is not None:
                connection.transport.close()

    def _bind(self) -> socket.socket:
        family = socket.AF_INET6 if ":" in self._host else socket.AF_INET
        # asyncio sets TCP_NODELAY only where the protocol is named; without it keep-alive answers wait 40 ms.
        listening = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
        try:
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listening.bind((self._host, self._asked_port))
            listening.listen(_BACKLOG)
            listening.setblocking(False)  # noqa: FBT003 - the socket's own signature
        except OSError as error:
            listening.close()
            raise ListenError(
                error.errno, f"cannot listen on {self._host}:{self._asked_port}: {error.strerror}"
            ) from None
        return listening
