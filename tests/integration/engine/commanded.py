"""The playground with other services in it, that send commands and read their results."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Any

from consumers.commands.intake import CommandIntake
from consumers.commands.tools import CommandTools, Ending
from consumers.commands.worker import CommandWorker
from consumers.store.database import Database
from consumers.store.grants import Grants
from consumers.store.outbox import Outbox
from deploy.stripe_emulator.app import Options, build
from deploy.stripe_emulator.clock import Clock
from schemas.cloudevents import Headers
from schemas.commands import CommandName, Order, command_record, key_of
from service.runtime.kafka.consumer import Record
from service.runtime.metrics import Metrics
from tests.integration.engine.boundaries import SteppedCommands
from tests.integration.engine.clock import VirtualClock
from tests.integration.engine.playground import POLICY, Playground
from tests.integration.engine.stripe_here import Here
from tests.integration.store.world import LEASE_S, World
from tests.support.platform import Platform

COMMANDS_AT_MOST = 100


@asynccontextmanager
async def commanded(
    world: World, pool: Database, *, kind: "type[Commanded] | None" = None, **choices: Any
) -> AsyncIterator["Commanded"]:
    """Make one, of a kind; `choices` as a playground's."""
    clock = VirtualClock(world.sql)
    await clock.reset()
    emulator = build(Options(clock=Clock(clock.seconds)))
    async with Platform("http://127.0.0.1", Here(emulator)) as platform:
        play = (kind or Commanded)(world, pool, platform, emulator=emulator, clock=clock, choices=choices)
        await play.prepare()
        yield play


class Commanded(Playground):
    """What happens at Stripe and what is commanded, and what the engine makes of both."""

    def __init__(self, world: World, pool: Database, *args: Any, **kwargs: Any) -> None:
        super().__init__(world, pool, *args, **kwargs)
        self.commands = SteppedCommands(
            pool, Outbox(pool), self.projections, Grants(world.direct), lease_s=LEASE_S
        )
        self.intake = CommandIntake(self.commands, Metrics(), now=self.now)
        self.observe = False
        self._sent = 0

    async def send(
        self,
        order: Order,
        name: str | None = None,
        *,
        expires_at: datetime | None = None,
    ) -> str:
        """Let a service send a command; return its id."""
        self._sent += 1
        record = self.record_of(order, name or f"command-{self._sent}", expires_at=expires_at)
        await self.intake.handle([record])
        return name or f"command-{self._sent}"

    def record_of(self, order: Order, name: str, *, expires_at: datetime | None = None) -> Record:
        """The record that such a command is in the topic."""
        command = CommandName("/shop", name, key_of(order))
        headers, value = command_record(command, order, now=self.now(), expires_at=expires_at)
        return Record("offshoot.commands", 0, 0, command.key.encode(), value, headers, self.now())

    async def work(self) -> int:
        """Work on every due command and share once."""
        return await self.work_on_commands() + await super().work()

    async def work_on_commands(self) -> int:
        """Work on every due command once; return how many there were."""
        leases = await self.commands.claim(COMMANDS_AT_MOST)
        for lease in leases:
            ending = await CommandWorker(self.command_tools, lease).run()
            assert ending is not Ending.LEASE_LOST
        return len(leases)

    @property
    def command_tools(self) -> CommandTools:
        return CommandTools(
            commands=self.commands,
            projections=self.projections,
            calls=self.tools.calls,
            retry_for=POLICY.retry_for,
            observe=self.observe,
            installation=self.tools.installation,
            now=self.now,
            stopping=lambda: False,
        )

    async def results(self) -> list[tuple[dict[str, str], dict[str, Any]]]:
        """Every result, in order: headers and value."""
        rows = await self.world.sql.fetch(
            "SELECT headers, value FROM offshoot.outbox WHERE topic = 'offshoot.command-results' ORDER BY id"
        )
        return [(dict(json.loads(row["headers"])), json.loads(row["value"])) for row in rows]

    async def result(self, name: str) -> dict[str, Any]:
        """The one result of a command: its value, and how it ended."""
        (found,) = [
            {"ended": headers["ce_type"].rpartition(".")[2], **value}
            for headers, value in await self.results()
            if headers["ce_commandid"] == name
        ]
        return found

    async def done(self, order: Order, name: str | None = None) -> dict[str, Any]:
        """Send a command and let everything come to rest; return its result."""
        name = await self.send(order, name)
        await self.settle()
        return await self.result(name)

    async def fault(self, account: str, route: str, *, count: int = 1, **action: Any) -> None:
        """Let the next POSTs of this kind go wrong."""
        rule = {"method": "POST", "route": route, "account": account, "count": count, "action": action}
        await self.stripe.control("POST", "faults", rule)

    def dead(self, headers: Headers, value: bytes) -> Record:
        """A record of the commands' topic, as somebody wrote it."""
        return Record("offshoot.commands", 0, 0, b"k", value, headers, self.now())
