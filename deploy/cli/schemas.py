"""`offshoot schemas export`: write what other services build on."""

import json as json_format
from pathlib import Path
from typing import Annotated, Final

import typer

from deploy.cli.faults import DONE, DRIFT, FAILED
from schemas.contract.files import published_files
from schemas.contract.messages import MAJOR

_FOLDER: Final = Path("schemas", "published", f"v{MAJOR}")

schemas = typer.Typer(name="schemas", add_completion=False, rich_markup_mode=None, no_args_is_help=True)


@schemas.callback()
def _schemas() -> None:
    """Write the contract with other services: JSON Schemas, examples, one AsyncAPI document.

    Example: offshoot schemas export contract
    """


@schemas.command()
def export(
    folder: Annotated[Path, typer.Argument(help="Where to write; made where it is missing.")] = _FOLDER,
    *,
    check: Annotated[bool, typer.Option("--check", help="Write nothing, only compare.")] = False,
    json: Annotated[bool, typer.Option("--json", help="Print the files as a JSON object.")] = False,
) -> None:
    """Write a JSON Schema and examples of each message, and one AsyncAPI 3 document.

    With --check it ends with 3 where a file is missing, differs, or is not of this version.

    Example: offshoot schemas export contract
    """
    try:
        states = compare(folder) if check else write(folder)
    except OSError as error:
        typer.echo(f"{error.filename or folder}: {error.strerror}", err=True)
        raise typer.Exit(FAILED) from None
    if json:
        typer.echo(json_format.dumps(states))
    else:
        typer.echo("\n".join(f"{state:<9} {folder / name}" for name, state in states.items()))
    raise typer.Exit(DRIFT if check and set(states.values()) != {"same"} else DONE)


def write(folder: Path) -> dict[str, str]:
    """Write every file whose text is another; give each file's name and what became of it."""
    states = {name: state for name, state in compare(folder).items() if state != "unknown"}
    files = published_files()
    for name in [name for name, state in states.items() if state != "same"]:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(files[name])
        states[name] = "written"
    return states


def compare(folder: Path) -> dict[str, str]:
    """Say of each file whether it is `same`, `differs`, is `missing`, or `unknown` to this version."""
    files = published_files()
    there = {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*.json"))}
    states = {
        name: "missing" if name not in there else "same" if there[name] == text else "differs"
        for name, text in files.items()
    }
    return states | dict.fromkeys(there.keys() - files.keys(), "unknown")
