"""The records of what is saved on accounts without us: compared with what is known, and announced."""

from collections.abc import Iterable
from typing import Any

import msgspec

from consumers.direct.record import DirectFacts, RecordDirect, Said, to_say
from consumers.store.database import Connection, load_queries
from consumers.store.outbox import Outbox
from schemas.cloudevents import rfc3339
from schemas.records import Origin, PaymentMethodRecord, Reason, State


class DirectRecords:
    """Announces direct methods, in the transaction of somebody who changed what their records rest on."""

    def __init__(self, outbox: Outbox, *, record: RecordDirect, livemode: bool) -> None:
        """Args: where records go, which methods are announced, and the mode that records name."""
        self._outbox = outbox
        self._record = record
        self._livemode = livemode
        self._queries = load_queries("direct")

    async def of_customers(self, connection: Connection, customers: Iterable[tuple[str, str]]) -> set[str]:
        """Give the methods that are saved on these connected customers, each an account and an id."""
        pairs = sorted(customers)
        if not pairs or self._record is RecordDirect.NONE:
            return set()
        rows = self._queries.direct_of_connected_customers(
            connection, accounts=[account for account, _ in pairs], ids=[id_ for _, id_ in pairs]
        )
        return {row["id"] async for row in rows}

    async def lock(self, connection: Connection, methods: Iterable[str]) -> None:
        """Lock the methods that are there, in id order."""
        async for _ in self._queries.lock_direct(connection, ids=sorted(methods)):
            pass

    async def tell(self, connection: Connection, methods: Iterable[str]) -> int:
        """Announce those of these methods of which the last record is not right any more; return how many."""
        ids = sorted(methods)
        if not ids or self._record is RecordDirect.NONE:
            return 0
        await self.lock(connection, ids)
        rows = self._queries.load_direct(connection, ids=ids)
        says = {row["id"]: to_say(_facts(row), self._record) async for row in rows}
        news = {id_: said for id_, said in says.items() if said is not None}
        if not news:
            return 0
        announced = self._queries.announce_direct(
            connection,
            ids=list(news),
            states=[said.state for said in news.values()],
            reasons=[said.reason for said in news.values()],
            defaults=[said.default for said in news.values()],
        )
        for row in [row async for row in announced]:
            await self._outbox.add_payment_method(connection, self._told(row), row["occurred_at"])
        return len(news)

    def _told(self, row: Any) -> PaymentMethodRecord:
        return PaymentMethodRecord(
            account=row["account_id"],
            origin=Origin.DIRECT,
            state=State(row["state"]),
            reason=Reason(row["reason"]) if row["reason"] is not None else None,
            platform_customer=None,
            platform_payment_method=None,
            connected_customer=row["customer_id"],
            connected_payment_method=row["id"],
            type=row["type"],
            default=row["announced_default"],
            generation=None,
            version=row["version"],
            livemode=self._livemode,
            occurred_at=rfc3339(row["occurred_at"]),
        )

    async def account_changed(self, connection: Connection, methods: Iterable[str]) -> None:
        """Follow the account of these methods: gone, they are unverified; back, they are read."""
        ids = sorted(methods)
        await self._queries.leave_unverified(connection, ids=ids)
        await self._queries.want_unverified(connection, ids=ids)
        await self.tell(connection, ids)


def _facts(row: Any) -> DirectFacts:
    said = None
    if row["version"] > 0:
        reason = Reason(row["reason"]) if row["reason"] is not None else None
        said = Said(State(row["state"]), reason, row["announced_default"])
    return DirectFacts(
        type=row["type"],
        attached=row["customer_id"] is not None,
        is_clone=row["is_clone"],
        detached=row["detached_at"] is not None,
        customer_deleted=row["customer_deleted_at"] is not None,
        account_disconnected=row["disconnected_at"] is not None,
        account_known=row["account_known"],
        capabilities=msgspec.json.decode(row["capabilities"], type=dict[str, str]),
        unverified=row["unverified"],
        blocked=row["blocked"],
        mandate=row["mandate"] is True,
        default=row["is_default"],
        mapped=row["is_mapped"],
        said=said,
    )
