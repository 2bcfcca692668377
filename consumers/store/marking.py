"""Making due the shares that a change matters to: few of them at once, many in chunks."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from consumers.projection.seen import ConnectedCustomerSeen
from consumers.projection.spread import MOST_AT_ONCE, Fanout, Priority, Subject, at_once, priority_of
from consumers.store import arrays
from consumers.store.database import Connection, load_queries

CHANNEL_FANOUT: Final = "offshoot_fanout"
"""Notified when there is something to do in chunks."""


@dataclass(slots=True)
class Changed:
    """Whose shares must be looked at again."""

    customers: set[str] = field(default_factory=set)
    """All that changed, themselves or by a method of theirs."""
    granting: set[str] = field(default_factory=set)
    """Of those, the customers that changed themselves: maybe in what they are shared with."""
    turned: set[str] = field(default_factory=set)
    """Of those, the ones shared with every account from now on, or no more."""
    accounts: set[str] = field(default_factory=set)
    joined: set[str] = field(default_factory=set)
    """Accounts heard of for the first time: `*` and `all` mean them from now on."""
    shares: set[int] = field(default_factory=set)
    connected_customers: Sequence[ConnectedCustomerSeen] = ()
    """What was seen of customers on connected accounts."""

    def __bool__(self) -> bool:
        """Whether anything is to be done."""
        return bool(self.customers or self.accounts or self.joined or self.shares or self.connected_customers)


class Marking:
    """Marks shares inside the transaction that changed what they rest on."""

    def __init__(self) -> None:
        self._queries = load_queries("marking")
        self._connected = load_queries("connected")
        self._fanout = load_queries("fanout")
        self._direct = load_queries("direct")

    async def make_due(self, connection: Connection, changed: Changed) -> int:
        """Make the shares due that this matters to; return how many are at once, the others follow in chunks.

        The customers and accounts are written and locked already; share rows are locked here, in id order.
        """
        if not changed:
            return 0
        await self._hold(connection, changed)
        few = await self._few(connection, changed)
        shares = await self._lock(connection, few, changed)
        shares.update(
            dict.fromkeys(await self._apply_connected_customers(connection, changed), Priority.URGENT)
        )
        granted = await self._grant(connection, few, changed)
        for priority in Priority:
            ids = sorted(id_ for id_, of in shares.items() if of is priority and id_ not in granted)
            if ids:
                await self._queries.mark_shares(connection, ids=ids, priority=priority)
        await self._put_off(connection, few, changed)
        if due := granted.union(shares):
            await self._queries.announce_due(connection)
        return len(due)

    async def _hold(self, connection: Connection, changed: Changed) -> None:
        """A new account and a grant of everything never miss each other: see hold_joining."""
        if changed.joined:
            await self._queries.hold_joining(connection)
        elif changed.turned:
            await self._queries.hold_joined(connection)

    async def _few(self, connection: Connection, changed: Changed) -> dict[Subject, Priority]:
        """Choose the customers and accounts whose shares are looked at in this transaction."""
        if not changed.customers and not changed.accounts:
            return {}
        weights = self._queries.weigh(
            connection,
            customers=sorted(changed.customers),
            turned=sorted(changed.turned),
            accounts=sorted(changed.accounts),
            most=MOST_AT_ONCE,
        )
        return at_once(
            {Subject(row["kind"], row["id"]): row["shares"] async for row in weights}, len(changed.shares)
        )

    async def _lock(
        self, connection: Connection, few: Mapping[Subject, Priority], changed: Changed
    ) -> dict[int, Priority]:
        """Lock every share that this transaction will touch; return those due by it, and how urgent.

        That is judged again by how many there are: more may have come since they were weighed.
        """
        rows = self._queries.lock_shares(
            connection,
            customers=_of(few, "customer"),
            accounts=_of(few, "account"),
            ids=sorted(changed.shares),
            others=await self._of_connected_customers(connection, changed),
        )
        due = [(id_, customer, account) async for id_, customer, account, is_due in rows if is_due]
        urgent = [subject for subject, priority in few.items() if priority is Priority.URGENT]
        customers = _still_few(_of(urgent, "customer"), (customer for _, customer, _ in due))
        accounts = _still_few(_of(urgent, "account"), (account for _, _, account in due))
        return {
            id_: Priority.URGENT
            if id_ in changed.shares or customer in customers or account in accounts
            else Priority.BULK
            for id_, customer, account in due
        }

    async def _of_connected_customers(self, connection: Connection, changed: Changed) -> list[int]:
        if not changed.connected_customers:
            return []
        rows = self._connected.shares_of_connected_customers(
            connection,
            accounts=[each.account_id for each in changed.connected_customers],
            customers=[each.id for each in changed.connected_customers],
        )
        return [row["id"] async for row in rows]

    async def _apply_connected_customers(self, connection: Connection, changed: Changed) -> set[int]:
        if not changed.connected_customers:
            return set()
        rows = self._connected.apply_connected_customers(
            connection, **arrays.connected_customers(changed.connected_customers)
        )
        return {row["id"] async for row in rows if row["changed"]}

    async def _grant(
        self, connection: Connection, few: Mapping[Subject, Priority], changed: Changed
    ) -> set[int]:
        """Make the shares of the few follow what their customers say; return those that changed."""
        granting = [customer for customer in _of(few, "customer") if customer in changed.granting]
        if not granting:
            return set()
        rows = self._queries.ungranted_pairs(connection, customers=granting, turned=sorted(changed.turned))
        pairs = [(row["customer_id"], row["account_id"]) async for row in rows]
        granted: set[int] = set()
        for priority in Priority:
            some = [pair for pair in pairs if few[Subject("customer", pair[0])] is priority]
            if some:
                granted |= await self.grant(connection, some, priority)
        return granted

    async def grant(
        self, connection: Connection, pairs: Sequence[tuple[str, str]], priority: Priority
    ) -> set[int]:
        """Make the shares of these pairs as granted as their customers say; return the changed."""
        rows = self._queries.grant_pairs(
            connection,
            customers=[customer for customer, _ in pairs],
            accounts=[account for _, account in pairs],
            priority=priority,
        )
        return {row["id"] async for row in rows}

    async def _put_off(self, connection: Connection, few: Iterable[Subject], changed: Changed) -> None:
        """Leave to chunks what is too many for this transaction, and what a new account is to be given."""
        wide = {
            customer: Fanout.GRANT_CUSTOMER if customer in changed.granting else Fanout.MARK_CUSTOMER
            for customer in changed.customers - set(_of(few, "customer"))
        }
        put_off = [(kind, customer) for customer, kind in sorted(wide.items())]
        put_off += [
            (Fanout.MARK_ACCOUNT, account) for account in sorted(changed.accounts - set(_of(few, "account")))
        ]
        if changed.accounts:
            direct = self._direct.accounts_with_direct(connection, ids=sorted(changed.accounts))
            put_off += [(Fanout.DIRECT_ACCOUNT, row["id"]) async for row in direct]
        if changed.joined and await self._fanout.is_anything_granted_to_all(connection):
            put_off += [(Fanout.GRANT_ACCOUNT, account) for account in sorted(changed.joined)]
        if put_off:
            kinds, subjects = zip(*put_off, strict=True)
            await self._fanout.add_fanouts(connection, kinds=list(kinds), subjects=list(subjects))
            await self._fanout.announce_fanout(connection)


def _still_few(subjects: Iterable[str], of_shares: Iterable[str]) -> set[str]:
    found = Counter(of_shares)
    return {subject for subject in subjects if priority_of(found[subject]) is Priority.URGENT}


def _of(subjects: Iterable[Subject], kind: str) -> list[str]:
    return sorted(subject.id for subject in subjects if subject.kind == kind)
