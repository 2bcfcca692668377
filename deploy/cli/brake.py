"""`offshoot brake`: let detaching go on after it was stopped."""

from functools import partial
from typing import Annotated

import typer

from consumers.store.database import Database
from consumers.store.operator import OperatorStore, Released
from deploy.cli.output import moment, print_json, progress
from deploy.cli.store import with_store
from service.runtime.settings import StoreSettings

brake = typer.Typer(name="brake", add_completion=False, rich_markup_mode=None, no_args_is_help=True)


@brake.callback()
def _brake() -> None:
    """Detaching stops where more is detached in an hour than DETACH_BRAKE says.

    Example: offshoot brake release
    """


@brake.command()
def release(
    *,
    json: Annotated[bool, typer.Option("--json", help='Print {"engaged_at": …, "shares": n}.')] = False,
) -> None:
    """Let detaching go on; what was held back is due at once. First see that so much should be detached.

    Example: offshoot brake release
    """

    async def do(_: StoreSettings, database: Database) -> Released:
        return await OperatorStore(database).release_brake(partial(progress, what="shares due"))

    released = with_store(StoreSettings, do)
    engaged_at = moment(released.engaged_at)
    if json:
        print_json({"engaged_at": engaged_at, "shares": released.shares})
    elif engaged_at is None:
        typer.echo("the brake was not engaged")
    else:
        typer.echo(f"released; it was engaged since {engaged_at}, and held back {released.shares} shares")
