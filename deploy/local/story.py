"""The story that `offshoot local` plays: a platform's acts at Stripe, and what other services then read.

Everything goes through the front door: the platform calls Stripe, Stripe posts signed webhooks to `serve`,
and what is shown was read from Kafka, as any service would read it.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Final

import msgspec

from deploy.local.outsider import METADATA_KEY, Outsider
from deploy.local.screen import Screen
from deploy.local.verdict import Card, Holding, differences, tally
from schemas.records import PaymentMethodRecord, Reason, State
from service.runtime.kafka.consumer import Record

WITHIN_S: Final = 30.0
NAME, EMAIL = "Jenny Rosen", "jenny@example.com"
_READY: Final = (State.READY, None)
_BLOCKED: Final = (State.BLOCKED, Reason.CAPABILITY_INACTIVE)

Outcome = tuple[State, Reason | None]


class StoryError(Exception):
    """What should have been announced was not."""


class Announcements:
    """The newest record of each key, and every record shown as it is read."""

    def __init__(self, records: AsyncIterator[Record], screen: Screen) -> None:
        self.latest: dict[str, PaymentMethodRecord] = {}
        self._records = records
        self._screen = screen

    async def until(self, wanted: Mapping[str, Outcome], *, since: float) -> None:
        """Read until the newest record of each key is as wanted.

        Args:
            wanted: The outcome of each key.
            since: When the cause was, by the monotonic clock.

        Raises:
            StoryError: it was not so in time; the text says what was missing.
            KafkaUnavailableError: Kafka went away.
        """
        try:
            async with asyncio.timeout(WITHIN_S):
                with self._screen.pending("records"):
                    while missing := [key for key in wanted if self._outcome(key) != wanted[key]]:
                        await self._show_next(since)
        except TimeoutError:
            lines = [f"    {key}: {_words(self._outcome(key))}, not {_words(wanted[key])}" for key in missing]
            raise StoryError("\n".join([f"not announced within {WITHIN_S:g} s:", *lines])) from None

    async def follow(self) -> None:
        """Show whatever comes, for ever."""
        while True:
            await self._show_next(None)

    async def _show_next(self, since: float | None) -> None:
        read = await anext(self._records)
        took_ms = None if since is None else (time.monotonic() - since) * 1000
        record = msgspec.json.decode(read.value or b"", type=PaymentMethodRecord)
        if record.key not in self.latest or record.version > self.latest[record.key].version:
            self.latest[record.key] = record
            self._screen.record(record, took_ms)

    def _outcome(self, key: str) -> Outcome | None:
        record = self.latest.get(key)
        return (record.state, record.reason) if record else None


async def play(
    platform: Outsider, announcements: Announcements, screen: Screen
) -> tuple[list[str], str, list[Card]]:
    """Play it; return the accounts, the platform customer, and its cards, the accounts' default first.

    Raises:
        StoryError: what should have been announced was not.
        KafkaUnavailableError: Kafka went away.
        httpx.HTTPError: the emulator refused, or went away.
    """
    screen.act(1, "The platform connects three accounts; two of them may take cards.")
    accounts = first, second, third = [await platform.connect_account() for _ in range(3)]
    for each in (first, second):
        await platform.activate_card_payments(each)
        screen.fact(account=each, note="card_payments active")
    screen.fact(account=third, note="no card_payments yet")

    screen.act(2, f"A customer of the platform names them in its metadata ({METADATA_KEY}).")
    customer = await platform.new_customer(accounts, name=NAME, email=EMAIL)
    screen.fact(customer=customer, note=NAME)

    screen.act(3, "The customer saves a card: two accounts get a clone, the third has to wait.")
    visa = await platform.new_card("tok_visa")
    screen.fact(customer=customer, method=visa.id, note="Visa")
    since = time.monotonic()
    await platform.attach(visa, customer)
    outcomes = {first: _READY, second: _READY, third: _BLOCKED}
    await announcements.until({_key(each, visa): outcomes[each] for each in accounts}, since=since)

    screen.act(4, "The third account may take cards: its clone is made now.")
    screen.fact(account=third, note="card_payments active")
    since = time.monotonic()
    await platform.activate_card_payments(third)
    await announcements.until({_key(third, visa): _READY}, since=since)

    screen.act(5, "The customer saves a second card: three more clones, no new customers.")
    mastercard = await platform.new_card("tok_mastercard")
    screen.fact(customer=customer, method=mastercard.id, note="Mastercard")
    since = time.monotonic()
    await platform.attach(mastercard, customer)
    await announcements.until({_key(each, mastercard): _READY for each in accounts}, since=since)
    return accounts, customer, [visa, mastercard]


async def judge(
    platform: Outsider,
    announcements: Announcements,
    screen: Screen,
    *,
    accounts: Sequence[str],
    cards: Sequence[Card],
) -> bool:
    """Look at Stripe, and at the records, whether everything is as it should be; show it and say so.

    Raises:
        httpx.HTTPError: the emulator went away.
    """
    screen.heading("Is it so? What Stripe holds now, and what Kafka says of it")
    holdings = [Holding.of(await platform.state(each)) for each in accounts]
    found = {each.account: differences(each, cards, announcements.latest) for each in holdings}
    screen.verdict(found)
    calls = await platform.calls()
    screen.heading("What it cost: Offshoot's calls to Stripe for each account")
    screen.tallies([tally(calls, each) for each in accounts])
    right = not any(found.values())
    screen.line("")
    if right:
        screen.line(
            f"OK: {len(accounts)} accounts, {len(cards)} clones on each, as it should be", "bold green"
        )
    else:
        screen.line("NOT OK: it is not as it should be, see above", "bold red")
    return right


def _key(account: str, card: Card) -> str:
    return f"{account}:{card.id}"


def _words(outcome: Outcome | None) -> str:
    if outcome is None:
        return "nothing yet"
    state, reason = outcome
    return f"{state} ({reason})" if reason else f"{state}"
