"""Ways in to a Kafka node that ask for TLS or a password, beside the plain one that the nodes use."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

Mechanism = Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"]
_MODULES: Final = "org.apache.kafka.common.security"


@dataclass(frozen=True, slots=True)
class Listener:
    """One more way in; `name` is capital letters, and SASL protocols name the mechanisms they offer."""

    name: str
    protocol: Literal["SSL", "SASL_PLAINTEXT", "SASL_SSL"]
    mechanisms: tuple[Mechanism, ...] = ()
    client_certificate: bool = False
    """Whether clients must show a certificate that `client_ca` signed."""
    advertised: str | None = None
    """The host and port that clients are told, if not where it listens."""


@dataclass(frozen=True, slots=True)
class Security:
    """The ways in, and who may come."""

    listeners: tuple[Listener, ...]
    users: Mapping[str, str]
    """Passwords by name, letters and digits only; the same for every mechanism."""
    keystore: Path
    """PEM: the nodes' private key in PKCS #8 form, then its certificates."""
    client_ca: Path
    """PEM: who signs the certificates of clients."""

    def properties(self) -> dict[str, str]:
        """The settings of every node, without the addresses."""
        settings = {
            "ssl.keystore.type": "PEM",
            "ssl.keystore.location": str(self.keystore),
            "ssl.truststore.type": "PEM",
            "ssl.truststore.location": str(self.client_ca),
        }
        for listener in self.listeners:
            prefix = f"listener.name.{listener.name.lower()}"
            if listener.client_certificate:
                settings[f"{prefix}.ssl.client.auth"] = "required"
            if listener.mechanisms:
                settings[f"{prefix}.sasl.enabled.mechanisms"] = ",".join(listener.mechanisms)
            for mechanism in listener.mechanisms:
                settings[f"{prefix}.{mechanism.lower()}.sasl.jaas.config"] = self._login(mechanism)
        return settings

    def scram_users(self) -> list[str]:
        """What StorageTool is told, so that the users exist from the start."""
        words = []
        for mechanism in sorted({each for listener in self.listeners for each in listener.mechanisms}):
            if mechanism != "PLAIN":
                for name, password in self.users.items():
                    words += ["--add-scram", f"{mechanism}=[name={name},password={password}]"]
        return words

    def _login(self, mechanism: Mechanism) -> str:
        if mechanism != "PLAIN":
            return f"{_MODULES}.scram.ScramLoginModule required;"
        users = "".join(f' user_{name}="{password}"' for name, password in self.users.items())
        return f"{_MODULES}.plain.PlainLoginModule required{users};"
