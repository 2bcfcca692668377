"""docs/consume.md as it stands there: its program, at the records of our own outbox and relay."""

import os
import re
import sqlite3
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any, Final, Self

import msgspec
import pytest
from aiokafka import AIOKafkaProducer

from deploy.local.process import ChildProcess
from schemas import topics
from schemas.records import Origin, PaymentMethodRecord, Reason, State
from tests.contract.conftest import WITHIN_S, Publishing
from tests.unit.schemas.test_records import CLONE

PAGE: Final = Path(__file__).parents[2] / "docs" / "consume.md"

Row = tuple[int, str, str | None, str | None, bool]


def _record(account: str, version: int, state: State, reason: Reason | None = None, **more: Any) -> Any:
    changes = {"account": account, "version": version, "state": state, "reason": reason, **more}
    return msgspec.structs.replace(CLONE, **changes)


class Consumer:
    """The program of the page, as a process, and the table that it keeps."""

    def __init__(self, folder: Path, publishing: Publishing) -> None:
        (code,) = re.findall(
            r"^```python\n(.*?)^```$", PAGE.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL
        )
        program = folder / "consume.py"
        program.write_text(code, encoding="utf-8")
        self.table = folder / "table.db"
        self._program = [sys.executable, "-W", "error", str(program)]
        self._log = folder / "consume.log"
        self._env = {
            "PATH": os.environ["PATH"],
            "KAFKA_BOOTSTRAP_SERVERS": publishing.bootstrap_servers,
            "TOPIC": publishing.topic,
            "TABLE": str(self.table),
        }
        self._publishing = publishing
        self.process = self._child()

    def _child(self, *options: str) -> ChildProcess:
        return ChildProcess(
            [*self._program, *options], log=self._log, env=self._env, cwd=self._log.parent, name="consume"
        )

    def start(self, *options: str) -> Self:
        self.process = self._child(*options)
        self.process.start()
        return self

    def rows(self) -> dict[str, Row]:
        """The table: version, state, reason, method on the account, default, of each key."""
        return {
            key: (version, state, reason, method, bool(default))
            for key, version, state, reason, method, default in self._ask(
                "SELECT key, version, state, reason, connected_payment_method, is_default FROM payment_method"
            )
        }

    def usable(self) -> list[str]:
        """The accounts on which something can be charged."""
        return [account for (account,) in self._ask("SELECT account FROM usable ORDER BY account")]

    def _ask(self, query: str) -> list[Any]:
        if not self.table.exists():
            return []
        with closing(sqlite3.connect(self.table)) as table:
            if not table.execute("SELECT 1 FROM sqlite_master WHERE name = 'position'").fetchall():
                return []
            return table.execute(query).fetchall()

    async def catch_up(self) -> None:
        """Wait until it has read whatever is on the topic now: a tombstone of nothing is put behind it."""
        markers = await _mark(self._publishing)
        self.process.wait_ready(
            lambda: {each for each, offset in self._positions() if offset > markers[each]} == markers.keys(),
            within_s=WITHIN_S,
        )

    def _positions(self) -> list[tuple[int, int]]:
        return self._ask("SELECT partition, next_offset FROM position")


@pytest.fixture
def consumer(tmp_path: Path, publishing: Publishing) -> Iterator[Consumer]:
    made = Consumer(tmp_path, publishing)
    yield made
    made.process.kill()


def _row(record: PaymentMethodRecord) -> Row:
    return (
        record.version,
        record.state,
        record.reason,
        record.connected_payment_method,
        record.default,
    )


def _rows(*records: PaymentMethodRecord) -> dict[str, Row]:
    return {record.key: _row(record) for record in records}


async def test_the_table_is_right_through_repeats_crashes_and_tombstones(
    publishing: Publishing, consumer: Consumer
) -> None:
    ready, pending = _record("acct_1", 2, State.READY), _record("acct_1", 1, State.PENDING)
    failed = _record("acct_2", 1, State.FAILED, Reason.CARD_DECLINED, connected_payment_method=None)
    direct = _record(
        "acct_3", 1, State.READY, origin=Origin.DIRECT, platform_customer=None, platform_payment_method=None
    )
    await publishing.say(pending, ready, failed, direct)
    await consumer.start().catch_up()
    assert consumer.rows() == _rows(ready, failed, direct)
    assert consumer.usable() == ["acct_1", "acct_3"]

    # An older state once more, as after a relay that did not hear an ack; and one that is never committed.
    consumer.process.kill()
    retried = _record("acct_2", 2, State.READY, Reason.REUSED)
    await _abort(publishing, _record("acct_1", 9, State.FAILED, Reason.REFUSED))
    await publishing.say(pending, retried)
    await consumer.start().catch_up()
    assert consumer.rows() == _rows(ready, retried, direct)
    assert consumer.usable() == ["acct_1", "acct_2", "acct_3"]

    # Gone, and forgotten.
    gone = _record("acct_1", 3, State.ABSENT, Reason.SHARE_REVOKED)
    await publishing.say(gone)
    await _publish(publishing, direct.key, None)
    await consumer.catch_up()
    assert consumer.rows() == _rows(gone, retried)
    assert consumer.usable() == ["acct_2"]

    # From the beginning it is the same: the newest of each key, and what was forgotten stays so.
    consumer.process.terminate(within_s=10)
    assert consumer.process.status == 0
    with closing(sqlite3.connect(consumer.table)) as table, table:
        table.execute("UPDATE payment_method SET state = 'ready', version = 99")
        table.execute(
            "INSERT INTO payment_method SELECT 'acct_4:pm', 1, 'acct_4', '', '', '', 0, 'ready', ''"
        )
    await consumer.start("--anew").catch_up()
    assert consumer.rows() == _rows(gone, retried)
    assert consumer.usable() == ["acct_2"]


async def test_what_a_later_release_may_add_is_no_trouble(publishing: Publishing, consumer: Consumer) -> None:
    """A member and a reason that the page does not know."""
    record = _record("acct_1", 1, State.READY)
    tomorrow = msgspec.json.decode(record.to_json()) | {"reason": "of_tomorrow", "more": {"of": "it"}}
    await _publish(publishing, record.key, msgspec.json.encode(tomorrow))

    await consumer.start().catch_up()

    assert consumer.rows() == {record.key: (1, "ready", "of_tomorrow", "pm_C", True)}
    assert consumer.usable() == ["acct_1"]


async def _publish(publishing: Publishing, key: str, value: bytes | None) -> None:
    producer = AIOKafkaProducer(bootstrap_servers=publishing.bootstrap_servers)
    await producer.start()
    await producer.send_and_wait(publishing.topic, value, key.encode())
    await producer.stop()


async def _mark(publishing: Publishing) -> dict[int, int]:
    """Publish a tombstone of nothing to each partition; give where it lies."""
    producer = AIOKafkaProducer(bootstrap_servers=publishing.bootstrap_servers)
    await producer.start()
    lies = [
        await producer.send_and_wait(publishing.topic, None, b"nothing", partition=number)
        for number in range(topics.PAYMENT_METHODS.partitions)
    ]
    await producer.stop()
    return {each.partition: each.offset for each in lies}


async def _abort(publishing: Publishing, record: PaymentMethodRecord) -> None:
    """Publish in a transaction that is never committed, as a relay that was fenced."""
    producer = AIOKafkaProducer(
        bootstrap_servers=publishing.bootstrap_servers, transactional_id=f"{publishing.prefix}fenced"
    )
    await producer.start()
    await producer.begin_transaction()
    await producer.send_and_wait(publishing.topic, record.to_json(), record.key.encode())
    await producer.abort_transaction()
    await producer.stop()
