"""Look at other processes and wait for their end, by the kernel's word and without polling.

A process may end while it is looked at: then it has no descendants, and its watch says that it has ended.
"""

import os
import select
from contextlib import suppress
from pathlib import Path
from typing import Self


class Watch:
    """Watches a process that may be anyone's child; a context, to be entered before what should end it."""

    def __init__(self, pid: int) -> None:
        self._pid = pid
        self._handle: int | None = None

    def __enter__(self) -> Self:
        with suppress(ProcessLookupError):
            self._handle = os.pidfd_open(self._pid)
        return self

    def __exit__(self, *_: object) -> None:
        if self._handle is not None:
            os.close(self._handle)

    def ended(self, *, within_s: float) -> bool:
        """Wait for the end; say whether it came in time."""
        if self._handle is None:
            return True
        poll = select.poll()
        poll.register(self._handle, select.POLLIN)
        return bool(poll.poll(within_s * 1000))


def descendants(pid: int) -> list[int]:
    """The processes that a process started, and that those started, in no order."""
    children: list[int] = []
    with suppress(FileNotFoundError, ProcessLookupError):
        for task in Path(f"/proc/{pid}/task").iterdir():
            children += map(int, (task / "children").read_text().split())
    return children + [below for child in children for below in descendants(child)]


def state(pid: int) -> str:
    """A process's state by proc(5): "R", "S", "T" (frozen), "Z" (dead, not yet reaped), ..."""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
