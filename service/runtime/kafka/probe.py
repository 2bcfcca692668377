"""A bare connection to one broker, to ask why a client is not let in: nothing on the way hides the reason.

ProbeError
  NotKafkaError        what answers is no broker, or does not speak our language
  MechanismError       the broker does not take this SASL mechanism
  RefusedLoginError    the broker refuses the user or the password

What the connection itself raises passes through: OSError, of which ssl.SSLError is one, and EOFError.
"""

import asyncio
import contextlib
import io
import ssl
import struct
from collections.abc import AsyncIterator
from typing import Any, Final, Self

from aiokafka.conn import SaslPlainAuthenticator, ScramAuthenticator
from aiokafka.errors import KafkaError
from aiokafka.protocol.admin import ApiVersionRequest, SaslAuthenticateRequest, SaslHandShakeRequest
from aiokafka.protocol.metadata import MetadataRequest

Address = tuple[str, int]
_CLIENT_ID: Final = "offshoot-probe"
_LONGEST_ANSWER: Final = 1_000_000
"""Bytes. What is no broker seems to announce far more."""


class ProbeError(Exception):
    """The broker does not go on with us."""


class NotKafkaError(ProbeError):
    """What answers is not a Kafka broker that we understand."""


class MechanismError(ProbeError):
    """The broker does not take this SASL mechanism; `offered` are those that it takes, perhaps none."""

    def __init__(self, offered: tuple[str, ...]) -> None:
        super().__init__()
        self.offered = offered


class RefusedLoginError(ProbeError):
    """The broker refuses the login; `unknown_user` says whether it had not even asked for the password."""

    def __init__(self, *, unknown_user: bool) -> None:
        super().__init__()
        self.unknown_user = unknown_user


class Link:
    """One connection; made by `open`."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self._versions: dict[int, tuple[int, int]] = {}
        self._asked = 0

    @classmethod
    @contextlib.asynccontextmanager
    async def open(cls, address: Address, context: ssl.SSLContext | None) -> AsyncIterator[Self]:
        """Connect, by TLS where a context is given, and drop the connection afterwards."""
        reader, writer = await asyncio.open_connection(*address, ssl=context)
        try:
            yield cls(reader, writer)
        finally:
            writer.transport.abort()
            with contextlib.suppress(OSError):
                await writer.wait_closed()

    async def greet(self) -> None:
        """Ask what the broker speaks; every broker answers that before it asks who we are."""
        answer = await self._ask(ApiVersionRequest())
        self._versions = {key: (lowest, highest) for key, lowest, highest in answer.api_versions}

    async def choose_mechanism(self, name: str) -> None:
        """Begin a SASL login.

        Raises:
            MechanismError: not by this mechanism.
        """
        answer = await self._ask(SaslHandShakeRequest(name))
        if answer.error_code != 0:
            raise MechanismError(tuple(sorted(answer.enabled_mechanisms or ())))

    async def wants_login(self) -> bool:
        """Say whether clients must log in by SASL; afterwards the link is of no more use."""
        try:
            await self.choose_mechanism("PLAIN")
        except MechanismError as error:
            return bool(error.offered)
        return True

    async def log_in(self, mechanism: str, user: str, password: str) -> None:
        """Go through the SASL login.

        Raises:
            RefusedLoginError: the user or the password is wrong.
        """
        login = _authenticator(mechanism, user, password)
        rounds, token = 0, None
        while (step := await login.step(token)) is not None:
            answer = await self._ask(SaslAuthenticateRequest(step[0]))
            if answer.error_code != 0:
                # SCRAM (RFC 5802) names the user first and proves the password second.
                raise RefusedLoginError(unknown_user=mechanism != "PLAIN" and rounds == 0)
            rounds, token = rounds + 1, answer.sasl_auth_bytes

    async def brokers(self) -> list[Address]:
        """Ask where the brokers say that they are."""
        answer = await self._ask(MetadataRequest([]))
        return [(broker[1], broker[2]) for broker in answer.brokers]

    async def _ask(self, question: Any) -> Any:
        try:
            request = question.prepare(self._versions)
            self._asked += 1
            header = request.build_request_header(correlation_id=self._asked, client_id=_CLIENT_ID)
            message = header.encode() + request.encode()
            self._writer.write(struct.pack(">i", len(message)) + message)
            (size,) = struct.unpack(">i", await self._reader.readexactly(4))
            if not 0 < size <= _LONGEST_ANSWER:
                raise NotKafkaError
            answer = io.BytesIO(await self._reader.readexactly(size))
            if request.parse_response_header(answer).correlation_id != self._asked:
                raise NotKafkaError
            return request.RESPONSE_TYPE.decode(answer)
        except (KafkaError, NotImplementedError, ValueError, struct.error) as error:
            raise NotKafkaError from error


async def protocols_at(address: Address, *, tls_first: bool) -> tuple[str, ...]:
    """Say which security protocol is spoken there: one, or two that cannot be told apart, or none.

    Who answers is not verified: nothing is told here, only asked.
    """
    for tls in (tls_first, not tls_first):
        try:
            async with Link.open(address, _anyone() if tls else None) as link:
                return await _protocols(link, tls=tls)
        except ssl.SSLError as error:
            if "_ALERT_" in (error.reason or ""):  # it may ask for a certificate
                return "SSL", "SASL_SSL"
        except (OSError, EOFError, NotKafkaError):
            continue
    return ()


async def _protocols(link: Link, *, tls: bool) -> tuple[str, ...]:
    without_login, with_login = ("SSL", "SASL_SSL") if tls else ("PLAINTEXT", "SASL_PLAINTEXT")
    await link.greet()
    try:
        return (with_login if await link.wants_login() else without_login,)
    except (OSError, EOFError, NotKafkaError):
        return without_login, with_login


def _anyone() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def _authenticator(mechanism: str, user: str, password: str) -> Any:
    words: dict[str, Any] = {
        "loop": asyncio.get_running_loop(),
        "sasl_plain_username": user,
        "sasl_plain_password": password,
    }
    if mechanism == "PLAIN":
        return SaslPlainAuthenticator(**words)
    return ScramAuthenticator(**words, sasl_mechanism=mechanism)
