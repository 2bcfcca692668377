"""Watches each call of the engine's and what is at Stripe, and says what must never be: DESIGN.md section 6.

It knows from the emulator and the calls what was made of what; of our tables it asks only what they promise.
"""

import json
import re
from collections import Counter, defaultdict
from collections.abc import Awaitable, Callable
from typing import Any, Final

from deploy.stripe_emulator import forms
from deploy.stripe_emulator.app import Emulator
from deploy.stripe_emulator.model import Account
from tests.integration.engine.actors import acting
from tests.integration.engine.clock import VirtualClock
from tests.integration.engine.oracle import Happened
from tests.integration.engine.stripe_here import OurCall
from tests.integration.store.world import Connection

KEY_FORGOTTEN_S: Final = 24 * 3600
_DETACH: Final = re.compile(r"/v1/payment_methods/(\w+)/detach\Z")
_METHOD: Final = re.compile(r"/v1/payment_methods/(\w+)\Z")
_CUSTOMER: Final = re.compile(r"/v1/customers/(\w+)\Z")
_ACCOUNT: Final = re.compile(r"/v1/accounts/(\w+)\Z")

DECIDED_BEFORE: Final = 2
"""A worker makes no more calls than this, a write and what its refusal asks, before it looks again."""

_REVOKED = "SELECT revoked FROM offshoot.account WHERE id = $1"
_INTENT = """
SELECT i.parameters, i.target, i.step, i.first_tried_at, s.account_id,
    EXISTS (
        SELECT FROM offshoot.superseded_clone AS o WHERE o.connected_payment_method_id = i.object
    ) AS superseded
FROM offshoot.intent AS i JOIN offshoot.share AS s ON s.id = i.share_id WHERE i.idempotency_key = $1
"""
_IN_TRANSACTION = """
SELECT count(*) FROM pg_stat_activity
WHERE datname = current_database() AND state LIKE 'idle in transaction%'
"""
_KNOWN = """
SELECT connected_payment_method_id AS id, 'superseded' AS is FROM offshoot.superseded_clone
UNION ALL SELECT connected_payment_method_id, 'current' FROM offshoot.clone
    WHERE connected_payment_method_id IS NOT NULL
UNION ALL SELECT next_payment_method_id, 'next' FROM offshoot.clone WHERE next_payment_method_id IS NOT NULL
"""


class Witness:
    """Watches one schedule."""

    def __init__(self, emulator: Emulator, sql: Connection, clock: VirtualClock, happened: Happened) -> None:
        self.happened = happened
        self._stripe = emulator.engine.worlds[False]
        self._sql = sql
        self._clock = clock
        self.made: dict[str, tuple[str, str]] = {}
        """Each clone made for us: its account, and the platform method it was made of."""
        self.customers: dict[str, tuple[str, str]] = {}
        """Each connected customer made for us: its account, and the platform customer."""
        self._late: Counter[tuple[int, str]] = Counter()
        """Calls that a worker made on an account that had become known to be deauthorised."""
        self._granted: dict[str, list[tuple[int, Any]]] = defaultdict(list)
        self._calls = 0
        self._made_at: dict[str, int] = {}

    async def watch(self, call: OurCall, answer: Callable[[], Awaitable[Any]]) -> Any:
        """See a call of the engine's, and let it happen."""
        self._calls += 1
        assert await self._sql.fetchval(_IN_TRANSACTION) == 0, f"a transaction is open across {call.path}"
        await self._see_closed(call)
        account = self._account_of(call)
        if call.method == "POST":
            await self._see_write(call)
        there = set(account.payment_methods) if account is not None else set()
        customers = set(account.customers) if account is not None else set()
        answered = await answer()
        if account is not None and call.account is not None:
            self._see_made(call, account, there, customers)
        elif call.method == "GET":
            self._see_reading(call)
        return answered

    async def check(self) -> None:
        """Hold what is at Stripe against the tables."""
        known = {row["id"]: row["is"] for row in await self._sql.fetch(_KNOWN)}
        current: dict[tuple[str, str], list[str]] = defaultdict(list)
        for account in self._stripe.connected.values():
            for method in account.payment_methods.values():
                if method.customer is not None and method.id in self.made:
                    assert method.id in known, f"a clone is attached that nobody recorded: {method.id}"
                    if known[method.id] != "superseded":
                        current[self.made[method.id]].append(method.id)
        for of, clones in current.items():
            # While a replacement is being attached there are two: the one that serves, and its next.
            assert len([each for each in clones if known[each] == "current"]) <= 1, (of, clones)
        living: dict[tuple[str, str], list[str]] = defaultdict(list)
        for id_, of in self.customers.items():
            if not self._stripe.connected[of[0]].customers[id_].deleted:
                living[of].append(id_)
        for of, ours in living.items():
            assert len(ours) <= 1, f"two connected customers of one: {of}: {ours}"

    def _account_of(self, call: OurCall) -> Account | None:
        return self._stripe.connected.get(call.account or "")

    async def _see_closed(self, call: OurCall) -> None:
        """No call for an account that took its access back, but what a worker had decided on before."""
        found = _ACCOUNT.match(call.path)
        account = call.account or (found[1] if found else None)
        if not await self._sql.fetchval(_REVOKED, account):
            return
        actor = acting.get()
        assert actor is not None, f"a deauthorised account is called: {call.path}"
        self._late[id(actor), str(account)] += 1
        assert self._late[id(actor), str(account)] <= DECIDED_BEFORE, f"and again: {call.path}"

    async def _see_write(self, call: OurCall) -> None:
        assert call.key is not None, f"a write without a key: {call.path}"
        intent = await self._sql.fetchrow(_INTENT, call.key)
        assert intent is not None, f"a write without an intent: {call.path}"
        sent = forms.decode(call.body)
        assert sent == _texts(json.loads(intent["parameters"])), f"not as recorded: {call.path}"
        assert intent["account_id"] == call.account
        age_s = (self._clock.now() - intent["first_tried_at"]).total_seconds()
        assert age_s < KEY_FORGOTTEN_S, f"sent under a forgotten key: {call.path}"
        if found := _DETACH.match(call.path):
            self._see_detach(found[1], superseded=intent["superseded"])

    def _see_detach(self, clone: str, *, superseded: bool) -> None:
        """Nothing is detached but what is ours, and what a reading since it was made justifies."""
        assert clone in self.made, f"not ours to detach: {clone}"
        account, original = self.made[clone]
        method = self._stripe.platform.payment_methods[original]
        readings = [*self._granted[original], *(self._granted[self.owner(original)])]
        since = [said for at, said in readings if at > self._made_at[clone]]
        assert since, f"detached without a reading: {clone} of {original}"
        assert superseded or any(said is None or account not in said for said in since), (
            f"detached though {original} should be on {account}: {since} {method.body}"
        )

    def owner(self, method: str) -> str:
        """The platform customer that a platform method is, or was, attached to."""
        return self.happened.owners.get(method, "")

    def _see_made(self, call: OurCall, account: Account, there: set[str], customers: set[str]) -> None:
        sent = forms.decode(call.body)
        for fresh in account.payment_methods.keys() - there:
            self.made[fresh] = (account.id, str(sent["payment_method"]))
            self._made_at[fresh] = self._calls
        for fresh in account.customers.keys() - customers:
            metadata = account.customers[fresh].body["metadata"]
            self.customers[fresh] = (account.id, metadata["offshoot_platform_customer"])

    def _see_reading(self, call: OurCall) -> None:
        """Keep on which accounts what was read may be; None: on none."""
        said: Any
        if found := _METHOD.match(call.path):
            method = self._stripe.platform.payment_methods.get(found[1])
            if method is None:
                return
            gone = method.customer is None or method.body["metadata"].get("offshoot") == "never"
            said = None if gone else _Everywhere()
        elif found := _CUSTOMER.match(call.path):
            customer = self._stripe.platform.customers.get(found[1])
            if customer is None:
                return
            named = customer.body["metadata"].get("connected_accounts", "")
            said = None if customer.deleted else _Everywhere() if "*" in named else named
        else:
            return
        self._granted[found[1]].append((self._calls, said))


class _Everywhere:
    def __contains__(self, _: object) -> bool:
        return True

    def __repr__(self) -> str:
        return "everywhere"


def _texts(value: Any) -> Any:
    """As the parameters look when they have been sent in a form."""
    if isinstance(value, dict):
        return {name: _texts(inner) for name, inner in value.items() if inner != {}}
    return str(value)
