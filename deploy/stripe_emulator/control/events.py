"""Events: their faults, their deliveries, and the destinations' secrets."""

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from deploy.stripe_emulator import ids
from deploy.stripe_emulator.control.request import Routes, body_of, world_of
from deploy.stripe_emulator.engine import Engine
from deploy.stripe_emulator.events import faults
from deploy.stripe_emulator.events.destination import Destination
from deploy.stripe_emulator.events.event import HEALTH, Event, timestamp
from deploy.stripe_emulator.model import World

LONGEST_OVERLAP_S = 24 * 3600


def routes(engine: Engine) -> Routes:
    """Give the handlers."""
    side = _Events(engine)
    return (
        ("POST", "/event_faults", side.add_fault),
        ("GET", "/event_faults", side.list_faults),
        ("DELETE", "/event_faults", side.remove_faults),
        ("DELETE", "/event_faults/{fault}", side.remove_fault),
        ("GET", "/lost_events", side.lost),
        ("POST", "/lost_events/resolve", side.resolve),
        ("GET", "/deliveries", side.deliveries),
        ("POST", "/notifications", side.set_notifications),
        ("POST", "/events/{event}/resend", side.resend),
        ("POST", "/destinations/{destination}/roll_secret", side.roll_secret),
    )


class _Events:
    """The handlers, in the order of the routes above."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    async def add_fault(self, request: Request) -> Response:
        rule = faults.parse(await body_of(request))
        self._engine.event_faults.add(rule)
        return JSONResponse({"id": rule.id})

    async def list_faults(self, _: Request) -> Response:
        return JSONResponse({"faults": [rule.shown() for rule in self._engine.event_faults.rules.values()]})

    async def remove_faults(self, _: Request) -> Response:
        return self._removed(None)

    async def remove_fault(self, request: Request) -> Response:
        return self._removed(request.path_params["fault"])

    async def lost(self, request: Request) -> Response:
        """Give what was not generated and not told of yet."""
        return JSONResponse({"lost": world_of(self._engine, request).lost})

    async def resolve(self, request: Request) -> Response:
        """Tell of each event that was not generated, as Stripe does some time later."""
        world = world_of(self._engine, request)
        told = [_resolved(world, impact) for impact in world.lost]
        world.lost.clear()
        self._engine.pass_time()
        return JSONResponse({"events": [event.fetched() for event in told]})

    async def deliveries(self, _: Request) -> Response:
        return JSONResponse({"deliveries": self._engine.deliveries.shown()})

    async def set_notifications(self, request: Request) -> Response:
        """Say whether thin events are pushed with `{"snapshot_event": true}`: both have to be borne."""
        self._engine.deliveries.names_twins = bool((await body_of(request))["snapshot_event"])
        return JSONResponse({"snapshot_event": self._engine.deliveries.names_twins})

    async def resend(self, request: Request) -> Response:
        """Send an event once more to `{"destination"}`, whatever became of it before."""
        event = self._event(request.path_params["event"])
        destination = self._destination(str((await body_of(request))["destination"]))
        self._engine.deliveries.send_to(event, destination)
        return JSONResponse({})

    async def roll_secret(self, request: Request) -> Response:
        """Give a destination a new secret; for `{"overlap_s"}` seconds the old one signs as well."""
        destination = self._destination(request.path_params["destination"])
        overlap_s = float((await body_of(request)).get("overlap_s", 0))
        if not 0 <= overlap_s <= LONGEST_OVERLAP_S:
            raise ValueError(f"two secrets sign for {LONGEST_OVERLAP_S} s at most")
        now_s = self._engine.clock.now_s()
        destination.secrets.roll(ids.webhook_secret(), old_until_s=now_s + overlap_s)
        return JSONResponse({"secret": destination.secrets.current})

    def _removed(self, rule_id: str | None) -> Response:
        for rule in self._engine.event_faults.remove(rule_id):
            self._engine.deliveries.release(rule)
        return JSONResponse({})

    def _event(self, event_id: str) -> Event:
        for world in self._engine.worlds.values():
            for account in (world.platform, *world.connected.values()):
                found = account.events.get(event_id) or account.thin_events.get(event_id)
                if found is not None:
                    return found
        raise KeyError(event_id)

    def _destination(self, destination_id: str) -> Destination:
        return self._engine.destinations.by_id[destination_id]


def _resolved(world: World, impact: dict[str, object]) -> Event:
    """Tell of an event that could not be generated ([doc] events/manage-webhook-endpoints)."""
    data = {
        "alert_id": "halert_" + ids.random_text(32),
        "grouping_key": "_grouping_" + ids.random_text(32),
        "impact": impact,
        "resolved_at": timestamp(world.now_ms()),
        "summary": "We have failed to create a notification for your Stripe account.",
    }
    return world.announce(HEALTH, None, data)
