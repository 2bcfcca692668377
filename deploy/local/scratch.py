"""Folders outside the tree: a cache, and throw-away data, removed at the end or after a killed owner."""

import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

_LOCK: Final = ".owner"


def cache_folder() -> Path:
    """Give the user's folder for what is fetched once and does not change; made if needed."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "offshoot"
    cache.mkdir(parents=True, exist_ok=True)
    return cache


@contextmanager
def scratch_folder(prefix: str, parent: Path) -> Iterator[Path]:
    """Make a fresh folder `parent`/`prefix`... that others may pass through, removed at the end.

    Folders of the same prefix whose owner died without removing them are removed first: an owner holds a
    lock, and a lock ends with its process.
    """
    _remove_ownerless(prefix, parent)
    folder = Path(tempfile.mkdtemp(prefix=prefix, dir=parent))
    try:
        folder.chmod(0o711)  # Postgres may have to run as another user than the owner
        # Locked before it has its name: a lock file without a lock is the sign of a dead owner.
        unnamed = folder / f"{_LOCK}.new"
        with unnamed.open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            unnamed.rename(folder / _LOCK)
            try:
                yield folder
            finally:
                shutil.rmtree(folder)  # still locked, or somebody who starts now would remove it as well
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _remove_ownerless(prefix: str, parent: Path) -> None:
    for folder in parent.glob(f"{prefix}*"):
        with suppress(OSError):  # another user's, held, or being removed by someone else: not ours to remove
            if folder.lstat().st_uid != os.geteuid():
                continue
            with (folder / _LOCK).open("r+") as lock:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                for entry in folder.iterdir():
                    if entry.name != _LOCK:
                        shutil.rmtree(entry) if entry.is_dir() else entry.unlink()
                (folder / _LOCK).unlink()
                folder.rmdir()
