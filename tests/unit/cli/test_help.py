"""Every command, and every group of commands, has an example in its help."""

import importlib
from collections.abc import Iterator
from typing import Any

import pytest
import typer

from deploy.cli import COMMANDS


def _all() -> Iterator[Any]:
    for name, module in COMMANDS.items():
        found = getattr(importlib.import_module(module), name.replace("-", "_"))
        if isinstance(found, typer.Typer):
            group = typer.main.get_command(found)
            yield pytest.param(group.help, id=name)
            for each in getattr(group, "commands", {}).values():
                yield pytest.param(each.help, id=f"{name} {each.name}")
        else:
            yield pytest.param(found.__doc__, id=name)


@pytest.mark.parametrize("text", list(_all()))
def test_there_is_an_example(text: str | None) -> None:
    assert "Example" in (text or "")
