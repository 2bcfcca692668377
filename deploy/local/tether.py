"""Become another program that ends when its parent ends: what every child of `process.py` does first.

Run as a script by path, `python -I -S tether.py PARENT DEATH_SIGNAL UID GID PROGRAM ARGUMENT...`, with only
the standard library: code between fork and exec is not safe in a parent with threads, a program is.
"""

import ctypes
import os
import signal
import sys

KEEP = -1
_PR_SET_PDEATHSIG = 1  # prctl(2)
_COULD_NOT_EXECUTE = 127  # the shell's status for it


def tether(parent: int, death_signal: int) -> None:
    """Have the kernel send `death_signal` to this process when the thread that started it ends (on Linux)."""
    if sys.platform == "linux":
        if ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, death_signal) != 0:
            raise OSError(ctypes.get_errno(), "prctl(PR_SET_PDEATHSIG) failed")
        if os.getppid() != parent:
            sys.exit("the parent ended before this program began")


def become_user(uid: int, gid: int) -> None:
    """Give up every right of the present user for those of another; does nothing for KEEP."""
    if uid != KEEP:
        os.setgroups([])
        os.setgid(gid)
        os.setuid(uid)


def main() -> None:
    """Do what the arguments say; return only by an exit."""
    parent, death_signal, uid, gid = map(int, sys.argv[1:5])
    become_user(uid, gid)
    tether(parent, death_signal)  # after the change of user, which clears it
    for ignored_by_python in (signal.SIGPIPE, signal.SIGXFSZ):
        signal.signal(ignored_by_python, signal.SIG_DFL)
    program = sys.argv[5]
    try:
        os.execv(program, sys.argv[5:])  # noqa: S606 - that is the purpose, and no shell is wanted
    except OSError as error:
        print(f"cannot run {program}: {error.strerror}", file=sys.stderr)
        sys.exit(_COULD_NOT_EXECUTE)


if __name__ == "__main__":
    main()
