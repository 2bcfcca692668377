"""What is installed elsewhere, in the image too, has everything that is read at run time or by others."""

import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parents[2]
DATA: Final = {".sql", ".json", ".lock", ".txt"}
"""The kinds of files beside the code."""


def test_the_wheel_has_every_file_of_the_packages(tmp_path: Path) -> None:
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)],
        cwd=ROOT,
        check=True,
        capture_output=True,
        timeout=60,
    )
    (wheel,) = tmp_path.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        packed = set(archive.namelist())

    there = {
        str(path.relative_to(ROOT))
        for folder in ("schemas", "service", "consumers", "deploy")
        for path in (ROOT / folder).rglob("*")
        if path.suffix in {".py", *DATA} and "__pycache__" not in path.parts
    }
    assert {
        "schemas/published/v1/asyncapi.json",
        "schemas/published/released/1.0.json",
        "consumers/store/migrations/0001_projections_shares_clones.sql",
    } <= there
    assert there - packed == set()
