"""What an operator types at a running deployment, and what comes of it."""

import asyncio
import json
from typing import Any

from deploy.local.deployment import Deployment
from tests.support.platform import Platform
from tests.support.records import Records

WITHIN_S = 20


async def _offshoot(deployment: Deployment, *command: str) -> Any:
    process = deployment.offshoot("operator", *command, "--json")
    return json.loads(await asyncio.to_thread(process.run, within_s=WITHIN_S))


async def test_lists_say_what_others_read_and_a_retry_makes_the_clone_anew(
    deployment: Deployment, platform: Platform, records: Records
) -> None:
    account = await platform.connect_account()
    customer = await platform.new_customer(account)
    key = f"{account}:{await platform.save_card(customer)}"
    await records.until(lambda latest: latest.get(key, {}).get("state") == "ready", within_s=WITHIN_S)
    first = records.latest[key]["connected_payment_method"]

    assert await _offshoot(deployment, "clones", "list", "--account", account) == [records.latest[key]]
    assert await _offshoot(deployment, "shares", "list", "--customer", customer) == [
        {
            "customer": customer,
            "account": account,
            "wanted": True,
            "granted_by": ["metadata"],
            "due_at": None,
            "attempts": 0,
        }
    ]

    await platform.post(f"/v1/payment_methods/{first}/detach", account)
    await records.until(lambda latest: latest[key]["reason"] == "detached_on_account", within_s=WITHIN_S)
    (absent,) = await _offshoot(deployment, "clones", "list", "--account", account, "--state", "absent")
    assert absent == records.latest[key]

    assert await _offshoot(deployment, "clones", "retry", "--account", account) == {"taken_up": 1}
    await records.until(lambda latest: latest[key]["state"] == "ready", within_s=WITHIN_S)
    assert await platform.attached(account) == [records.latest[key]["connected_payment_method"]] != [first]
