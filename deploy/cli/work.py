"""`offshoot work`: ingest, clone, relay."""

from typing import Annotated

import typer

from consumers.app import Lane, run
from deploy.cli.faults import FAILED_USAGE, print_faults
from service.runtime.settings import SettingsError, WorkSettings, load


def work(
    *,
    only: Annotated[
        list[Lane] | None, typer.Option("--only", help="Do only this; may be given more than once.")
    ] = None,
) -> None:
    """Read the events, keep the clones, and tell the others, until SIGTERM or Ctrl-C.

    Example: OFFSHOOT_LIVEMODE=false OFFSHOOT_STRIPE_API_KEY=rk_test_…
    OFFSHOOT_DATABASE_URL=postgresql://… OFFSHOOT_KAFKA_BOOTSTRAP_SERVERS=127.0.0.1:9092 offshoot work
    """
    try:
        status = run(load(WorkSettings), only or list(Lane))
    except SettingsError as error:
        print_faults(error)
        status = FAILED_USAGE
    raise typer.Exit(status)
