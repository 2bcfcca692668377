"""`work` dies by SIGKILL between a call to Stripe and its record; the next leaves one clone, one customer."""

import asyncpg

from deploy.local.deployment import Deployment
from tests.e2e.conftest import Intents
from tests.support.platform import Platform
from tests.support.records import Records
from tests.support.waiting import until

CLONE, CUSTOMERS = "/v1/payment_methods", "/v1/customers"
WITHIN_S = 60  # the dead one's leases run out first


async def test_killed_while_the_answer_is_under_way(
    deployment: Deployment, platform: Platform, records: Records, intents: Intents
) -> None:
    """At Stripe it has happened, here nobody knows: one share at its clone call, one at its second call."""
    card, accounts = await _stopped_between_call_and_record(platform)

    deployment.work.kill()
    await platform.release()
    deployment.work.start()

    await _ends_with_one_of_each(platform, records, intents, card, accounts)


async def test_killed_with_the_answer_in_hand(
    deployment: Deployment, platform: Platform, records: Records, intents: Intents
) -> None:
    """As above, but the answers have arrived: Postgres is made to wait when they are to be recorded."""
    card, accounts = await _stopped_between_call_and_record(platform)

    gate, watch = [await asyncpg.connect(deployment.database_url) for _ in range(2)]
    async with gate.transaction():
        await gate.execute("LOCK TABLE offshoot.clone IN SHARE MODE")
        await platform.release()

        async def both_wait() -> bool:
            waiting = await watch.fetchval(
                "SELECT count(*) FROM pg_locks WHERE NOT granted AND relation = 'offshoot.clone'::regclass"
            )
            return bool(waiting == len(accounts))

        await until(both_wait, within_s=20, what="both records wait for the lock")
        deployment.work.kill()
    await gate.close()
    await watch.close()
    deployment.work.start()

    await _ends_with_one_of_each(platform, records, intents, card, accounts)


async def _stopped_between_call_and_record(platform: Platform) -> tuple[str, list[str]]:
    """Share a card with two accounts; one's clone call and the other's second call have had their effect."""
    first, second = await platform.connect_account(), await platform.connect_account()
    await platform.hold(CLONE, first)
    await platform.hold(CUSTOMERS, second)
    card = await platform.save_card(await platform.new_customer(first, second))
    await platform.held(CLONE, first)
    await platform.held(CUSTOMERS, second)
    return card, [first, second]


async def _ends_with_one_of_each(
    platform: Platform, records: Records, intents: Intents, card: str, accounts: list[str]
) -> None:
    keys = [f"{account}:{card}" for account in accounts]
    await records.until(
        lambda latest: all(key in latest and latest[key]["state"] == "ready" for key in keys),
        within_s=WITHIN_S,
    )
    for account, key in zip(accounts, keys, strict=True):
        state = await platform.state(account)
        (connected,), (clone,) = state["customers"], state["payment_methods"]
        assert clone["customer"] == connected["id"]
        record = records.latest[key]
        assert record["connected_customer"] == connected["id"]
        assert record["connected_payment_method"] == clone["id"]
        assert len(records.history[key]) == 1
        writes = [call for call in await platform.calls(account) if call["method"] == "POST"]
        assert len(writes) == 3, "the one whose answer was lost was sent twice"
        assert [call["replayed"] for call in writes].count(True) == 1
        assert sorted({call["idempotency_key"] for call in writes}) == sorted(await intents(account))
