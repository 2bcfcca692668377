"""The shop: two pages, and the two things that their scripts ask of the server.

uvicorn --factory deploy.examples.checkout.app:from_environment
"""

import html
import os
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from string import Template

import stripe
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

from deploy.examples.checkout.payments import PRICE, Buyer, Shop
from deploy.examples.checkout.settings import Settings

_HERE = Path(__file__).parent
_MOST_TEXT = 200


def from_environment() -> Starlette:
    """Make the shop that the environment describes."""
    return build(Settings.from_environment(os.environ))


def build(settings: Settings) -> Starlette:
    """Make the shop."""
    http = stripe.HTTPXClient()
    client = stripe.StripeClient(
        settings.secret_key,
        base_addresses={"api": settings.api_base},
        http_client=http,
        max_network_retries=2,
    )
    pages = _Pages(settings, Shop(client, settings.connected_account))

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        yield
        await http.close_async()  # type: ignore[no-untyped-call]

    return Starlette(
        routes=[
            Route("/", pages.pay),
            Route("/save", pages.save),
            Route("/payments", pages.open_payment, methods=["POST"]),
            Route("/methods", pages.save_method, methods=["POST"]),
            Mount("/static", StaticFiles(directory=_HERE / "static")),
            Mount("/stand-in", StaticFiles(directory=_HERE / "stand_in")),
        ],
        exception_handlers={stripe.CardError: _declined, _BadRequestError: _refused},
        lifespan=lifespan,
    )


class _BadRequestError(Exception):
    """The page sent what it does not send."""


class _Pages:
    def __init__(self, settings: Settings, shop: Shop) -> None:
        self._settings = settings
        self._shop = shop

    async def pay(self, _: Request) -> Response:
        """Show way A: pay, and have the card saved."""
        price = f"{PRICE['amount'] / 100:.2f} {PRICE['currency'].upper()}"
        return self._page("pay.html", price=price, order=uuid.uuid4().hex)

    async def save(self, _: Request) -> Response:
        """Show way B: have a card saved, and pay nothing."""
        return self._page("save.html")

    async def open_payment(self, request: Request) -> Response:
        """Open a payment of an order; the page confirms it with the secret that it is given."""
        order, buyer = await _said(request, "order")
        intent = await self._shop.open_payment(order, buyer)
        return JSONResponse({"client_secret": intent.client_secret})

    async def save_method(self, request: Request) -> Response:
        """Save a payment method that the page made on the connected account."""
        payment_method, buyer = await _said(request, "payment_method")
        customer = await self._shop.save(buyer, payment_method)
        return JSONResponse({"customer": customer.id})

    def _page(self, name: str, **values: str) -> Response:
        settings = self._settings
        values |= {
            "stripe_js": settings.stripe_js,
            "publishable_key": settings.publishable_key,
            "connected_account": settings.connected_account,
        }
        page = Template((_HERE / "pages" / name).read_text(encoding="utf-8"))
        text = page.substitute({key: html.escape(value) for key, value in values.items()})
        return HTMLResponse(text, headers={"Content-Security-Policy": settings.content_security_policy})


async def _said(request: Request, name: str) -> tuple[str, Buyer]:
    """Read what a page sent: the buyer, and one thing more."""
    try:
        said = await request.json()
        texts = [said[each] for each in (name, "name", "email")]
    except (ValueError, KeyError, TypeError) as error:
        raise _BadRequestError from error
    if not all(isinstance(text, str) and 0 < len(text) <= _MOST_TEXT for text in texts):
        raise _BadRequestError
    return texts[0], Buyer(texts[1], texts[2])


async def _declined(_: Request, error: Exception) -> Response:
    """Tell the buyer why: a decline's message is written for them (docs.stripe.com/error-handling)."""
    said = error.user_message if isinstance(error, stripe.CardError) else None
    return JSONResponse({"error": said or "The card was declined."}, status_code=402)


async def _refused(_: Request, __: Exception) -> Response:
    return JSONResponse({"error": "This is not what the page sends."}, status_code=400)
