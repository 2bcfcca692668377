"""One outage from its beginning to its end, seen by the senders, by a load balancer and by other clients."""

import asyncio
import contextlib
import signal
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path

from tests.fault.support.brokers import Topic
from tests.fault.support.load import Answer, Load
from tests.fault.support.readiness import Readiness
from tests.fault.support.verdict import (
    AT_ONCE_S,
    MARGIN_S,
    RECOVERS_WITHIN_S,
    check_answers,
    check_nothing_is_lost,
    check_refused_at_once,
    first_ack,
    longest_gap_s,
    report,
)
from tests.integration.receiver import Serve, records
from tests.support.waiting import until

GRACE_S = 6
_LEAVERS_SENDERS = 4
_UNREADY_S = 10.0
"""A failed publish makes unready for so long (`service.receiver.publisher`)."""


@dataclass(frozen=True)
class Receiver:
    """A receiver under load, and another one that leaves while the brokers are away."""

    load: Load
    readiness: Readiness
    leaver: Serve
    leavers_load: Load
    deadline_s: float

    async def leave(self) -> float:
        """End the other one by SIGTERM once it feels the outage; give the seconds that took."""
        await until(self._leaver_feels_it, within_s=20, what="records of the leaver wait, or it is away")
        began = time.monotonic()
        self.leaver.process.send(signal.SIGTERM)
        assert await asyncio.to_thread(self.leaver.process.wait_ended, GRACE_S), "it outlived its grace"
        status = self.leaver.process.status
        assert status == 0, f"it ended with status {status}"
        return time.monotonic() - began

    async def _leaver_feels_it(self) -> bool:
        metrics = await asyncio.to_thread(self.leaver.ops.get, "/metrics")
        words = (f"offshoot_webhooks_in_flight {_LEAVERS_SENDERS}.0", "offshoot_broker_connected 0.0")
        return any(word in metrics.text for word in words)

    def check(self, found: list[object], *, acks_since: float = 0.0) -> None:
        """Hold both to what they answered; `acks_since`: older records went with their topic."""
        lasting = [answer for answer in self.load.answers if answer.began > acks_since]
        check_nothing_is_lost(lasting, found)
        check_answers(self.load.answers, self.deadline_s)
        check_answers(self.leavers_load.answers, max(self.deadline_s, GRACE_S), leaves=True)
        if not acks_since:
            check_nothing_is_lost(self.leavers_load.answers, found)


@contextlib.asynccontextmanager
async def receiver(topic: Topic, folder: Path, deadline_s: float) -> AsyncIterator[Receiver]:
    """Two receivers under load, ready and acknowledging unless the brokers are down already."""
    settings = {
        "KAFKA_TOPIC_PREFIX": topic.name.removesuffix("stripe.events"),
        "PUBLISH_TIMEOUT_S": f"{deadline_s:g}",
        "SHUTDOWN_GRACE_S": str(GRACE_S),
    }
    async with contextlib.AsyncExitStack() as stack:
        staying, leaver = (
            stack.enter_context(Serve(folder, topic.bootstrap_servers, **settings)) for _ in range(2)
        )
        port = staying.listening()["public"]
        yield Receiver(
            load=await stack.enter_async_context(Load(port)),
            readiness=await stack.enter_async_context(Readiness(port)),
            leaver=leaver,
            leavers_load=await stack.enter_async_context(
                Load(leaver.listening()["public"], senders=_LEAVERS_SENDERS)
            ),
            deadline_s=deadline_s,
        )


async def live_through(
    topic: Topic,
    folder: Path,
    *,
    name: str,
    strike: Callable[[], Awaitable[object]],
    lift: Callable[[], Awaitable[object]],
    deadline_s: float = 4,
    for_s: float = 0,
    acks_are_lost: bool = False,
) -> None:
    """Have every broker struck under load and back again, and check every promise on the way.

    Args:
        topic: it exists.
        folder: for the receivers' logs.
        name: of the fault, for the line of figures.
        strike: takes the brokers away.
        lift: gives them back.
        deadline_s: `PUBLISH_TIMEOUT_S`.
        for_s: how long it lasts, at least.
        acks_are_lost: the fault takes with it what was acknowledged before.
    """
    async with receiver(topic, folder, deadline_s) as both:
        load, readiness = both.load, both.readiness
        await load.until_steady(within_s=30)
        await both.leavers_load.until_steady(within_s=30)
        await readiness.until(lambda look: look.ready, within_s=5, what="ready before")
        struck = time.monotonic()
        noticing = asyncio.create_task(
            readiness.until(lambda look: not look.connected, within_s=30, what="the outage is noticed")
        )
        await strike()
        gone = time.monotonic()
        left_s = await both.leave()
        noticed = await noticing
        assert not noticed.ready
        assert noticed.at - struck < deadline_s + MARGIN_S + gone - struck
        await load.until(60, _refused_at_once, within_s=10, what="refusals at once")
        await load.until(1, lambda each: each.ended > struck + for_s, within_s=for_s + 10, what="answer then")
        lifted = time.monotonic()
        accepting = asyncio.create_task(topic.accepts(within_s=60))
        await lift()
        accepted = await accepting
        await load.until_steady(within_s=30)
        ready = await readiness.until(lambda look: look.ready, within_s=_UNREADY_S + 5, what="ready again")
    slowest = check_refused_at_once(load.answers, noticed.at, lifted)
    back = first_ack(load.answers, lifted).ended - accepted
    found = await asyncio.to_thread(records, topic.bootstrap_servers, topic.name)
    both.check(found, acks_since=gone if acks_are_lost else 0.0)
    report(
        f"{name}: gap {longest_gap_s(load.answers):.1f} s, noticed after {noticed.at - struck:.1f} s, "
        f"away for {lifted - struck:.1f} s, then 503 within {slowest * 1000:.0f} ms; "
        f"first 2xx {back:+.2f} s after the broker accepts, ready {ready.at - accepted:+.1f} s; "
        f"SIGTERM in it took {left_s:.1f} s; "
        f"slowest answer {max(each.took_s for each in load.answers):.1f} of {deadline_s} s"
    )
    assert back < RECOVERS_WITHIN_S


def _refused_at_once(answer: Answer) -> bool:
    return answer.status == 503 and answer.took_s < AT_ONCE_S
