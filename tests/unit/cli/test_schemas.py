"""`offshoot schemas export`: what it writes, what it finds different, and how it ends."""

import json
from pathlib import Path
from typing import Any

from typer.testing import CliRunner

from deploy.cli.schemas import schemas
from schemas.contract.files import published_files


def _run(*arguments: object) -> tuple[int, Any]:
    done = CliRunner().invoke(schemas, ["export", *map(str, arguments)])
    return done.exit_code, json.loads(done.stdout) if "--json" in arguments else done.output


def test_it_writes_once_and_then_finds_the_same(tmp_path: Path) -> None:
    folder = tmp_path / "contract"
    names = sorted(published_files())

    assert _run(folder, "--check", "--json") == (3, dict.fromkeys(names, "missing"))
    assert not folder.exists()
    assert _run(folder, "--json") == (0, dict.fromkeys(names, "written"))
    assert _run(folder, "--json") == _run(folder, "--check", "--json") == (0, dict.fromkeys(names, "same"))


def test_check_names_what_differs_and_changes_nothing(tmp_path: Path) -> None:
    _run(tmp_path)
    changed, stranger = tmp_path / "asyncapi.json", tmp_path / "older.json"
    for path in (changed, stranger):
        path.write_text("{}", encoding="utf-8")

    status, states = _run(tmp_path, "--check", "--json")

    assert status == 3
    assert {name: state for name, state in states.items() if state != "same"} == {
        "asyncapi.json": "differs",
        "older.json": "unknown",
    }
    assert changed.read_text(encoding="utf-8") == "{}"
    assert _run(tmp_path)[0] == 0
    assert changed.read_bytes() == published_files()["asyncapi.json"]
    assert stranger.exists(), "what it does not know is not its to remove"


def test_a_folder_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("", encoding="utf-8")

    assert _run(tmp_path / "file") == (1, f"{tmp_path / 'file'}: File exists\n")
