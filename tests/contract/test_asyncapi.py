"""The published AsyncAPI document, read by AsyncAPI's own parser."""

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any, Final

import pytest

from schemas.contract.messages import CHANNELS, MAJOR
from tests.conformance import programs

PUBLISHED: Final = Path(__file__).parents[2] / "schemas" / "published" / f"v{MAJOR}" / "asyncapi.json"
LOCK: Final = Path(__file__).with_name("asyncapi_parser")


@pytest.fixture(scope="session")
def parser() -> Path:
    """A folder with the parser at its fixed version; where it cannot be had the tests are skipped."""
    if shutil.which("node") is None:
        pytest.skip("the AsyncAPI parser runs on Node, and node is not here")
    try:
        return programs.from_npm(LOCK, "the AsyncAPI parser")
    except programs.UnavailableError as error:
        pytest.skip(str(error))


def _parse(parser: Path, document: Path) -> dict[str, Any]:
    done = subprocess.run(
        ["node", str(parser / "validate.mjs"), str(document)],  # noqa: S607 -- wherever this machine has it
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    said: dict[str, Any] = json.loads(done.stdout)
    return said


def test_the_document_is_valid_and_says_all(parser: Path) -> None:
    """Nothing is found but that there is a newer AsyncAPI; every topic and message of ours is in it."""
    said = _parse(parser, PUBLISHED)

    assert {each["code"] for each in said["diagnostics"]} <= {"asyncapi-latest-version"}
    assert said["channels"] == [
        {"address": channel.topic.name, "messages": [message.name for message in channel.messages]}
        for channel in CHANNELS
    ]


@pytest.mark.parametrize(
    ("break_it", "code"),
    [
        (lambda document: document["channels"].pop("stripe-events"), "invalid-ref"),
        (
            lambda document: document["channels"]["stripe-events"]["bindings"]["kafka"].update(
                partitions="many"
            ),
            "asyncapi-document-resolved",
        ),
    ],
    ids=["an operation without its channel", "a word for a number"],
)
def test_the_parser_finds_what_is_wrong(parser: Path, tmp_path: Path, break_it: Any, code: str) -> None:
    document = json.loads(PUBLISHED.read_text(encoding="utf-8"))
    break_it(document)
    broken = tmp_path / "asyncapi.json"
    broken.write_text(json.dumps(document), encoding="utf-8")

    said = _parse(parser, broken)

    assert code in {each["code"] for each in said["diagnostics"]}
