"""`offshoot shares`: who is shared with which account, by whom, and whether something is due."""

import re
from collections.abc import Callable
from typing import Annotated, Any, Final

import typer

from consumers.store.database import Database
from consumers.store.operator import CustomerDeletedError, ListedShare, OperatorStore, ShareFilter
from deploy.cli.faults import FAILED
from deploy.cli.output import moment, print_json, print_json_list, print_table
from deploy.cli.store import with_store
from service.runtime.settings import StoreSettings

shares = typer.Typer(name="shares", add_completion=False, rich_markup_mode=None, no_args_is_help=True)


def _id(prefix: str) -> Callable[[str | None], str | None]:
    pattern: Final = re.compile(rf"{prefix}_[A-Za-z0-9_]{{1,250}}")

    def check(value: str | None) -> str | None:
        if value is not None and not pattern.fullmatch(value):
            raise typer.BadParameter(f"is not of the form {prefix}_…")
        return value

    return check


_Customer = Annotated[str, typer.Argument(help="The platform's customer, cus_…", callback=_id("cus"))]
_Account = Annotated[str, typer.Argument(help="The connected account, acct_…", callback=_id("acct"))]
_Json = Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")]


@shares.callback()
def _shares() -> None:
    """List what is shared with which account; share a customer with one, or no more.

    Example: offshoot shares list --account acct_1
    """


@shares.command("list")
def list_(
    *,
    customer: Annotated[str | None, typer.Option(help="Only of this customer.", callback=_id("cus"))] = None,
    account: Annotated[str | None, typer.Option(help="Only with this account.", callback=_id("acct"))] = None,
    wanted: Annotated[
        bool | None, typer.Option("--wanted/--unwanted", help="Only what is granted, or no more.")
    ] = None,
    failing: Annotated[
        bool | None, typer.Option("--failing/--well", help="Only where the last try failed, or not.")
    ] = None,
    json: _Json = False,
) -> None:
    """List the shares: each a platform customer on a connected account.

    GRANTED BY says what wants it: the customer's metadata, all (`*` or SHARE_WITH=all), a command.
    DUE is when it is looked at next; ATTEMPTS counts the failures in a row.

    Example: offshoot shares list --customer cus_1 --json
    """
    which = ShareFilter(customer, account, wanted, failing)

    async def ask(_: StoreSettings, database: Database) -> None:
        found = OperatorStore(database).shares(which)
        if json:
            await print_json_list(_as_json(share) async for share in found)
        else:
            _print([share async for share in found])

    with_store(StoreSettings, ask)


@shares.command()
def grant(customer: _Customer, account: _Account, *, json: _Json = False) -> None:
    """Share a customer with an account, whatever its metadata says.

    Clones that somebody detached on the account are made again. The work is done by `offshoot work`.

    Example: offshoot shares grant cus_1 acct_1
    """

    async def do(_: StoreSettings, database: Database) -> ListedShare | None:
        try:
            return await OperatorStore(database).grant(customer, account)
        except CustomerDeletedError:
            return None

    granted = with_store(StoreSettings, do)
    if granted is None:
        typer.echo(f"{customer} was deleted on the platform: there is nothing to share", err=True)
        raise typer.Exit(FAILED)
    _print_one(granted, json=json)


@shares.command()
def revoke(customer: _Customer, account: _Account, *, json: _Json = False) -> None:
    """Take back what a command granted; the clones are then detached or kept, as ON_DETACH says.

    What the customer's metadata grants stays: WANTED says so.

    Example: offshoot shares revoke cus_1 acct_1
    """

    async def do(_: StoreSettings, database: Database) -> ListedShare | None:
        return await OperatorStore(database).revoke(customer, account)

    share = with_store(StoreSettings, do)
    if share is None:
        typer.echo(f"{customer} was never shared with {account}", err=True)
        raise typer.Exit(FAILED)
    _print_one(share, json=json)
    if share.wanted and not json:
        typer.echo(f"it is still granted by {' and '.join(share.granted_by)}", err=True)


def _print_one(share: ListedShare, *, json: bool) -> None:
    if json:
        print_json(_as_json(share))
    else:
        _print([share])


def _print(found: list[ListedShare]) -> None:
    print_table(
        ("CUSTOMER", "ACCOUNT", "WANTED", "GRANTED BY", "DUE", "ATTEMPTS"),
        [
            (
                share.customer,
                share.account,
                "yes" if share.wanted else "no",
                ", ".join(share.granted_by) or None,
                moment(share.due_at),
                str(share.attempts),
            )
            for share in found
        ],
    )


def _as_json(share: ListedShare) -> dict[str, Any]:
    return {
        "customer": share.customer,
        "account": share.account,
        "wanted": share.wanted,
        "granted_by": list(share.granted_by),
        "due_at": moment(share.due_at),
        "attempts": share.attempts,
    }
