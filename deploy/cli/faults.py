"""Exit codes, and how settings that are wrong are told."""

from typing import Final

import typer

from service.runtime.settings import SettingsError

DONE: Final = 0
FAILED: Final = 1
FAILED_USAGE: Final = 2
DRIFT: Final = 3


def print_faults(error: SettingsError) -> None:
    """Print every fault on a line of its own."""
    for fault in error.faults:
        typer.echo(fault, err=True)
