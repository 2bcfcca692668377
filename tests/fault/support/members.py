"""Processes of `offshoot work` that do one thing each, and are killed, frozen and watched by tests."""

import asyncio
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

    def logged(self, event: str, **facts: str) -> list[dict[str, Any]]:
        """What it has logged under that name and with those facts, whole lines only."""
        lines = [line for line in self.process.output().splitlines(keepends=True) if line.endswith("\n")]
        entries = [json.loads(line) for line in lines if line.startswith("{")]
        return [entry for entry in entries if entry["event"] == event and facts.items() <= entry.items()]

    async def until_logged(self, event: str, *, count: int = 1, within_s: float = UP_S, **facts: str) -> None:
        """Wait until it has logged something so many times."""

        async def found() -> bool:
            assert self.process.running, self.process.output()[-2000:]
            return len(self.logged(event, **facts)) >= count

        await until(found, within_s=within_s, what=f"{self.process.name} says {event}")

    def metric(self, name: str) -> float:
        """The value of a metric without labels, or the sum over them."""
        lines = [line.rsplit(" ", 1) for line in self._ask("metrics").text.splitlines() if line[:1] != "#"]
        return sum(float(value) for label, value in lines if label.split("{")[0] == name)

    def alive(self) -> bool:
        """Whether its liveness says so."""
        return self._ask("livez").is_success

    async def until_ready(self, *, within_s: float) -> None:
        """Wait until its readiness says so of everything but Stripe."""

        async def ready() -> bool:
            return not await self._failing()

        await until(ready, within_s=within_s, what="ready")

    async def until_unready(self, check: str, *, within_s: float) -> None:
        """Wait until its readiness says that this is not as it should be."""

        async def unready() -> bool:
            return check in await self._failing()

        await until(unready, within_s=within_s, what=f"{check} is not ready")

    async def _failing(self) -> set[str]:
        checks = (await asyncio.to_thread(self._ask, "readyz")).json()["checks"]
        return {name for name, found in checks.items() if not found["ok"]}

    def _ask(self, what: str) -> httpx.Response:
        (port,) = {entry["port"] for entry in self.logged("http.listening")}
        return httpx.get(f"http://127.0.0.1:{port}/{what}", trust_env=False, timeout=5)
