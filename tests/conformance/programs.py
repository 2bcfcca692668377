"""Programs of others, at a fixed version, fetched once into the user's cache.

What comes from npm comes by a lock; that in `stripe_cli/` has the hash for Linux on x64. stripe-mock comes
from the Go module proxy, whose checksum database vouches for the version.
"""

import json
import os
import platform
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Final

from deploy.local.scratch import cache_folder, scratch_folder

_LOCK: Final = Path(__file__).with_name("stripe_cli")
_STRIPE_MOCK: Final = "github.com/stripe/stripe-mock@v0.203.0"
_FETCH_S: Final = 300.0


class UnavailableError(Exception):
    """A program cannot be had on this machine; the text says what it would take."""


def stripe_cli() -> Path:
    """Give the Stripe CLI's binary.

    Raises:
        UnavailableError: there is no npm, or no binary for this kind of machine.
        CalledProcessError: it could not be fetched.
    """
    folder = from_npm(_LOCK, "the Stripe CLI")
    for binary in folder.glob("node_modules/@stripe/cli-*/bin/stripe"):
        return binary
    raise UnavailableError(f"npm has no Stripe CLI for this kind of machine, {platform.machine()}")


def from_npm(lock: Path, what: str) -> Path:
    """Give a copy of a folder with a `package-lock.json`, and the packages that this names.

    Raises:
        UnavailableError: there is no npm.
        CalledProcessError: they could not be fetched.
    """
    if shutil.which("npm") is None:
        raise UnavailableError(f"{what} comes from npm, and npm is not here")
    hashed = sha256(b"".join(path.read_bytes() for path in sorted(lock.iterdir()))).hexdigest()[:16]
    folder = cache_folder() / f"npm-{lock.name}-{hashed}"
    if not folder.exists():
        with scratch_folder("fetching-", cache_folder()) as scratch:
            fetched = scratch / lock.name
            shutil.copytree(lock, fetched)
            _run(["npm", "install", "--ignore-scripts", "--no-audit", "--no-fund"], fetched, {})
            _keep(fetched, folder)
    return folder


@dataclass(frozen=True, slots=True)
class StripeMock:
    """stripe-mock's binary, and the OpenAPI description of Stripe that comes with it."""

    binary: Path
    description: Path


def stripe_mock() -> StripeMock:
    """Give stripe-mock.

    Raises:
        UnavailableError: there is no Go.
        CalledProcessError: it could not be fetched or built.
    """
    if shutil.which("go") is None:
        raise UnavailableError("stripe-mock is built by Go, and go is not here")
    folder = cache_folder() / f"stripe-mock-{_STRIPE_MOCK.rpartition('@')[2]}"
    if not folder.exists():
        with scratch_folder("fetching-", cache_folder()) as scratch:
            built = scratch / "bin"
            built.mkdir()
            _run(["go", "install", _STRIPE_MOCK], built, {"GOBIN": str(built)})
            source = json.loads(_run(["go", "mod", "download", "-json", _STRIPE_MOCK], built, {}))["Dir"]
            shutil.copyfile(Path(source, "embedded", "openapi", "spec3.json"), built / "spec3.json")
            _keep(built, folder)
    return StripeMock(folder / "stripe-mock", folder / "spec3.json")


def _run(command: Sequence[str], folder: Path, more: Mapping[str, str]) -> str:
    environment = {**os.environ, **more}
    return subprocess.run(
        command, cwd=folder, env=environment, check=True, timeout=_FETCH_S, stdout=subprocess.PIPE, text=True
    ).stdout


def _keep(fetched: Path, folder: Path) -> None:
    with suppress(OSError):  # another process was quicker: what it fetched is as good
        fetched.rename(folder)
