"""Ctrl-C and SIGTERM as one orderly end: noticed only where the program waits, never between two acts.

Python's own KeyboardInterrupt may strike between the start of a child and the note that it must be ended, and
SIGTERM ends a Python program without any clean-up.
"""

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType, TracebackType
from typing import Final, NoReturn, Self

_ENDING: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_STATUS_OF_SIGNAL: Final = 128  # the shell's: 130 for Ctrl-C


class Interrupted(BaseException):
    """Someone wants this program to end; not an error, so nothing on the way takes it for one."""


class Interrupts:
    """Enter in the main thread to take the signals. The first counts; later ones do not disturb the end."""

    def __init__(self) -> None:
        self.received: signal.Signals | None = None
        self._act: Callable[[], object] | None = None
        self._before: dict[signal.Signals, object] = {}

    def __enter__(self) -> Self:
        """Take the signals, but leave those that whoever started us wants ignored (as `nohup` does)."""
        for each in _ENDING:
            if signal.getsignal(each) is not signal.SIG_IGN:
                self._before[each] = signal.signal(each, self._on_signal)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Give the signals back."""
        for each, before in self._before.items():
            signal.signal(each, before)  # type: ignore[arg-type]  # it is what `signal` returned

    @property
    def exit_status(self) -> int:
        """The status that tells a shell which signal ended us."""
        return _STATUS_OF_SIGNAL + (self.received or 0)

    @contextmanager
    def acting(self, act: Callable[[], object]) -> Iterator[None]:
        """Have a signal do `act` while in this block; at once, if it came before."""
        self._act = act
        try:
            if self.received is not None:
                act()
            yield
        finally:
            self._act = None

    @contextmanager
    def raised(self) -> Iterator[None]:
        """Let a signal end this block by `Interrupted`, which may strike anywhere in it: only wait."""
        with self.acting(_interrupt):
            yield

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        del frame
        if self.received is None:
            self.received = signal.Signals(number)
            if self._act is not None:
                self._act()


def _interrupt() -> NoReturn:
    raise Interrupted
