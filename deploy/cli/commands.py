"""`offshoot commands`: for people, what other services do by records on `offshoot.commands`."""

import asyncio
import json as json_format
import uuid
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Annotated, Any, Final

import msgspec
import typer

from deploy.cli.faults import DONE, FAILED, FAILED_USAGE, print_faults
from schemas import topics
from schemas.commands import (
    ORDERS,
    REJECTED,
    Command,
    CommandName,
    CommandType,
    NamelessCommand,
    RefusedCommand,
    command_record,
    key_of,
    read_command,
    result_id,
)
from service.runtime.kafka.connection import client_options
from service.runtime.kafka.errors import KafkaUnavailableError
from service.runtime.kafka.publish import AckedPublisher, Outgoing
from service.runtime.kafka.tail import tail
from service.runtime.logging import configure
from service.runtime.settings import CommandsSettings, SettingsError, load

WITHIN_S: Final = 15.0
SOURCE: Final = "/offshoot/cli"
_CLIENT_ID: Final = "offshoot-commands"


class What(StrEnum):
    """What can be sent: the commands' types, without their common beginning."""

    GRANT = "share.grant"
    REVOKE = "share.revoke"
    ONCE = "clone.once"
    SAVE = "direct.save"

    @property
    def type(self) -> CommandType:
        """The command's `ce_type`."""
        return CommandType(f"offshoot.{self}")


commands = typer.Typer(name="commands", add_completion=False, no_args_is_help=True, rich_markup_mode=None)


@commands.callback()
def _commands() -> None:
    """Send commands, as other services do.

    Example: offshoot commands send share.grant --customer cus_P --account acct_1 --wait 30
    """


@commands.command()
def send(
    what: Annotated[What, typer.Argument(help="What to ask for.")],
    *,
    account: Annotated[str, typer.Option(help="The connected account, acct_….")],
    customer: Annotated[
        str | None, typer.Option(help="The customer: of the platform; for direct.save, of the account.")
    ] = None,
    payment_method: Annotated[
        list[str] | None, typer.Option(help="The method; with share.grant and share.revoke, only these.")
    ] = None,
    connected_customer: Annotated[
        str | None, typer.Option(help="With share.grant: a customer of the account to be adopted.")
    ] = None,
    consume: Annotated[
        bool, typer.Option("--consume", help="With clone.once: use up an original without a customer.")
    ] = False,
    token: Annotated[str | None, typer.Option(help="With direct.save: a card's token, tok_….")] = None,
    mandate_data: Annotated[
        str | None, typer.Option(help="With direct.save: a JSON object, as Stripe's SetupIntent takes it.")
    ] = None,
    name: Annotated[
        str | None, typer.Option("--id", help="The command's id; the same again gets the same result.")
    ] = None,
    expires_in: Annotated[
        float | None, typer.Option(min=0, help="Seconds after which it is not begun any more.")
    ] = None,
    wait: Annotated[float, typer.Option(min=0, help="Seconds to wait for the result; 0: not at all.")] = 0,
    json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Send a command, and with --wait tell what became of it.

    Ends with 1 where it was rejected, or no result came in time, and with 2 where it is not a command.

    Example: offshoot commands send share.grant --customer cus_P --account acct_1 --wait 30
    """
    try:
        settings = load(CommandsSettings)
    except SettingsError as error:
        print_faults(error)
        raise typer.Exit(FAILED_USAGE) from None
    methods = tuple(payment_method or ())
    fields: dict[str, Any] = {"account": account, "customer": customer, "token": token}
    fields |= {"connected_customer": connected_customer, "consume": consume or None}
    fields |= _methods(what, methods)
    now = datetime.now(UTC)
    expires_at = now + timedelta(seconds=expires_in) if expires_in is not None else None
    try:
        fields["mandate_data"] = json_format.loads(mandate_data) if mandate_data is not None else None
        value = {name: said for name, said in fields.items() if said is not None}
        command = _command(what, value, name or str(uuid.uuid4()), now, expires_at)
    except ValueError as error:
        typer.echo(f"not a command: {error}", err=True)
        raise typer.Exit(FAILED_USAGE) from None
    configure(settings.log_format, settings.log_level)
    try:
        told = asyncio.run(_send(settings, command, now, wait))
    except KafkaUnavailableError as error:
        typer.echo(
            f"Kafka cannot be used ({error}): see that it runs and `offshoot topics` was run", err=True
        )
        raise typer.Exit(FAILED) from None
    raise typer.Exit(_report(command, told, waited=wait > 0, as_json=json))


def _methods(what: What, methods: tuple[str, ...]) -> dict[str, Any]:
    if what in (What.GRANT, What.REVOKE):
        return {"payment_methods": methods or None}
    if len(methods) > 1:
        raise typer.BadParameter(f"{what} takes one method", param_hint="--payment-method")
    return {"payment_method": methods[0] if methods else None}


def _command(
    what: What, value: dict[str, Any], name: str, now: datetime, expires_at: datetime | None
) -> Command:
    """Read it as Offshoot will, so that what is wrong is told before it is sent."""
    order = msgspec.convert(value, ORDERS[what.type])
    headers, raw = command_record(
        CommandName(SOURCE, name, key_of(order)), order, now=now, expires_at=expires_at
    )
    match read_command(headers, key_of(order).encode(), raw, now):
        case Command() as command:
            return command
        case RefusedCommand(rejected=rejected):
            raise ValueError(rejected.message)
        case NamelessCommand(why=why):
            raise ValueError(why)


async def _send(
    settings: CommandsSettings, command: Command, now: datetime, wait_s: float
) -> dict[str, Any] | None:
    options = client_options(settings)
    headers, value = command_record(command.name, command.order, now=now, expires_at=command.expires_at)
    publisher = AckedPublisher(options, client_id=_CLIENT_ID)
    try:
        record = Outgoing(settings.topic(topics.COMMANDS.name), command.name.key.encode(), value, headers)
        await publisher.publish([record], WITHIN_S)
    finally:
        await publisher.close()
    return await _result(settings, options, command.name, wait_s) if wait_s > 0 else None


async def _result(
    settings: CommandsSettings, options: dict[str, Any], name: CommandName, wait_s: float
) -> dict[str, Any] | None:
    """Wait for the result, which may be there already: that of the first command of this name."""
    topic = settings.topic(topics.COMMAND_RESULTS.name)
    try:
        async with (
            asyncio.timeout(wait_s),
            tail(options, topic, within_s=WITHIN_S, client_id=_CLIENT_ID) as records,
        ):
            async for record in records:
                headers = dict(record.headers)
                if headers.get("ce_id") == result_id(name).encode():
                    state = "rejected" if headers.get("ce_type") == REJECTED.encode() else "completed"
                    return {"state": state, **json_format.loads(record.value or b"{}")}
    except TimeoutError:
        pass
    return None


def _report(command: Command, told: dict[str, Any] | None, *, waited: bool, as_json: bool) -> int:
    state = told["state"] if told is not None else "sent"
    if as_json:
        named = {"id": command.name.id, "source": command.name.source, "key": command.name.key}
        typer.echo(json_format.dumps({**named, "state": state, **(told or {})}))
    else:
        words = [
            f"{name}={json_format.dumps(said)}" for name, said in (told or {}).items() if name != "state"
        ]
        typer.echo(" ".join([f"{state:<9} {command.name.id}", *words]))
    if waited and told is None:
        typer.echo("no result in time: it may come yet, see offshoot.command-results", err=True)
        return FAILED
    return FAILED if state == "rejected" else DONE
