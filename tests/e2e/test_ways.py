"""The three ways of Stripe's starting page, each to a charge that succeeds on the connected account.

docs/commands.md's producer and `offshoot commands send` are the services that command.
"""

import asyncio
import json
import os
import re
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import jsonschema
from aiokafka import AIOKafkaProducer

from deploy.local.deployment import Deployment
from deploy.local.process import ChildProcess
from schemas.commands import CloneOnce, CommandName, Order, SaveDirect, command_record, key_of
from service.runtime.kafka.tail import tail
from tests.support.platform import Platform
from tests.support.records import Records
from tests.support.results import Results
from tests.support.waiting import until

ROOT: Final = Path(__file__).parents[2]
PUBLISHED: Final = ROOT / "schemas/published/v1"
METHODS, INTENTS, CUSTOMERS = "/v1/payment_methods", "/v1/payment_intents", "/v1/customers"
WITHIN_S: Final = 20
AFTER_A_KILL_S: Final = 60  # the dead one's leases run out first


def _fits(name: str, headers: dict[str, str], value: dict[str, Any]) -> None:
    """A record is what its published schemas say."""
    for schema, said in ((f"{name}.headers", headers), (name, value)):
        published = json.loads((PUBLISHED / f"{schema}.schema.json").read_text(encoding="utf-8"))
        jsonschema.validate(said, published, format_checker=jsonschema.Draft202012Validator.FORMAT_CHECKER)


async def _charge(platform: Platform, account: str, method: str, customer: str | None) -> dict[str, Any]:
    """Charge the method directly on the account, its holder being absent where it is saved."""
    of = {"customer": customer, "off_session": "true"} if customer is not None else {}
    return await platform.post(
        INTENTS, account, amount="1000", currency="usd", payment_method=method, confirm="true", **of
    )


async def _is_charged(
    platform: Platform, records: Records, key: str, *, origin: str, way: str
) -> dict[str, Any]:
    """What the topic says can be charged on the account is charged there."""
    await records.until(lambda latest: key in latest and latest[key]["state"] == "ready", within_s=WITHIN_S)
    record = records.latest[key]
    _fits("payment-method", records.headers[key], record)
    assert record["origin"] == origin, way
    charged = await _charge(
        platform, record["account"], record["connected_payment_method"], record["connected_customer"]
    )
    assert charged["status"] == "succeeded", way
    return record


async def _send(deployment: Deployment, *options: str) -> tuple[int, dict[str, Any]]:
    """Run `offshoot commands send`, and give its exit status and what it prints."""
    process = deployment.offshoot("commands", "commands", "send", *options, "--wait", "30", "--json")
    status, said = await _ran(process)
    (line,) = [line for line in said.splitlines() if line.startswith('{"id"')]
    return status, json.loads(line)


async def _ran(process: ChildProcess) -> tuple[int, str]:
    process.start()

    async def ended() -> bool:
        return not process.running

    await until(ended, within_s=40, what=f"{process.name} ends")
    return process.status or 0, process.output()


async def test_way_a_saved_while_confirming_a_payment(platform: Platform, records: Records) -> None:
    """From the server, with the Stripe-Account header."""
    account = await platform.connect_account()
    customer = await platform.post(CUSTOMERS, account, name="Jenny Rosen")
    paid = await platform.post(
        INTENTS,
        account,
        amount="2000",
        currency="usd",
        customer=customer["id"],
        payment_method="pm_card_visa",
        setup_future_usage="off_session",
        confirm="true",
    )
    assert paid["status"] == "succeeded"

    key = f"{account}:{paid['payment_method']}"
    record = await _is_charged(platform, records, key, origin="direct", way="A")
    assert record["connected_customer"] == customer["id"]
    assert (record["platform_payment_method"], record["generation"]) == (None, None)
    assert len(records.history[key]) == 1


async def test_way_b_made_on_the_account_and_saved_by_command(
    deployment: Deployment, platform: Platform, records: Records, results: Results
) -> None:
    """The page makes the method; a service has it saved: announced as direct, once."""
    account = await platform.connect_account()
    customer = await platform.post(CUSTOMERS, account, name="Jenny Rosen")
    method = await platform.post(METHODS, account, type="card", **{"card[token]": "tok_mastercard"})

    save = [
        "direct.save",
        "--account",
        account,
        "--customer",
        customer["id"],
        "--payment-method",
        method["id"],
    ]
    status, said = await _send(deployment, *save)

    assert (status, said["state"], said["connected_payment_method"]) == (0, "completed", method["id"])
    headers, value = await results.first(said["id"], within_s=WITHIN_S)
    _fits("command-completed", headers, value)
    assert value == {"connected_payment_method": method["id"]}
    assert headers["ce_subject"] == f"{account}:{method['id']}"
    key = f"{account}:{method['id']}"
    await _is_charged(platform, records, key, origin="direct", way="B")
    assert len(records.history[key]) == 1

    status, said = await _send(deployment, *save, "--id", said["id"])
    assert (status, said["connected_payment_method"]) == (0, method["id"])
    declined = await platform.post(
        METHODS, account, type="card", **{"card[token]": "tok_chargeDeclinedInsufficientFunds"}
    )
    status, said = await _send(deployment, *save[:-1], declined["id"])
    assert (status, said["state"]) == (1, "rejected")
    headers, value = await results.first(said["id"], within_s=WITHIN_S)
    _fits("command-rejected", headers, value)
    assert (value["reason"], value["decline_code"]) == ("card_declined", "insufficient_funds")
    assert value["stripe_request_id"].startswith("req_")


async def test_way_c_granted_by_the_producer_of_the_docs(
    deployment: Deployment, platform: Platform, records: Records, tmp_path: Path
) -> None:
    """Its clone is charged on the account, and so is one that is made for a single charge."""
    account = await platform.connect_account()
    customer = await platform.new_customer()
    card = await platform.save_card(customer)
    (code,) = re.findall(
        r"^```python\n(.*?)^```$",
        (ROOT / "docs/commands.md").read_text(encoding="utf-8"),
        re.MULTILINE | re.DOTALL,
    )
    (tmp_path / "producer.py").write_text(code, encoding="utf-8")
    arguments = [deployment.kafka_bootstrap_servers, customer, account, deployment.topic_prefix]
    producer = ChildProcess(
        [sys.executable, "-W", "error", tmp_path / "producer.py", *arguments],
        log=tmp_path / "producer.log",
        env={"PATH": os.environ["PATH"]},
        cwd=tmp_path,
        name="producer",
    )

    status, printed = await _ran(producer)

    assert status == 0, printed
    share = {"share": {"customer": customer, "account": account, "wanted": True}}
    assert printed.splitlines()[-1] == f"offshoot.command.completed {json.dumps(share)}"
    key = f"{account}:{card}"
    record = await _is_charged(platform, records, key, origin="clone", way="C")
    assert f"{account}:{record['connected_payment_method']}" not in records.latest

    once = ["clone.once", "--account", account, "--payment-method", card]
    status, said = await _send(deployment, *once)
    assert (status, said["state"]) == (0, "completed")
    charged = await _charge(platform, account, said["connected_payment_method"], None)
    assert charged["status"] == "succeeded"


async def test_a_command_without_an_id_is_a_dead_letter(deployment: Deployment, platform: Platform) -> None:
    """It can have no result."""
    topic = f"{deployment.topic_prefix}offshoot.commands"
    async with (
        AIOKafkaProducer(bootstrap_servers=deployment.kafka_bootstrap_servers) as producer,
        tail(
            {"bootstrap_servers": deployment.kafka_bootstrap_servers},
            f"{deployment.topic_prefix}offshoot.dead-letters",
            within_s=WITHIN_S,
            client_id="test",
        ) as dead_letters,
    ):
        key = f"{await platform.connect_account()}:cus_P".encode()
        await producer.send_and_wait(topic, b"{}", key=key, headers=[("ce_type", b"offshoot.share.grant")])
        async with asyncio.timeout(WITHIN_S):
            async for dead in dead_letters:
                if dead.key == key:
                    break
    headers = dict(dead.headers)
    assert (dead.value, headers["ce_type"]) == (b"{}", b"offshoot.share.grant")
    assert headers["dlq-error-class"] == b"NamelessCommand"
    assert headers["dlq-original-topic"] == topic.encode()


async def test_killed_at_each_call_of_a_command(
    deployment: Deployment, platform: Platform, records: Records, results: Results
) -> None:
    """`work` dies by SIGKILL while Stripe's answers are under way: one effect and one result each."""
    account = await platform.connect_account()
    customer = await platform.post(CUSTOMERS, account, name="Jenny Rosen")
    method = await platform.post(METHODS, account, type="card", **{"card[token]": "tok_mastercard"})
    token_account = await platform.connect_account()
    other = await platform.post(CUSTOMERS, token_account, name="Jenny Rosen")
    clone_account = await platform.connect_account()
    card = await platform.save_card(await platform.new_customer())
    held = [
        (account, f"{METHODS}/{{payment_method}}/attach"),
        (token_account, METHODS),
        (clone_account, METHODS),
    ]
    for where, route in held:
        await platform.hold(route, where)
    orders: dict[str, Order] = {
        "kill-save": SaveDirect(account=account, customer=customer["id"], payment_method=method["id"]),
        "kill-token": SaveDirect(account=token_account, customer=other["id"], token="tok_visa"),
        "kill-once": CloneOnce(account=clone_account, payment_method=card),
    }
    async with AIOKafkaProducer(bootstrap_servers=deployment.kafka_bootstrap_servers) as producer:
        for name, order in orders.items():
            command = CommandName("/test", f"{name}-{account}", key_of(order))
            headers, value = command_record(command, order, now=datetime.now(UTC))
            topic = f"{deployment.topic_prefix}offshoot.commands"
            await producer.send_and_wait(topic, value, key=command.key.encode(), headers=headers)
    for where, route in held:
        await platform.held(route, where)

    deployment.work.kill()
    await platform.release()
    deployment.work.start()

    told = {name: (await results.first(f"{name}-{account}", within_s=AFTER_A_KILL_S))[1] for name in orders}
    for name, where in zip(orders, (account, token_account, clone_account), strict=True):
        (made,) = (await platform.state(where))["payment_methods"]
        assert told[name] == {"connected_payment_method": made["id"]}, name
        assert (made["customer"] is not None) == (name != "kill-once")
        calls = await platform.calls(where, method="POST")
        replayed = [call for call in calls if call["replayed"]]
        assert len(replayed) == 1, "the one whose answer was lost was sent twice"
        if name != "kill-once":
            key = f"{where}:{made['id']}"
            await records.until(lambda latest, key=key: key in latest, within_s=WITHIN_S)  # type: ignore[misc]
            assert [record["state"] for record in records.history[key]] == ["ready"]
