"""The call log: every call to the API, in the order of their effects; the control side is not in it."""

import asyncio
from dataclasses import asdict, dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class Logged:
    """One call. `status` is null where the connection was cut; `effect` lists the changes it made."""

    n: int
    at: float
    method: str
    path: str
    route: str | None
    account: str | None
    livemode: bool
    idempotency_key: str | None
    parameters: dict[str, Any]
    status: int | None
    request_id: str | None
    replayed: bool
    effect: list[str]


@dataclass(slots=True)
class Calls:
    """The log; its numbers go on when it is emptied."""

    calls: list[Logged] = field(default_factory=list)
    last: int = 0
    _added: asyncio.Event = field(default_factory=asyncio.Event)

    def add(self, **facts: Any) -> None:
        """Write a call down as soon as its effect has happened."""
        self.last += 1
        self.calls.append(Logged(n=self.last, **facts))
        self._added.set()
        self._added = asyncio.Event()

    async def wait(self) -> None:
        """Return when the next call has been written down."""
        await self._added.wait()

    def clear(self) -> None:
        """Forget what was logged."""
        self.calls.clear()

    def select(
        self,
        *,
        account: str | None,
        method: str | None,
        path: str | None,
        idempotency_key: str | None,
        after: int,
    ) -> list[dict[str, Any]]:
        """Give the calls after number `after`; `path` may be a route, and `platform` is an account."""
        return [
            asdict(call)
            for call in self.calls
            if call.n > after
            and account in (None, call.account or "platform")
            and method in (None, call.method)
            and path in (None, call.path, call.route)
            and idempotency_key in (None, call.idempotency_key)
        ]
