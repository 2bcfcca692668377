"""The emulator's clock: real time plus what tests have moved it by."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field


@dataclass(slots=True)
class Clock:
    """Seconds since the epoch; `advance_s` seconds ahead of `source`."""

    source: Callable[[], float] = field(default=time.time)
    advance_s: float = 0.0

    def now_s(self) -> float:
        """Say the emulator's time in seconds."""
        return self.source() + self.advance_s

    def advance(self, by_s: float) -> None:
        """Move the clock forward by `by_s` seconds; a clock that goes backwards is a ValueError."""
        if by_s < 0:
            raise ValueError("the clock only goes forward")
        self.advance_s += by_s
