"""`offshoot serve`: the receiver. It loads neither Stripe's SDK nor a database driver."""

import typer

from deploy.cli.faults import FAILED_USAGE, print_faults
from service.app import run
from service.runtime.settings import ServeSettings, SettingsError, load


def serve() -> None:
    """Receive Stripe's webhooks and publish each to Kafka, until SIGTERM or Ctrl-C.

    Example: OFFSHOOT_LIVEMODE=false OFFSHOOT_WEBHOOK_SECRETS=main=whsec_…
    OFFSHOOT_KAFKA_BOOTSTRAP_SERVERS=127.0.0.1:9092 offshoot serve
    """
    try:
        status = run(load(ServeSettings))
    except SettingsError as error:
        print_faults(error)
        status = FAILED_USAGE
    raise typer.Exit(status)
