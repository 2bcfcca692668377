"""The command line `offshoot`. A subcommand loads only what it needs: `serve` neither stripe nor asyncpg."""

import importlib
from typing import Any, Final

import typer
from typer.core import TyperGroup

COMMANDS: Final[dict[str, str]] = {
    "serve": "deploy.cli.serve",
    "work": "deploy.cli.work",
    "migrate": "deploy.cli.migrate",
    "topics": "deploy.cli.topics",
    "shares": "deploy.cli.shares",
    "clones": "deploy.cli.clones",
    "commands": "deploy.cli.commands",
    "brake": "deploy.cli.brake",
    "dead-letters": "deploy.cli.dead_letters",
    "schemas": "deploy.cli.schemas",
    "local": "deploy.cli.local",
}
"""Every subcommand and the module that holds it, as a function, or a `typer.Typer`, of the same name."""


class _LazyGroup(TyperGroup):
    def list_commands(self, ctx: Any) -> list[str]:
        del ctx
        return list(COMMANDS)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        del ctx
        module = COMMANDS.get(cmd_name)
        if module is None:
            return None
        found = getattr(importlib.import_module(module), cmd_name.replace("-", "_"))
        if not isinstance(found, typer.Typer):
            app = typer.Typer(add_completion=False, rich_markup_mode=None)
            app.command(cmd_name)(found)
            found = app
        command = typer.main.get_command(found)
        command.name = cmd_name
        return command


_app: Final = typer.Typer(
    cls=_LazyGroup,
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)


@_app.callback()
def _offshoot() -> None:
    """Keep a Stripe platform's saved payment methods usable on its connected accounts."""


def main() -> None:
    """Run the command line."""
    _app()
