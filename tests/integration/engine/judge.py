"""The end of a schedule: what was announced and what is at Stripe, against what must have become of it."""

from datetime import timedelta
from typing import Any, Final

from deploy.stripe_emulator.model import Account, PaymentMethod
from schemas.records import PaymentMethodRecord, State
from tests.integration.engine.oracle import Happened, Oracle
from tests.integration.engine.playground import Playground
from tests.integration.engine.witness import Witness

KEY_GOOD_FOR: Final = timedelta(hours=23)

_CLONES = """
SELECT s.account_id, k.platform_payment_method_id AS method, k.state, k.reason, k.version,
    k.connected_payment_method_id AS clone, s.connected_customer_id AS customer
FROM offshoot.clone AS k JOIN offshoot.share AS s ON s.id = k.share_id
"""
_SUPERSEDED = "SELECT connected_payment_method_id FROM offshoot.superseded_clone WHERE detached_at IS NULL"
_EPOCHS = """
SELECT step, object, epoch, outcome, stored_error, first_tried_at,
    lead(first_tried_at) OVER (PARTITION BY share_id, step, object ORDER BY epoch) AS again_at
FROM offshoot.intent
"""
_TABLES = ("account", "customer", "payment_method", "share", "clone", "superseded_clone", "intent", "fanout")


class Judge:
    """Looks once, when everything is at rest."""

    def __init__(self, play: Playground, witness: Witness, happened: Happened) -> None:
        self._play = play
        self._witness = witness
        self._oracle = Oracle(play.emulator.engine.worlds[False], happened, play.tools.policy)
        self._superseded: set[str] = set()

    async def judge(self) -> None:
        """Fail where anything is not as it must be."""
        sql = self._play.world.sql
        clones = {(row["account_id"], row["method"]): row for row in await sql.fetch(_CLONES)}
        self._superseded = {row[0] for row in await sql.fetch(_SUPERSEDED)}
        last = _last_of_each(await self._play.history())
        for (account_id, method_id), row in clones.items():
            if (record := last.get(f"{account_id}:{method_id}")) is not None:
                recorded = (row["state"], row["reason"], row["version"])
                assert (record.state, record.reason, record.version) == recorded, "announced is not recorded"
        for account, method in self._oracle.pairs():
            self._judge(account, method, clones.get((account.id, method.id)), last)
        await self._judge_epochs()

    def _judge(
        self, account: Account, method: PaymentMethod, row: Any, last: dict[str, PaymentMethodRecord]
    ) -> None:
        name, may = f"{account.id}:{method.id}", self._oracle.may_say(account, method)
        if row is None:
            must = may is not None and self._oracle.must_be_said(account, method)
            assert not must, f"{name} was forgotten: {may}"
            return
        record = last.get(name)
        said = (record.state, record.reason) if record is not None else None
        assert may is None or said in may, f"{name} is {said}, not {may}"
        if account.authorized and not self._oracle.stays(self._oracle.wanted(account, method)):
            self._judge_at_stripe(account, method, row, record)

    def _judge_at_stripe(
        self, account: Account, method: PaymentMethod, row: Any, record: PaymentMethodRecord | None
    ) -> None:
        name = f"{account.id}:{method.id}"
        attached = [
            each.id
            for each in account.payment_methods.values()
            if each.customer is not None
            and self._witness.made.get(each.id) == (account.id, method.id)
            and each.id not in self._superseded
        ]
        if row["state"] == State.ABSENT:
            assert attached == [], f"{name} is announced absent: {attached} are attached"
        if row["state"] != State.READY or record is None:
            return
        fault = self._oracle.fault_in(account, method, row["clone"])
        assert fault is None, f"{name} is announced ready: {fault}"
        ours = row["clone"] in self._witness.made
        assert attached == ([row["clone"]] if ours else []), f"{name}: {attached} are attached"
        assert (row["reason"] == "reused") is not ours, f"{name} is {row['reason']}"
        customer = account.customers[str(account.payment_methods[row["clone"]].customer)].body
        assert customer["id"] == row["customer"] == record.connected_customer, name
        default = customer["invoice_settings"]["default_payment_method"] == row["clone"]
        assert record.default is default, f"{name}: its default is announced {record.default}"

    async def _judge_epochs(self) -> None:
        for row in await self._play.world.sql.fetch(_EPOCHS):
            if row["again_at"] is not None and row["outcome"] == "void":
                late = row["again_at"] - row["first_tried_at"] >= KEY_GOOD_FOR
                assert row["stored_error"] or late, f"a new epoch without a reason: {dict(row)}"


def _last_of_each(history: list[PaymentMethodRecord]) -> dict[str, PaymentMethodRecord]:
    """The last record of each key; each must say something that the one before did not."""
    last: dict[str, PaymentMethodRecord] = {}
    for record in history:
        if (before := last.get(record.key)) is not None:
            assert record.version > before.version, f"{record.key}: a version that does not rise"
            assert _what(record) != _what(before), f"said twice: {before} {record}"
        last[record.key] = record
    return last


def _what(record: PaymentMethodRecord) -> tuple[Any, ...]:
    return (
        record.state,
        record.reason,
        record.connected_payment_method,
        record.connected_customer,
        record.default,
        record.generation,
    )


async def shown(play: Playground, told: list[dict[str, Any]]) -> str:
    """What is known and what was done, for who has to understand a failure."""
    lines = []
    for table in _TABLES:
        rows = await play.world.sql.fetch(f"SELECT * FROM offshoot.{table} ORDER BY 1")  # noqa: S608
        lines += [
            f"{table} { {name: str(value)[:60] for name, value in row.items() if value} }" for row in rows
        ]
    lines += [str(record) for record in await play.history()]
    lines += [f"{event['created']} {event['type']} {event.get('account')} {event['id']}" for event in told]
    lines += [
        f"{call.at} {call.method} {call.path} {call.account} {call.parameters} {call.status}"
        for call in play.emulator.engine.calls.calls
    ]
    return "\n".join(lines)
