"""`offshoot dead-letters`: look at the records that could not be read, and send them again."""

import asyncio
import json as json_format
import re
from collections.abc import Coroutine
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, Final, TypeVar

import typer

from consumers.topic.redrive import Filter, Letter, Plan, plan, read_letters
from deploy.cli.faults import DONE, FAILED, FAILED_USAGE, print_faults
from schemas import topics
from service.runtime.kafka.connection import client_options
from service.runtime.kafka.diagnosis import diagnose
from service.runtime.kafka.errors import KafkaUnavailableError
from service.runtime.kafka.publish import AckedPublisher
from service.runtime.kafka.span import read_span
from service.runtime.logging import configure
from service.runtime.settings import KafkaSettings, SettingsError, load

_CLIENT: Final = "offshoot-dead-letters"
_WITHIN_S: Final = 30.0
_CHUNK: Final = 500
_TOO_LARGE: Final = "its topic takes no record so large"
_AGO: Final = re.compile(r"(\d{1,6})([smhd])")
_UNITS: Final = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}
_T = TypeVar("_T")

dead_letters = typer.Typer(
    name="dead-letters", no_args_is_help=True, add_completion=False, rich_markup_mode=None
)


@dead_letters.callback()
def _dead_letters() -> None:
    """Look at the records that could not be read, and send them again.

    Example: offshoot dead-letters list --since 24h
    """


def _moment(text: str) -> datetime:
    """Read `2026-01-01T00:00:00Z`, or `2h`: so long ago."""
    if ago := _AGO.fullmatch(text):
        return datetime.now(UTC) - timedelta(**{_UNITS[ago[2]]: int(ago[1])})
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise typer.BadParameter(
            "give a time like 2026-01-01T00:00:00Z, or 30m, 2h, 7d for so long ago"
        ) from None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


_Topic = Annotated[str | None, typer.Option(help="Of this topic, such as stripe.events.")]
_Partition = Annotated[int | None, typer.Option(help="Of this partition of the original topic.")]
_Offset = Annotated[int | None, typer.Option(help="At this offset of the original partition.")]
_Type = Annotated[str | None, typer.Option("--type", help="Of this type, such as customer.updated.")]
_Class = Annotated[str | None, typer.Option(help="Given up because of this error.")]
_Since = Annotated[Any, typer.Option(parser=_moment, metavar="TIME", help="Given up since; a time, or 2h.")]
_Until = Annotated[Any, typer.Option(parser=_moment, metavar="TIME", help="Given up until then.")]
_Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]


@dead_letters.command("list")
def list_(
    *,
    topic: _Topic = None,
    partition: _Partition = None,
    offset: _Offset = None,
    type_: _Type = None,
    error_class: _Class = None,
    since: _Since = None,
    until: _Until = None,
    json: _Json = False,
) -> None:
    """Show the dead letters, in the order in which the records were in their topics.

    Example: offshoot dead-letters list --since 24h --error-class NotAStripeEventError
    """
    settings = _settings()
    wanted = Filter(
        topic=settings.topic(topic) if topic else None,
        partition=partition,
        offset=offset,
        type=type_,
        error_class=error_class,
        since=since,
        until=until,
    )
    letters = _run(settings, _read(settings, wanted))
    rows = [_as_dict(letter) for letter in letters]
    typer.echo(json_format.dumps(rows) if json else "\n".join(map(_as_line, rows)) or "no dead letters")


@dead_letters.command()
def redrive(
    *,
    topic: _Topic = None,
    partition: _Partition = None,
    offset: _Offset = None,
    type_: _Type = None,
    error_class: _Class = None,
    since: _Since = None,
    until: _Until = None,
    all_: Annotated[bool, typer.Option("--all", help="All there are; else name some.")] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say what would be done, and do nothing.")
    ] = False,
    json: _Json = False,
) -> None:
    """Put dead letters back at the end of their topics, as they were, the order of each key kept.

    They stay among the dead letters too, until those expire. To do it twice is harmless: a consumer knows a
    record that it has seen. Ends with 1 if some that were asked for cannot be put back.

    Example: offshoot dead-letters redrive --since 24h --dry-run
    """
    settings = _settings()
    wanted = Filter(
        topic=settings.topic(topic) if topic else None,
        partition=partition,
        offset=offset,
        type=type_,
        error_class=error_class,
        since=since,
        until=until,
    )
    if wanted == Filter() and not all_:
        typer.echo("say which: with --since, --type or another of the options, or --all", err=True)
        raise typer.Exit(FAILED_USAGE)
    found = _run(settings, _redrive(settings, wanted, dry_run=dry_run))
    stay = [{**_as_dict(letter), "why": why} for letter, why in found.stay]
    if json:
        done = {"redriven": len(found.back), "not_redriven": stay, "dry_run": dry_run}
        typer.echo(json_format.dumps(done))
    else:
        typer.echo(f"{'would redrive' if dry_run else 'redriven'}  {len(found.back)}")
        for row in stay:
            typer.echo(f"not redriven  {_as_line(row)}: {row['why']}")
    raise typer.Exit(FAILED if stay else DONE)


def _settings() -> KafkaSettings:
    try:
        settings = load(KafkaSettings)
        configure(settings.log_format, settings.log_level)
        client_options(settings)
    except SettingsError as error:
        print_faults(error)
        raise typer.Exit(FAILED_USAGE) from None
    return settings


def _run(settings: KafkaSettings, work: Coroutine[Any, Any, _T]) -> _T:
    try:
        return asyncio.run(work)
    except KafkaUnavailableError as error:
        why = error.why or asyncio.run(diagnose(client_options(settings)))
        typer.echo(f"Kafka cannot be used ({error}). {why}", err=True)
        raise typer.Exit(FAILED) from None


async def _read(settings: KafkaSettings, wanted: Filter) -> list[Letter]:
    topic = settings.topic(topics.DEAD_LETTERS.name)
    span = read_span(client_options(settings), topic, client_id=_CLIENT, within_s=_WITHIN_S)
    letters, strange = read_letters([record async for record in span], wanted)
    if strange:
        typer.echo(f"passed over {strange} records of {topic} that are no dead letters", err=True)
    return letters


async def _redrive(settings: KafkaSettings, wanted: Filter, *, dry_run: bool) -> Plan:
    own = {settings.topic(topic.name) for topic in topics.ALL if topic is not topics.DEAD_LETTERS}
    found = plan(await _read(settings, wanted), own)
    if dry_run:
        return found
    done = Plan([], found.stay)
    publisher = AckedPublisher(client_options(settings), client_id=_CLIENT)
    try:
        for start in range(0, len(found.back), _CHUNK):
            chunk = found.back[start : start + _CHUNK]
            refused = await publisher.publish([record for _, record in chunk], _WITHIN_S)
            done.back.extend(each for each in chunk if each[1] not in refused)
            done.stay.extend((letter, _TOO_LARGE) for letter, record in chunk if record in refused)
            typer.echo(f"{start + len(chunk)} of {len(found.back)}", err=True)
    finally:
        await publisher.close()
    return done


def _as_dict(letter: Letter) -> dict[str, Any]:
    record, said = letter.record, letter.said
    return {
        "original_topic": said.original_topic,
        "original_partition": said.original_partition,
        "original_offset": said.original_offset,
        "key": record.key.decode("utf-8", "replace") if record.key is not None else None,
        "type": letter.type,
        "bytes": len(record.value or b""),
        "error_class": said.error_class,
        "error_message": said.error_message,
        "consumer_group": said.consumer_group,
        "attempts": said.attempts,
        "failed_at": said.failed_at.isoformat().replace("+00:00", "Z"),
        "partition": record.partition,
        "offset": record.offset,
    }


def _as_line(row: dict[str, Any]) -> str:
    place = f"{row['original_topic']} {row['original_partition']}:{row['original_offset']}"
    return (
        f"{row['failed_at']}  {place}  {row['key'] or '-'}  {row['type'] or '-'}  "
        f"{row['error_class']}: {row['error_message']}"
    )
