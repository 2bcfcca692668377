"""Why the brokers do not let us in, in a sentence that names the setting to look at and never a secret.

aiokafka raises one and the same error for a wrong address, protocol, certificate, name or password. Here each
bootstrap server is visited with bare connections, in the order in which a client gets on: reach it, find out
what it speaks, TLS, login, and the addresses that it sends its clients on to. The server that lets us get
furthest tells most. A password goes only where a client would have sent it.
"""

import asyncio
import socket
import ssl
from collections.abc import Coroutine, Iterable
from dataclasses import dataclass
from enum import IntEnum
from typing import Any, Final

from aiokafka.conn import collect_hosts

from service.runtime.kafka.probe import (
    Address,
    Link,
    MechanismError,
    NotKafkaError,
    RefusedLoginError,
    protocols_at,
)
from service.runtime.settings import PREFIX

WITHIN_S: Final = 3.0
_FIRST_VISIT_S: Final = 1.8
_NEXT_VISIT_S: Final = 1.0
_CONNECT_S: Final = 0.8
_MOST_BROKERS: Final = 5
_SERVERS: Final = f"{PREFIX}KAFKA_BOOTSTRAP_SERVERS"
_PROTOCOL: Final = f"{PREFIX}KAFKA_SECURITY_PROTOCOL"
_CA: Final = f"{PREFIX}KAFKA_CA_FILE"
_CERTIFICATE: Final = f"{PREFIX}KAFKA_CERT_FILE"
_MECHANISM: Final = f"{PREFIX}KAFKA_SASL_MECHANISM"
_USER: Final = f"{PREFIX}KAFKA_SASL_USERNAME"
_PASSWORD: Final = f"{PREFIX}KAFKA_SASL_PASSWORD"
# OpenSSL's X509_V_ERR_ numbers (x509_vfy.h).
_UNKNOWN_CA: Final = frozenset({2, 7, 18, 19, 20, 21})
_OUTDATED: Final = frozenset({9, 10})
_OTHER_NAME: Final = frozenset({62, 64})
# The alerts of a broker that was shown no certificate: by TLS 1.3 (RFC 8446), and by Java's TLS 1.2.
_NO_CERTIFICATE: Final = ("_ALERT_CERTIFICATE_REQUIRED", "_ALERT_HANDSHAKE_FAILURE")
_BAD_CERTIFICATE: Final = (
    "_ALERT_BAD_CERTIFICATE",
    "_ALERT_CERTIFICATE_EXPIRED",
    "_ALERT_CERTIFICATE_UNKNOWN",
    "_ALERT_UNKNOWN_CA",
)


class Reached(IntEnum):
    """How far a client gets with one broker."""

    NOTHING = 0
    PORT = 1
    PROTOCOL = 2
    TLS = 3
    CLUSTER = 4


@dataclass(frozen=True, slots=True)
class Finding:
    """What a visit found: how far it came, and the fault that ended it, if any."""

    reached: Reached
    sentence: str | None = None


class _Fault(Exception):  # noqa: N818 - it is the finding, on its way out of the visit
    """The setting to look at, if it is one of ours, and words in which {} is the broker's address."""

    def __init__(self, setting: str | None, words: str) -> None:
        super().__init__(setting, words)
        self.setting = setting
        self.words = words


async def diagnose(options: dict[str, Any]) -> str:
    """Say why the brokers do not let us in, within 3 s; never raises, and never tells a secret.

    Args:
        options: what `client_options` gives.
    """
    try:
        async with asyncio.timeout(WITHIN_S):
            servers = [(host, port) for host, port, _ in collect_hosts(options["bootstrap_servers"])]
            best = await _best([_visit_with_next(server, options) for server in servers[:_MOST_BROKERS]])
    except Exception as error:  # noqa: BLE001 - asked for when something is wrong: it must not add to that
        return f"the cause is not known: looking for it failed too ({type(error).__name__})"
    return best.sentence or "no fault is found now: a broker lets this client in"


async def _best(visits: Iterable[Coroutine[Any, Any, Finding]]) -> Finding:
    findings: list[Finding] = await asyncio.gather(*visits)
    return max(findings, key=lambda finding: (finding.reached, finding.sentence is None))


async def _visit_with_next(server: Address, options: dict[str, Any]) -> Finding:
    visit = _Visit(server, options)
    finding = await visit.find(_FIRST_VISIT_S)
    if finding.sentence or not visit.brokers or server in visit.brokers:
        return finding
    following = [_Visit(broker, options).find(_NEXT_VISIT_S) for broker in visit.brokers[:_MOST_BROKERS]]
    best = await _best(following)
    if best.sentence is None:
        return finding
    sent = f"{best.sentence}; the broker at {_text(server)} sends its clients there (advertised.listeners)"
    return Finding(Reached.CLUSTER, sent)


class _Visit:
    """A visit to one broker; afterwards `brokers` are those it has told of."""

    def __init__(self, address: Address, options: dict[str, Any]) -> None:
        self.brokers: list[Address] = []
        self._address = address
        self._protocol: str = options["security_protocol"]
        self._context: ssl.SSLContext | None = options.get("ssl_context")
        self._options = options
        self._reached = Reached.NOTHING

    async def find(self, within_s: float) -> Finding:
        """Go as far as the broker lets us."""
        try:
            async with asyncio.timeout(within_s):
                await self._go()
        except _Fault as fault:
            return self._finding(fault)
        except TimeoutError:
            return self._finding(_Fault(_SERVERS, "what listens at {} does not answer"))
        return Finding(self._reached)

    def _finding(self, fault: _Fault) -> Finding:
        words = fault.words.format(_text(self._address))
        return Finding(self._reached, f"{fault.setting}: {words}" if fault.setting else words)

    async def _go(self) -> None:
        await self._reach()
        self._reached = Reached.PORT
        await self._compare_protocols()
        self._reached = Reached.PROTOCOL
        try:
            async with Link.open(self._address, self._context) as link:
                await link.greet()  # by TLS 1.3 a refused certificate shows only now
                self._reached = Reached.TLS
                await self._enter(link)
        except ssl.SSLError as error:
            raise _tls_fault(error) from error
        except (OSError, EOFError, NotKafkaError) as error:
            raise _Fault(None, "the broker at {} ends the connection") from error
        self._reached = Reached.CLUSTER

    async def _reach(self) -> None:
        try:
            async with asyncio.timeout(_CONNECT_S), Link.open(self._address, None):
                pass
        except socket.gaierror as error:
            raise _Fault(_SERVERS, "the host name of {} is not known here") from error
        except TimeoutError as error:
            raise _Fault(_SERVERS, "{} does not answer: the wrong address, or a firewall") from error
        except OSError as error:
            raise _Fault(_SERVERS, "nothing takes connections at {}") from error

    async def _compare_protocols(self) -> None:
        spoken = await protocols_at(self._address, tls_first=self._context is not None)
        if not spoken:
            raise _Fault(_SERVERS, "what listens at {} is no Kafka broker")
        if self._protocol not in spoken:
            is_spoken = " or ".join(spoken)
            raise _Fault(_PROTOCOL, f"is {self._protocol}, but the broker at {{}} speaks {is_spoken}")

    async def _enter(self, link: Link) -> None:
        mechanism: str = self._options.get("sasl_mechanism") or ""
        try:
            if self._protocol.startswith("SASL"):
                await link.choose_mechanism(mechanism)
                user, password = (self._options[f"sasl_plain_{what}"] for what in ("username", "password"))
                await link.log_in(mechanism, user, password)
            self.brokers = await link.brokers()
        except MechanismError as error:
            offered = ", ".join(error.offered) or "no login"
            raise _Fault(_MECHANISM, f"is {mechanism}, but the broker at {{}} takes {offered}") from error
        except RefusedLoginError as error:
            raise _login_fault(mechanism, unknown_user=error.unknown_user) from error


def _login_fault(mechanism: str, *, unknown_user: bool) -> _Fault:
    if unknown_user:
        return _Fault(_USER, f"the broker at {{}} knows no such user with {mechanism}")
    if mechanism == "PLAIN":
        return _Fault(f"{_USER} or {_PASSWORD}", "the broker at {} refuses them; PLAIN does not say which")
    return _Fault(_PASSWORD, "the broker at {} knows the user and refuses the password")


def _tls_fault(error: ssl.SSLError) -> _Fault:
    if isinstance(error, ssl.SSLCertVerificationError):
        return _certificate_fault(error.verify_code, error.verify_message)
    reason = error.reason or "no reason given"
    if reason.endswith(_NO_CERTIFICATE):
        return _Fault(_CERTIFICATE, "the broker at {} asks for a client certificate")
    if reason.endswith(_BAD_CERTIFICATE):
        return _Fault(_CERTIFICATE, "the broker at {} refuses this client certificate")
    return _Fault(None, f"TLS with the broker at {{}} fails: {reason}")


def _certificate_fault(code: int, message: str) -> _Fault:
    if code in _UNKNOWN_CA:
        return _Fault(_CA, "the broker at {} presents a certificate that no CA trusted here has signed")
    if code in _OTHER_NAME:
        return _Fault(_SERVERS, "the broker at {} presents a certificate for another name")
    if code in _OUTDATED:
        return _Fault(None, "the broker at {} presents a certificate that is not valid today")
    return _Fault(_CA, f"the certificate of the broker at {{}} is refused: {message}")


def _text(address: Address) -> str:
    host, port = address
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
