"""Taking in commands: batches of `offshoot.commands` into Postgres. Stripe is never called here."""

from collections.abc import Callable, Sequence
from datetime import datetime

from consumers.store.commands import CommandStore
from consumers.topic.handler import Unreadable
from schemas.commands import Command, NamelessCommand, RefusedCommand, read_command
from service.runtime.kafka.consumer import Record
from service.runtime.logging import get_logger
from service.runtime.metrics import Metrics


class CommandIntake:
    """Handles the records of `offshoot.commands`."""

    def __init__(self, commands: CommandStore, metrics: Metrics, *, now: Callable[[], datetime]) -> None:
        self._commands = commands
        self._metrics = metrics
        self._now = now

    async def handle(self, records: Sequence[Record]) -> Sequence[Unreadable]:
        """Note the commands, and carry out those that need no call (see `Handler`)."""
        nameless: list[Unreadable] = []
        named: list[Command | RefusedCommand] = []
        for record in records:
            match read_command(record.headers, record.key, record.value or b"", self._now()):
                case NamelessCommand(why=why):
                    nameless.append(Unreadable(record, "NamelessCommand", why))
                case command:
                    named.append(command)
        new = await self._commands.receive(named)
        for command in named:
            known = command.type if isinstance(command, Command) else "refused"
            self._metrics.commands_received.labels(known).inc()
        get_logger().info(
            "commands.batch", records=len(records), commands=len(named), new=new, unreadable=len(nameless)
        )
        return nameless
