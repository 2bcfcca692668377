"""What commands say of shares: recorded at once, without a call to Stripe."""

from collections.abc import Iterable
from datetime import timedelta
from typing import Final

from consumers.store.database import Connection, load_queries
from consumers.store.direct import DirectRecords
from schemas.commands import (
    CloneOnce,
    GrantShare,
    Order,
    Rejected,
    RejectReason,
    RevokeShare,
    SaveDirect,
    Share,
    ShareSettled,
)

_AT_ONCE: Final = timedelta()
_TAKEN: Final = "the connected customer is another platform customer's"
_HAS_ANOTHER: Final = "the share has, or is making, another connected customer"


class Grants:
    """Grants and revokes shares by command, in somebody's transaction."""

    def __init__(self, direct: DirectRecords) -> None:
        self._direct = direct
        self._queries = load_queries("command")
        self._projection = load_queries("projection")
        self._refresh = load_queries("refresh")
        self._marking = load_queries("marking")

    async def hold(self, connection: Connection, orders: Iterable[Order]) -> None:
        """Make rows for what these orders name and hold them, customers before accounts, as ingest does."""
        customers, accounts, named = set(), set(), set()
        for order in orders:
            match order:
                case GrantShare() | RevokeShare():
                    customers.add(order.customer)
                    accounts.add(order.account)
                case CloneOnce() | SaveDirect():
                    named.add(order.account)
        if customers:
            await self._projection.add_customer_stubs(connection, ids=sorted(customers))
            async for _ in self._projection.lock_customers(connection, ids=sorted(customers)):
                pass
        if accounts or named:
            await self._projection.add_account_stubs(connection, ids=sorted(accounts | named))
        if accounts:
            async for _ in self._projection.lock_accounts(connection, ids=sorted(accounts)):
                pass

    async def grant(self, connection: Connection, order: GrantShare) -> ShareSettled | Rejected:
        """Grant a share; what was ended on its account is taken up. Its customer is held."""
        if (rejected := await self._reject(connection, order)) is not None:
            return rejected
        row = await self._queries.grant_by_command(
            connection,
            customer=order.customer,
            account=order.account,
            methods=_methods(order),
            connected_customer=order.connected_customer,
        )
        await self._refresh.doubt_unknown_customers(connection, ids=[order.customer], settle=_AT_ONCE)
        await self._queries.want_adopted(
            connection,
            customer=order.customer,
            account=order.account,
            connected_customer=order.connected_customer,
        )
        await self._refresh.announce_refresh(connection)
        await self._marking.announce_due(connection)
        if order.connected_customer is not None:
            adopted = [(order.account, order.connected_customer)]
            await self._direct.tell(connection, await self._direct.of_customers(connection, adopted))
        return _settled(order, wanted=row["wanted"])

    async def _reject(self, connection: Connection, order: GrantShare) -> Rejected | None:
        share = await self._queries.lock_share_of_grant(
            connection, customer=order.customer, account=order.account
        )
        about = await self._queries.find_adoptable(
            connection,
            customer=order.customer,
            account=order.account,
            connected_customer=order.connected_customer,
        )
        if about["is_customer_gone"]:
            return Rejected(reason=RejectReason.NOT_FOUND, message="the customer was deleted")
        if order.connected_customer is None:
            return None
        has = share["connected_customer_id"] if share is not None else None
        if about["is_gone"]:
            return Rejected(reason=RejectReason.NOT_FOUND, message="the connected customer was deleted")
        if about["is_taken"]:
            return Rejected(reason=RejectReason.CUSTOMER_TAKEN, message=_TAKEN)
        if has not in (None, order.connected_customer) or (share is not None and share["is_making_one"]):
            return Rejected(reason=RejectReason.CUSTOMER_TAKEN, message=_HAS_ANOTHER)
        return None

    async def revoke(self, connection: Connection, order: RevokeShare) -> ShareSettled:
        """Take back what commands granted. Its customer is held."""
        row = await self._queries.revoke_by_command(
            connection, customer=order.customer, account=order.account, methods=_methods(order)
        )
        await self._marking.announce_due(connection)
        return _settled(order, wanted=row is not None and row["wanted"])


def _methods(order: GrantShare | RevokeShare) -> list[str] | None:
    return sorted(set(order.payment_methods)) if order.payment_methods is not None else None


def _settled(order: GrantShare | RevokeShare, *, wanted: bool) -> ShareSettled:
    return ShareSettled(share=Share(customer=order.customer, account=order.account, wanted=wanted))
