"""The jars of Apache Kafka: fetched once into the user's cache, and the very files that a lock names."""

import hashlib
import os
import sys
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Final

from deploy.local.process import ChildProcess
from deploy.local.scratch import cache_folder, scratch_folder

KAFKA_VERSION: Final = "4.4.0"
LOCK: Final = Path(__file__).with_name("kafka_jars.lock")
RENEW: Final = "python -m deploy.local.kafka --lock"
_ENDPOINT: Final = f"org.apache.kafka:kafka_2.13:{KAFKA_VERSION}+org.slf4j:slf4j-simple:1.7.36"
# In a process of its own: what jgo and what it imports print, log and warn of goes to a file.
_RESOLVE: Final = "import sys, jgo; jgo.build(endpoint=sys.argv[1])"
_FETCH_S: Final = 600.0


class JarsError(Exception):
    """The jars at hand are not those of the lock; the text names each and says what to do."""


def locked_jars(lock: Path = LOCK, *, say: Callable[[str], None]) -> list[Path]:
    """Return the jars that `lock` names, fetching them if this user never did.

    Args:
        lock: Lines of "file name, sha256".
        say: Told, in a line, of anything that takes long.

    Raises:
        JarsError: a jar is missing, extra or different.
        ChildError: they could not be fetched.
    """
    wanted = read_lock(lock)
    cache = cache_folder()
    folder = cache / f"kafka-jars-{_digest(lock)[:16]}"
    if not folder.exists():
        say(f"fetching Apache Kafka {KAFKA_VERSION} (43 MB; only this once)")
        with scratch_folder("fetching-", cache) as scratch:
            fetched = _fetch(scratch)
            check(fetched, wanted, advice=f"If that is what you want, renew the lock: {RENEW}")
            with suppress(FileExistsError, OSError):  # another process was quicker: its jars are as good
                fetched.rename(folder)
    check(folder, wanted, advice="Remove that folder to fetch them anew.")
    return sorted(folder.iterdir())


def renew_lock(lock: Path = LOCK) -> int:
    """Fetch the jars anew and write what they are to `lock`; return how many they are."""
    with scratch_folder("fetching-", cache_folder()) as scratch:
        found = _digests(_fetch(scratch))
    lock.write_text("".join(f"{name} {digest}\n" for name, digest in sorted(found.items())))
    return len(found)


def read_lock(lock: Path) -> dict[str, str]:
    """Read a lock: the sha256, in hex, of each file name."""
    return dict(line.split() for line in lock.read_text().splitlines())


def check(folder: Path, wanted: Mapping[str, str], *, advice: str) -> None:
    """Raise JarsError, ending with `advice`, unless `folder` holds exactly the `wanted` files."""
    found = _digests(folder)
    faults = [f"{name} is missing" for name in sorted(wanted.keys() - found.keys())]
    faults += [f"{name} is not in the lock" for name in sorted(found.keys() - wanted.keys())]
    both = sorted(wanted.keys() & found.keys())
    faults += [f"{name} differs" for name in both if wanted[name] != found[name]]
    if faults:
        raise JarsError(f"{folder} does not hold the locked jars: {', '.join(faults)}. {advice}")


def _fetch(scratch: Path) -> Path:
    """Let jgo resolve Kafka, with nothing of it outside `scratch`; return the folder of its jars."""
    resolved, jars = scratch / "resolved", scratch / "jars"
    ChildProcess(
        [sys.executable, "-W", "ignore", "-c", _RESOLVE, _ENDPOINT],
        log=scratch / "jgo.log",
        env=os.environ | {"JGO_CACHE_DIR": str(resolved), "M2_REPO": str(scratch / "repository")},
        cwd=scratch,
        name="jgo",
    ).run(within_s=_FETCH_S)
    jars.mkdir()
    for jar in resolved.rglob("*.jar"):
        jar.rename(jars / jar.name)
    return jars


def _digests(folder: Path) -> dict[str, str]:
    return {path.name: _digest(path) for path in folder.iterdir()}


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
