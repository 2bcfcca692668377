"""The account list: `*` and SHARE_WITH=all mean every connected account, also one that never sent an event.

Read when `work` starts and daily, by one worker of the deployment (https://docs.stripe.com/api/accounts/list).
"""

import asyncio
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Final

import msgspec

from consumers.projection import objects
from consumers.projection.seen import AccountSeen
from consumers.store.database import StoreError
from consumers.store.listing import ListingStore
from consumers.stripe_calls import KeyWatch, StripeCalls
from consumers.stripe_errors import StripeError
from service.runtime.lifecycle import describe_error, wait_for_stop
from service.runtime.logging import get_logger

AT_START: Final = timedelta(minutes=5)
"""Not again at once where several workers start together, or one again and again."""

DAILY: Final = timedelta(days=1)
LOOK_EVERY_S: Final = 60.0
PAGE: Final = 100
"""The most that Stripe gives."""


class _Page(msgspec.Struct, frozen=True):
    data: list[objects.Account]
    has_more: bool = False


class AccountsLane:
    """Lists the connected accounts."""

    def __init__(
        self,
        listing: ListingStore,
        calls: StripeCalls,
        watch: KeyWatch,
        *,
        now: Callable[[], datetime],
        page: int = PAGE,
    ) -> None:
        self._listing = listing
        self._calls = calls
        self._watch = watch
        self._now = now
        self._page = page

    async def run(self, stop: asyncio.Event) -> None:
        """List at the start and daily, until the stop."""
        every, refused = AT_START, self._watch.times_refused
        while await self._watch.usable(stop):
            if self._watch.times_refused != refused:
                # Accounts may have been taken for gone while it was the key that had no access.
                every, refused = AT_START, self._watch.times_refused
            try:
                await self.list_accounts(every, stop)
                every = DAILY
            except StoreError as error:
                get_logger().warning("accounts.store_away", **describe_error(error))
            except StripeError as error:
                # Whoever comes first when the lease has run out begins again.
                get_logger().warning("accounts.failed", error=str(error), request_id=error.request_id)
            except msgspec.MsgspecError:
                get_logger().error("accounts.unreadable")
            await wait_for_stop(stop, LOOK_EVERY_S)

    async def list_accounts(self, every: timedelta, stop: asyncio.Event) -> None:
        """List them all, unless the last listing ended less than `every` ago or another worker is at it.

        Raises:
            StripeError: a page could not be read.
            StoreError: Postgres is away.
            msgspec.MsgspecError: a page has not its documented shape.
        """
        held = await self._listing.begin(every)
        after: str | None = None
        listed = 0
        while held is not None and not stop.is_set():
            read_at, page = await self._read(after)
            seen = [
                AccountSeen(account.id, read_at, account.capabilities or {}, whole=True)
                for account in page.data
            ]
            held = await self._listing.apply(held, seen)
            listed += len(seen)
            if held is not None and not (page.has_more and page.data):
                await self._listing.end(held)
                get_logger().info("accounts.listed", accounts=listed)
                return
            after = page.data[-1].id if page.data else None

    async def _read(self, after: str | None) -> tuple[datetime, _Page]:
        read_at = self._now()  # before it is sent: what it shows is not newer than this
        reply = await self._calls.make(
            "list_accounts", lambda: self._calls.stripe.list_accounts(self._page, after)
        )
        return read_at, objects.decode(msgspec.json.encode(reply.object), _Page)
