"""`offshoot clones`: what became of each clone, and having those tried again that wait for a person."""

from functools import partial
from typing import Annotated

import msgspec
import typer

from consumers.store.database import Database
from consumers.store.operator import CloneFilter, OperatorStore
from deploy.cli.faults import FAILED_USAGE
from deploy.cli.output import print_json, print_json_list, print_table, progress
from deploy.cli.store import with_store
from schemas.records import PaymentMethodRecord, Reason, State
from service.runtime.settings import ListClonesSettings, StoreSettings

clones = typer.Typer(name="clones", add_completion=False, rich_markup_mode=None, no_args_is_help=True)


@clones.callback()
def _clones() -> None:
    """List clones and why they are in their states; have failed ones tried again.

    Example: offshoot clones list --state failed
    """


@clones.command("list")
def list_(
    *,
    state: Annotated[
        list[State] | None,
        typer.Option(metavar="STATE", help=f"Only in this state, of {', '.join(State)}; may be repeated."),
    ] = None,
    reason: Annotated[Reason | None, typer.Option(metavar="REASON", help="Only for this reason.")] = None,
    account: Annotated[str | None, typer.Option(help="Only on this account.")] = None,
    customer: Annotated[str | None, typer.Option(help="Only of this platform customer.")] = None,
    payment_method: Annotated[str | None, typer.Option(help="Only of this platform method.")] = None,
    json: Annotated[bool, typer.Option("--json", help="Print a JSON list of records.")] = False,
) -> None:
    """List the clones. As JSON each is the record that others read, as it would be said now.

    Version 0 means that nothing was said of it yet. docs/operations.md says what to do about each reason.

    Example: offshoot clones list --state failed --account acct_1
    """
    which = CloneFilter(state or None, reason, customer, account, payment_method)

    async def ask(settings: ListClonesSettings, database: Database) -> None:
        found = OperatorStore(database).clones(which, livemode=settings.livemode)
        if json:
            await print_json_list(msgspec.to_builtins(record) async for record in found)
        else:
            _print([record async for record in found])

    with_store(ListClonesSettings, ask)


@clones.command()
def retry(
    *,
    account: Annotated[str | None, typer.Option(help="Only on this account.")] = None,
    payment_method: Annotated[str | None, typer.Option(help="Only of this platform method.")] = None,
    everything: Annotated[bool, typer.Option("--all", help="Wherever they are.")] = False,
    json: Annotated[bool, typer.Option("--json", help='Print {"taken_up": n}.')] = False,
) -> None:
    """Have clones tried again that failed, or that somebody on the account detached.

    The work is done by `offshoot work`; `clones list` shows what comes of it.

    Example: offshoot clones retry --account acct_1
    """
    if not (account or payment_method or everything):
        typer.echo("which? Say --account, --payment-method, or --all", err=True)
        raise typer.Exit(FAILED_USAGE)

    async def do(_: StoreSettings, database: Database) -> int:
        told = partial(progress, what="taken up")
        return await OperatorStore(database).retry(account, payment_method, told)

    taken = with_store(StoreSettings, do)
    if json:
        print_json({"taken_up": taken})
    else:
        typer.echo(
            f"taken up: {taken}" if taken else "there is nothing to take up: no such clone waits for it"
        )


def _print(found: list[PaymentMethodRecord]) -> None:
    print_table(
        ("ACCOUNT", "CUSTOMER", "METHOD", "STATE", "REASON", "CLONE", "DEFAULT", "GEN", "SINCE"),
        [
            (
                record.account,
                record.platform_customer,
                record.platform_payment_method,
                record.state,
                record.reason,
                record.connected_payment_method,
                "yes" if record.default else "no",
                str(record.generation),
                record.occurred_at,
            )
            for record in found
        ],
    )
