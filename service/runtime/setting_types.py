"""The kinds of value a setting can have: each checks one thing and says in words what would be right.

A message here never repeats the value, since the value may be a secret.
"""

import math
import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, BeforeValidator, Field, SecretStr
from pydantic_settings import NoDecode

_SHORTEST_SECRET = 16
_HIGHEST_PORT = 65535
_ENDPOINT_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")
_WEBHOOK_SECRET = re.compile(r"whsec_[\x21-\x2b\x2d-\x7e]+")
_API_KEY = re.compile(r"(?:sk|rk)_(?:test|live)_[\x21-\x7e]+")
_ACCOUNT = re.compile(r"acct_[A-Za-z0-9_]{1,250}")
_TOPIC_PREFIX = re.compile(r"[A-Za-z0-9._-]{0,200}")
_PATH = re.compile(r"/[A-Za-z0-9._~/-]*")
_BROKER = re.compile(r"(?:\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+):([0-9]{1,5})")


@dataclass(frozen=True)
class WebhookSecret:
    """One signing secret of one endpoint at Stripe; an endpoint that is being rotated has two."""

    name: str
    secret: SecretStr


def _true_or_false(value: object) -> object:
    if isinstance(value, bool):
        return value
    if value not in {"true", "false"}:
        raise ValueError("must be exactly true (live events) or false (test events)")
    return value == "true"


def _webhook_secrets(value: object) -> object:
    if not isinstance(value, str):
        return value
    faults: list[str] = []
    secrets: list[WebhookSecret] = []
    for number, pair in enumerate(value.split(","), start=1):
        name, _, secret = (part.strip() for part in pair.partition("="))
        if not _ENDPOINT_NAME.fullmatch(name) or name.startswith("whsec_"):
            faults.append(f"entry {number} needs a name of 1 to 64 letters, digits, _ or - before its =")
        elif not _WEBHOOK_SECRET.fullmatch(secret):
            faults.append(f"entry {number} needs a secret that begins with whsec_ after its =")
        elif len(secret) < _SHORTEST_SECRET:
            faults.append(f"entry {number} has a secret shorter than {_SHORTEST_SECRET} characters")
        else:
            secrets.append(WebhookSecret(name, SecretStr(secret)))
    if faults:
        raise ValueError("; ".join(faults) + "; write name=whsec_… pairs, separated by commas")
    return tuple(secrets)


def _api_key(value: SecretStr) -> SecretStr:
    key = value.get_secret_value()
    if not _API_KEY.fullmatch(key):
        raise ValueError(
            "must begin with rk_test_, rk_live_, sk_test_ or sk_live_; a restricted key is enough"
        )
    if len(key) < _SHORTEST_SECRET:
        raise ValueError(f"is shorter than {_SHORTEST_SECRET} characters; copy the whole key")
    return value


def _database_url(value: SecretStr) -> SecretStr:
    if not value.get_secret_value().startswith(("postgresql://", "postgres://")):
        raise ValueError("must be like postgresql://user:password@host:5432/database")
    return value


def _account(value: str) -> str:
    if not _ACCOUNT.fullmatch(value):
        raise ValueError("must be the id of the platform's own account, like acct_1AbC")
    return value


def _topic_prefix(value: str) -> str:
    if not _TOPIC_PREFIX.fullmatch(value):
        raise ValueError("may hold only letters, digits, dots, _ and -, since it begins a topic's name")
    return value


def _path(value: str) -> str:
    if not _PATH.fullmatch(value) or value in {"/livez", "/readyz"}:
        raise ValueError("must be a plain path like /webhooks/stripe, and not /livez or /readyz")
    return value


def _brokers(value: object) -> object:
    if not isinstance(value, str):
        return value
    brokers = tuple(broker.strip() for broker in value.split(","))
    for number, broker in enumerate(brokers, start=1):
        match = _BROKER.fullmatch(broker)
        if match is None or not 0 < int(match[1]) <= _HIGHEST_PORT:
            raise ValueError(f"entry {number} must be like broker.example:9092; separate several by commas")
    return brokers


def _finite(value: float) -> float:
    if not math.isfinite(value):
        raise ValueError("must be a finite number")
    return value


def _readable_file(value: Path) -> Path:
    if not value.is_file() or not os.access(value, os.R_OK):
        raise ValueError("must be the path of a file that this process can read")
    return value


def _words(value: object) -> object:
    if not isinstance(value, str):
        return value
    return tuple(word.strip() for word in value.split(",") if word.strip())


Livemode = Annotated[bool, BeforeValidator(_true_or_false)]
WebhookSecrets = Annotated[tuple[WebhookSecret, ...], NoDecode, BeforeValidator(_webhook_secrets)]
StripeApiKey = Annotated[SecretStr, AfterValidator(_api_key)]
DatabaseUrl = Annotated[SecretStr, AfterValidator(_database_url)]
PlatformAccount = Annotated[str, AfterValidator(_account)]
TopicPrefix = Annotated[str, AfterValidator(_topic_prefix)]
UrlPath = Annotated[str, AfterValidator(_path)]
Brokers = Annotated[tuple[str, ...], NoDecode, BeforeValidator(_brokers)]
ReadableFile = Annotated[Path, AfterValidator(_readable_file)]
Words = Annotated[tuple[str, ...], NoDecode, BeforeValidator(_words)]
Port = Annotated[int, Field(ge=0, le=_HIGHEST_PORT)]
Seconds = Annotated[float, Field(gt=0), AfterValidator(_finite)]
PerSecond = Annotated[float, Field(gt=0), AfterValidator(_finite)]
