"""A request as it arrived, and what is found out about it before it is answered."""

import base64
import binascii
from collections.abc import Mapping
from dataclasses import dataclass, field

from deploy.stripe_emulator import errors, ids
from deploy.stripe_emulator.forms import Tree
from deploy.stripe_emulator.model import Account
from deploy.stripe_emulator.routes import Route


@dataclass(frozen=True, slots=True)
class Request:
    """A request as it arrived; the names of its headers are in lower case."""

    method: str
    path: str
    query: str
    headers: Mapping[str, str]
    body: bytes


@dataclass(slots=True)
class Exchange:
    """What is known of a request while it is answered."""

    request: Request
    request_id: str = field(default_factory=ids.request_id)
    api_key: str = ""
    account: Account | None = None
    named: Account | None = None
    route: Route | None = None
    path: dict[str, str] = field(default_factory=dict)
    tree: Tree = field(default_factory=dict)
    effects: list[str] = field(default_factory=list)

    @property
    def idempotency_key(self) -> str | None:
        """Give the key that came with the request."""
        return self.request.headers.get("idempotency-key")


def api_key(headers: Mapping[str, str]) -> str:
    """Give the key of a call, Bearer or Basic; an empty one where there is none."""
    authorization = headers.get("authorization", "")
    scheme, _, rest = authorization.partition(" ")
    if scheme.lower() == "bearer":
        return rest.strip()
    if scheme.lower() == "basic":
        try:
            return base64.b64decode(rest).decode().partition(":")[0]
        except (binascii.Error, UnicodeDecodeError):
            return ""
    return ""


def named_account(headers: Mapping[str, str]) -> str | None:
    """Give the account a call is for; a context may be a path, whose last part it is.

    Source: [doc] docs.stripe.com/context.
    """
    account = headers.get("stripe-account")
    context = headers.get("stripe-context", "").rpartition("/")[2] or None
    if account and context and account != context:
        raise errors.contexts_differ()
    return account or context
