"""What an operator does before the first start: the schema and the topics."""

import os
import sys
from pathlib import Path

from deploy.local.process import ChildProcess


def prepare(folder: Path, settings: dict[str, str]) -> None:
    """Run `offshoot migrate` and `offshoot topics`; `settings` without `OFFSHOOT_`."""
    root = str(Path(__file__).parents[3])
    for command in ("migrate", "topics"):
        ChildProcess(
            [sys.executable, "-m", "deploy.cli", command],
            log=folder / f"{command}.log",
            env={"PATH": os.environ["PATH"], "PYTHONPATH": root}
            | {f"OFFSHOOT_{name}": value for name, value in settings.items()},
            cwd=folder,
            name=command,
        ).run(within_s=60)
