"""The emulator as a process: one socket, one line of output, an end within a second."""

import asyncio
import contextlib
import gc
import signal
import socket
from collections.abc import Iterator, Mapping
from typing import Any

import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from deploy.stripe_emulator.app import TRANSPORT, Options, build

FULL = 2
"""The oldest generation of Python's collector: a collection of it walks everything."""


class _Protocol(HttpToolsProtocol):
    """Leaves the connection in the scope, so that a fault can cut it without an answer."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self.app_state = {**self.app_state, TRANSPORT: transport}


class _Server(uvicorn.Server):
    """Leaves the signals to `serve`: uvicorn would raise them again, and the status would not be 0."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


def run(options: Options) -> None:
    """Serve until SIGTERM or SIGINT, then return; `listening http://…` is printed once calls are accepted."""
    asyncio.run(serve(options))


async def serve(options: Options) -> None:
    """Serve until SIGTERM or SIGINT."""
    emulator = build(options)
    gc.callbacks.append(_settle)
    server = _Server(
        uvicorn.Config(
            emulator,
            http=_Protocol,
            ws="websockets-sansio",
            lifespan="on",
            log_config=None,
            access_log=False,
            server_header=False,
            timeout_graceful_shutdown=1,
        )
    )

    def stop() -> None:
        emulator.close()
        server.should_exit = True

    loop = asyncio.get_running_loop()
    for each in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(each, stop)
    with _listener(options) as listener:
        print(f"listening http://{options.host}:{listener.getsockname()[1]}", flush=True)
        await server.serve(sockets=[listener])


def _settle(phase: str, info: Mapping[str, Any]) -> None:
    """Take what has survived a full collection out of all later ones.

    What the emulator remembers has no cycles and stays, and each full collection would walk all of it: with
    100,000 customers that is a second in which no call is answered.
    """
    if phase == "stop" and info["generation"] == FULL:
        gc.freeze()


def _listener(options: Options) -> socket.socket:
    """Bind; asyncio turns Nagle's delay of 40 ms off only for sockets that say they are TCP."""
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind((options.host, options.port))
    listener.listen(2048)
    return listener
