"""A platform's own programs, as Stripe sees them: its public HTTP API, with the platform's key.

What happens by itself at the real Stripe (an account is verified) is asked of the emulator's control side,
and so is what the emulator knows of the state of things.
"""

from collections.abc import Sequence
from types import TracebackType
from typing import Any, Final, Self

import httpx

from deploy.local.verdict import Card
from deploy.stripe_emulator.app import DEFAULT_API_KEY

METADATA_KEY: Final = "connected_accounts"
_TIMEOUT_S: Final = 10.0


class Outsider:
    """The platform, at the emulator. Every method may raise an `httpx.HTTPError`."""

    def __init__(self, stripe_url: str) -> None:
        # No proxy of the machine's: it could not reach this address.
        self._http = httpx.AsyncClient(base_url=stripe_url, timeout=_TIMEOUT_S, trust_env=False)

    async def __aenter__(self) -> Self:
        """Begin."""
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the connections."""
        await self._http.aclose()

    async def connect_account(self) -> str:
        """Connect an account; nothing is known of its capabilities yet."""
        account = await self._post("/v1/accounts", type="standard", country="US")
        return str(account["id"])

    async def activate_card_payments(self, account: str) -> None:
        """Have Stripe find that an account may take cards."""
        await self._control("POST", f"accounts/{account}/capabilities", {"card_payments": "active"})

    async def new_customer(self, accounts: Sequence[str], *, name: str, email: str) -> str:
        """Make a customer whose metadata names the accounts."""
        named = {f"metadata[{METADATA_KEY}]": ",".join(accounts)}
        customer = await self._post("/v1/customers", name=name, email=email, **named)
        return str(customer["id"])

    async def new_card(self, token: str) -> Card:
        """Make a card from one of Stripe's test tokens."""
        made = await self._post("/v1/payment_methods", type="card", **{"card[token]": token})
        return Card(made["id"], made["card"]["fingerprint"])

    async def attach(self, card: Card, customer: str) -> None:
        """Save a card on a customer."""
        await self._post(f"/v1/payment_methods/{card.id}/attach", customer=customer)

    async def state(self, account: str) -> dict[str, Any]:
        """Say what an account holds."""
        return await self._control("GET", f"accounts/{account}/state")

    async def calls(self) -> list[dict[str, Any]]:
        """Say which API calls were made, by whomever."""
        return list((await self._control("GET", "log"))["calls"])

    async def _post(self, path: str, **parameters: str) -> dict[str, Any]:
        authorization = {"Authorization": f"Bearer {DEFAULT_API_KEY}"}
        return _json(await self._http.post(path, headers=authorization, data=parameters))

    async def _control(self, method: str, path: str, body: object = None) -> dict[str, Any]:
        return _json(await self._http.request(method, f"/_emulator/{path}", json=body))


def _json(answer: httpx.Response) -> dict[str, Any]:
    body: dict[str, Any] = answer.raise_for_status().json()
    return body
