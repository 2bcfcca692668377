"""The private listener of every process: `/livez`, `/readyz` and `/metrics`."""

from prometheus_client import CONTENT_TYPE_LATEST
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from service.runtime.health import Health
from service.runtime.metrics import Metrics


def ops_app(health: Health, metrics: Metrics) -> Starlette:
    """Make the ASGI app of the private listener."""

    async def livez(_request: Request) -> Response:
        ok, report = health.livez()
        return JSONResponse(report, 200 if ok else 503)

    async def readyz(_request: Request) -> Response:
        ok, report = health.readyz()
        return JSONResponse(report, 200 if ok else 503)

    async def prometheus(_request: Request) -> Response:
        return Response(metrics.text(), media_type=CONTENT_TYPE_LATEST)

    routes = [Route("/livez", livez), Route("/readyz", readyz), Route("/metrics", prometheus)]
    for route in routes:
        route.methods = {"GET"}  # Starlette would add HEAD
    app = Starlette(routes=routes)
    app.router.redirect_slashes = False
    return app
