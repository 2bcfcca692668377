"""A request as it arrived, and what is found out about it before it is answered."""

import base64
import binascii
from collections.abc import Mapping
from dataclasses import dataclass, field

from deploy.stripe_emulator import denials, ids
from deploy.stripe_emulator.forms import Tree
from deploy.stripe_emulator.model import Account, World
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
    """What is known of a request while it is answered; `world` is that of its key's mode.

    `aside` is what a browser sends where a server has no such parameter.
    """

    request: Request
    world: World
    request_id: str = field(default_factory=ids.request_id)
    api_key: str = ""
    account: Account | None = None
    named: Account | None = None
    route: Route | None = None
    path: dict[str, str] = field(default_factory=dict)
    tree: Tree = field(default_factory=dict)
    aside: dict[str, str] = field(default_factory=dict)
    effects: list[str] = field(default_factory=list)

    @property
    def of_v2(self) -> bool:
        """Say whether the request is one of API v2: its body is JSON, and its refusals differ."""
        return self.request.path.startswith("/v2/")

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


def named_account(headers: Mapping[str, str], platform: str) -> str | None:
    """Give the account a call is for, or None.

    A context is a connected account, the platform, or a path from the platform to a connected account
    ([doc] docs.stripe.com/context); any other path leads to an account that the platform cannot act for.
    """
    account, context = headers.get("stripe-account"), headers.get("stripe-context")
    if not context:
        return account or None
    place = context.removeprefix(f"{platform}/")
    if account and account != place:
        raise denials.contexts_differ()
    return place
