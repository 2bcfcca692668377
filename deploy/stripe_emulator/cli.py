"""What `stripe listen` of the official CLI talks to: a session, and a socket over which events come.

Source: STRIPE.md 8, seen by running the CLI 1.52.0. It forwards each payload byte for byte, with the headers
that come with it; the secret is one for all, and the same each time, as the CLI's own.
"""

import asyncio
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route, WebSocketRoute
from starlette.websockets import WebSocket, WebSocketDisconnect

from deploy.stripe_emulator import forms, ids
from deploy.stripe_emulator.engine import Engine
from deploy.stripe_emulator.errors import StripeError
from deploy.stripe_emulator.events.delivery import signature
from deploy.stripe_emulator.events.event import Event
from deploy.stripe_emulator.exchange import api_key
from deploy.stripe_emulator.texts import as_json

PREFIX = "/v1/stripecli/"
PROTOCOL = "stripecli-devproxy-v1"
SNAPSHOTS, THIN = "webhooks", "v2_events"
"""The features a session may ask for: which of the two ways of telling an event."""


@dataclass(frozen=True, slots=True)
class Session:
    """One `stripe listen`: which mode's events it gets, told in which ways."""

    livemode: bool
    features: frozenset[str]


class CliSessions:
    """The sessions of this emulator."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._secret = ids.webhook_secret()
        self._sessions: dict[str, Session] = {}

    def routes(self) -> list[BaseRoute]:
        """Give the handlers."""
        return [
            Route(f"{PREFIX}sessions", self._open, methods=["POST"]),
            WebSocketRoute(f"{PREFIX}socket", self._socket),
        ]

    async def _open(self, request: Request) -> Response:
        try:
            key = self._engine.keys.checked(api_key(request.headers))
        except StripeError as error:
            return JSONResponse({"error": error.error}, error.status)
        asked = forms.decode((await request.body()).decode()).get("websocket_features")
        features = frozenset(map(str, asked.values())) if isinstance(asked, dict) else frozenset({SNAPSHOTS})
        session_id = "cliws_" + ids.random_text(16)
        self._sessions[session_id] = Session(key.livemode, features)
        version = self._engine.worlds[key.livemode].api_version
        return JSONResponse(
            {
                "websocket_url": f"ws://{request.url.netloc}{PREFIX}socket",
                "websocket_id": session_id,
                "websocket_authorized_feature": SNAPSHOTS,
                "secret": self._secret,
                "reconnect_delay": 60,
                "default_version": version,
                "latest_version": version,
            }
        )

    async def _socket(self, socket: WebSocket) -> None:
        session = self._sessions.get(socket.headers.get("websocket-id", ""))
        if session is None:
            await socket.close(HTTPStatus.FORBIDDEN)
            return
        await socket.accept(PROTOCOL)
        with self._heard() as events:
            telling = asyncio.ensure_future(self._tell(socket, session, events))
            try:
                while True:
                    await socket.receive_text()  # what it acknowledges is of no use here
            except WebSocketDisconnect:
                return
            finally:
                telling.cancel()

    @contextmanager
    def _heard(self) -> Iterator[asyncio.Queue[Event]]:
        events: asyncio.Queue[Event] = asyncio.Queue()
        listeners = self._engine.deliveries.listeners
        listeners.append(events.put_nowait)
        try:
            yield events
        finally:
            listeners.remove(events.put_nowait)

    async def _tell(self, socket: WebSocket, session: Session, events: "asyncio.Queue[Event]") -> None:
        while True:
            event = await events.get()
            if event.livemode != session.livemode:
                continue
            if SNAPSHOTS in session.features and event.id is not None:
                await socket.send_json(self._snapshot(event))
            if THIN in session.features:
                await socket.send_json(self._thin(event))

    def _snapshot(self, event: Event) -> dict[str, Any]:
        payload = as_json(event.snapshot())
        return {
            "type": "webhook_event",
            "endpoint": {"api_version": None},
            "event_payload": payload.decode(),
            "http_headers": self._headers(payload),
            "webhook_id": "we_" + ids.random_text(24),
            "webhook_conversation_id": "wc_" + ids.random_text(24),
        }

    def _thin(self, event: Event) -> dict[str, Any]:
        payload = as_json(event.notification())
        return {
            "type": "v2_event",
            "payload": payload.decode(),
            "http_headers": self._headers(payload),
            "destination_id": ids.event_destination_id(livemode=event.livemode),
        }

    def _headers(self, payload: bytes) -> dict[str, str]:
        return {
            "Content-Type": "application/json; charset=utf-8",
            "User-Agent": "Stripe/1.0 (+https://stripe.com/docs/webhooks)",
            "Stripe-Signature": signature([self._secret], payload, int(time.time())),
        }
