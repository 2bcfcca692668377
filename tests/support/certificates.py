"""Certificates made by the test: a CA, and what it signed, as the files that Kafka and Offshoot read."""

from dataclasses import dataclass
from pathlib import Path
from typing import Self

import trustme
from cryptography.hazmat.primitives import serialization


@dataclass(frozen=True, slots=True)
class Certified:
    """A certificate with its key, as two PEM files and as one."""

    key: Path
    chain: Path
    both: Path


class Authority:
    """A CA whose files lie in `folder`; `ca_file` is its certificate."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._ca = trustme.CA()
        self.ca_file = folder / "ca.pem"
        self._ca.cert_pem.write_to_path(self.ca_file)

    @classmethod
    def make(cls, folder: Path) -> Self:
        """Make a CA in a folder that is made for it."""
        folder.mkdir()
        return cls(folder)

    def sign(self, name: str) -> Certified:
        """Issue a certificate for a host name or address."""
        issued = self._ca.issue_cert(name)
        key = serialization.load_pem_private_key(issued.private_key_pem.bytes(), password=None)
        # Java reads no other form of a key without its own tools.
        pkcs8 = key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        chain = b"".join(blob.bytes() for blob in issued.cert_chain_pems)
        made = Certified(*(self._folder / f"{name}.{kind}.pem" for kind in ("key", "chain", "both")))
        made.key.write_bytes(pkcs8)
        made.chain.write_bytes(chain)
        made.both.write_bytes(pkcs8 + chain)
        return made
