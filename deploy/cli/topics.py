"""`offshoot topics`: create the topics that are missing, and report where the others differ."""

import asyncio
import dataclasses
import json as json_format
from typing import Annotated

import typer

from deploy.cli.faults import DONE, DRIFT, FAILED, FAILED_USAGE, print_faults
from service.runtime.kafka.errors import KafkaUnavailableError
from service.runtime.kafka.topics import TopicReport, TopicState, ensure_topics
from service.runtime.logging import configure
from service.runtime.settings import SettingsError, TopicsSettings, load


def topics(
    *,
    check: Annotated[bool, typer.Option("--check", help="Create nothing, only compare.")] = False,
    json: Annotated[bool, typer.Option("--json", help="Print the topics as a JSON list.")] = False,
) -> None:
    """Create the topics that are missing. One that exists is compared, and never changed.

    Ends with 3 where a topic differs, or with --check is missing.

    Example: OFFSHOOT_KAFKA_BOOTSTRAP_SERVERS=127.0.0.1:9092 offshoot topics --check
    """
    try:
        settings = load(TopicsSettings)
        configure(settings.log_format, settings.log_level)
        reports = asyncio.run(ensure_topics(settings, create=not check))
    except SettingsError as error:
        print_faults(error)
        raise typer.Exit(FAILED_USAGE) from None
    except KafkaUnavailableError as error:
        typer.echo(f"Kafka cannot be asked ({error}). {error.why}", err=True)
        raise typer.Exit(FAILED) from None
    typer.echo(_as_json(reports) if json else _as_lines(reports))
    raise typer.Exit(_status(reports))


def _as_json(reports: list[TopicReport]) -> str:
    return json_format.dumps([dataclasses.asdict(report) for report in reports])


def _as_lines(reports: list[TopicReport]) -> str:
    lines = []
    for report in reports:
        lines.append(f"{report.state:<8} {report.name}")
        lines.extend(f"         {detail}" for detail in report.details)
    return "\n".join(lines)


def _status(reports: list[TopicReport]) -> int:
    states = {report.state for report in reports}
    if TopicState.FAILED in states:
        return FAILED
    return DRIFT if states & {TopicState.MISSING, TopicState.DRIFT} else DONE
