"""A platform as its developers would use Stripe, at the emulator, and what the emulator tells of itself."""

import json
import os
from pathlib import Path
from typing import Any, Final, Self

import httpx

from deploy.stripe_emulator.app import DEFAULT_API_KEY

CALLS_TO: Final = "STRIPE_CALLS_TO"
"""The environment variable that names a file to which every call is added, a line of JSON each."""


class Platform:
    """Stripe's public API with the platform's key, and the emulator's own routes under `/_emulator`."""

    def __init__(self, stripe_url: str, transport: httpx.AsyncBaseTransport | None = None) -> None:
        """Args: where Stripe is, and another way there than the network."""
        self._http = httpx.AsyncClient(base_url=stripe_url, timeout=30, transport=transport)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        if file := os.environ.get(CALLS_TO):
            _keep(await self.calls(), Path(file))
        await self._http.aclose()

    async def post(self, path: str, account: str | None = None, **parameters: str) -> dict[str, Any]:
        headers = {"Authorization": f"Bearer {DEFAULT_API_KEY}"}
        if account is not None:
            headers["Stripe-Account"] = account
        return _json(await self._http.post(path, headers=headers, data=parameters))

    async def delete(self, path: str, account: str | None = None) -> dict[str, Any]:
        headers = {"Authorization": f"Bearer {DEFAULT_API_KEY}"}
        if account is not None:
            headers["Stripe-Account"] = account
        return _json(await self._http.delete(path, headers=headers))

    async def connect_account(self, *, capable: bool = True) -> str:
        """Connect an account, with or without active card payments."""
        account = await self.post("/v1/accounts", type="standard", country="US")
        if capable:
            await self.set_capability(account["id"], "active")
        return str(account["id"])

    async def set_capability(self, account: str, status: str) -> None:
        await self.control("POST", f"accounts/{account}/capabilities", {"card_payments": status})

    async def new_customer(self, *accounts: str) -> str:
        """Make a platform customer whose metadata names the accounts."""
        customer = await self.post(
            "/v1/customers",
            name="Jenny Rosen",
            email="jenny@example.com",
            **{"metadata[connected_accounts]": ",".join(accounts)},
        )
        return str(customer["id"])

    async def save_card(self, customer: str, token: str = "tok_visa") -> str:  # noqa: S107
        """Attach a new card to a platform customer."""
        method = await self.post("/v1/payment_methods", type="card", **{"card[token]": token})
        await self.post(f"/v1/payment_methods/{method['id']}/attach", customer=customer)
        return str(method["id"])

    async def state(self, account: str) -> dict[str, Any]:
        """Say everything that is on an account."""
        return await self.control("GET", f"accounts/{account}/state")

    async def attached(self, account: str) -> list[str]:
        """The methods attached on an account."""
        methods = (await self.state(account))["payment_methods"]
        return [method["id"] for method in methods if method["customer"] is not None]

    async def calls(self, account: str | None = None, **where: str) -> list[dict[str, Any]]:
        """The calls that the emulator answered, or holds the answer of; for one account, if given."""
        parameters = {**where, **({"account": account} if account is not None else {})}
        answer = _json(await self._http.get("/_emulator/log", params=parameters))
        return list(answer["calls"])

    async def hold(self, route: str, account: str) -> None:
        """Let the next call of this kind have its effect, and hold back its answer."""
        fault = {
            "method": "POST",
            "route": route,
            "account": account,
            "count": 1,
            "action": {"kind": "hold"},
        }
        await self.control("POST", "faults", fault)

    async def held(self, path: str, account: str) -> dict[str, Any]:
        """Wait until such a call had its effect."""

        (call,) = await self.calls(account, method="POST", path=path, wait_s="20")
        return call

    async def release(self) -> None:
        """Remove all faults and let held answers go."""
        await self.control("DELETE", "faults")

    async def control(self, method: str, path: str, body: object = None) -> dict[str, Any]:
        return _json(await self._http.request(method, f"/_emulator/{path}", json=body))


def _keep(calls: list[dict[str, Any]], file: Path) -> None:
    with file.open("a") as kept:
        kept.writelines(f"{json.dumps(call)}\n" for call in calls)


def _json(answer: httpx.Response) -> dict[str, Any]:
    assert answer.is_success, f"{answer.request.method} {answer.request.url}: {answer.text}"
    body: dict[str, Any] = answer.json() if answer.content else {}
    return body
