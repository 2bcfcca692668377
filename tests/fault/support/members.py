"""Processes of `offshoot work` that do one thing each, and are killed, frozen and watched by tests."""

import json
import os
import sys
import uuid
from pathlib import Path
from typing import Any, Final

import httpx

from deploy.local.process import ChildProcess
from tests.support.waiting import until

UP_S: Final = 30.0
_KEY: Final = "rk_test_0123456789abcdef"


class Member:
    """One process: `offshoot work --only …`."""

    def __init__(self, folder: Path, only: str, settings: dict[str, str]) -> None:
        """Describe it; `settings` without `OFFSHOOT_`."""
        values = {
            "LIVEMODE": "false",
            "STRIPE_API_KEY": _KEY,
            "STRIPE_API_BASE": "http://127.0.0.1:1",
            "OPS_PORT": "0",
            "LOG_FORMAT": "json",
            "SHUTDOWN_GRACE_S": "10",
            **settings,
        }
        self.process = ChildProcess(
            [sys.executable, "-m", "deploy.cli", "work", "--only", only],
            log=folder / f"{only}-{uuid.uuid4().hex}.log",
            env={"PATH": os.environ["PATH"], "PYTHONPATH": str(Path(__file__).parents[3])}
            | {f"OFFSHOOT_{name}": value for name, value in values.items()},
            cwd=folder,
            name=only,
        )

    def logged(self, event: str) -> list[dict[str, Any]]:
        """What it has logged under that name, whole lines only."""
        lines = [line for line in self.process.output().splitlines(keepends=True) if line.endswith("\n")]
        entries = [json.loads(line) for line in lines if line.startswith("{")]
        return [entry for entry in entries if entry["event"] == event]

    async def until_logged(self, event: str, *, count: int = 1, within_s: float = UP_S) -> None:
        """Wait until it has logged something so many times."""

        async def found() -> bool:
            assert self.process.running, self.process.output()[-2000:]
            return len(self.logged(event)) >= count

        await until(found, within_s=within_s, what=f"{self.process.name} says {event}")

    def metric(self, name: str) -> float:
        """The value of a metric without labels, or the sum over them."""
        (port,) = {entry["port"] for entry in self.logged("http.listening")}
        text = httpx.get(f"http://127.0.0.1:{port}/metrics", trust_env=False, timeout=5).text
        lines = [line.rsplit(" ", 1) for line in text.splitlines() if not line.startswith("#")]
        return sum(float(value) for label, value in lines if label.split("{")[0] == name)
