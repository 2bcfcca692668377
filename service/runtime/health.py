"""Health: what makes a process alive, what makes it ready, and how both are told.

Liveness says that this process can make progress by itself, and never depends on Kafka, Postgres or Stripe: a
restart would not bring those back. Readiness says that it can do its work now.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class CheckResult:
    """What one check found."""

    ok: bool
    state: str
    """In a few words, without ids or secrets: health is answered to whoever asks."""
    since: float
    """Monotonic time since when it is so, or of the last sign of life."""


Probe = Callable[[], CheckResult]
"""Says at once, without waiting for anything, how a component is."""


class State:
    """A probe whose answer its component sets."""

    def __init__(self, *, ok: bool, state: str, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._result = CheckResult(ok, state, clock())

    def set(self, *, ok: bool, state: str) -> None:
        """Take a new state; saying the same again keeps its age."""
        if (ok, state) != (self._result.ok, self._result.state):
            self._result = CheckResult(ok, state, self._clock())

    def __call__(self) -> CheckResult:
        """Answer as a probe."""
        return self._result


class Pulse:
    """A probe of something that turns: false once it has not beaten for `limit_s`."""

    def __init__(self, limit_s: float, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._limit_s = limit_s
        self._clock = clock
        self._last = clock()

    def beat(self) -> None:
        """Note a turn."""
        self._last = self._clock()

    def __call__(self) -> CheckResult:
        """Answer as a probe."""
        ok = self._clock() - self._last < self._limit_s
        return CheckResult(ok, "ticking" if ok else "stalled", self._last)


class Health:
    """The checks of one process."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._liveness: dict[str, Probe] = {}
        self._readiness: dict[str, Probe] = {}

    def add_liveness(self, name: str, probe: Probe) -> None:
        """Let a probe decide whether the process is alive."""
        self._liveness[name] = probe

    def add_readiness(self, name: str, probe: Probe) -> None:
        """Let a probe decide whether the process is ready."""
        self._readiness[name] = probe

    def livez(self) -> tuple[bool, dict[str, Any]]:
        """Say whether the process is alive, and the JSON that tells why."""
        return self._ask(self._liveness)

    def readyz(self) -> tuple[bool, dict[str, Any]]:
        """Say whether the process is ready, and the JSON that tells why."""
        return self._ask(self._readiness)

    def _ask(self, probes: dict[str, Probe]) -> tuple[bool, dict[str, Any]]:
        results = {name: probe() for name, probe in probes.items()}
        ok = all(result.ok for result in results.values())
        now = self._clock()
        checks = {
            name: {
                "ok": result.ok,
                "state": result.state,
                "age_s": round(max(0.0, now - result.since), 3),
            }
            for name, result in results.items()
        }
        return ok, {"status": "ok" if ok else "unavailable", "checks": checks}
