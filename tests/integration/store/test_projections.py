"""What ingest and readings write, and which shares they make due."""

import asyncio
from datetime import timedelta

import asyncpg
import pytest

from consumers.projection.fold import Projection, fold
from consumers.projection.seen import AccountSeen, CustomerSeen, Hint, Kind, PaymentMethodSeen, Seen
from consumers.store.projections import EventNoted
from consumers.store.shares import CHANNEL_DUE
from tests.integration.store.world import World
from tests.unit.consumers.sightings import START, account, at, card, customer

SHARE = ("cus_P", "acct_1")


# Customers, and the shares their metadata names.


async def test_a_card_before_its_customer_ends_with_a_due_share(world: World) -> None:
    """The customer is put on refresh meanwhile, and off it when it arrives."""
    assert await world.see(card(1)) == 0
    assert await world.in_doubt(Kind.CUSTOMER, "cus_P")

    await world.see(customer(2, "acct_1"))

    assert await world.due() == [SHARE]
    assert not await world.in_doubt(Kind.CUSTOMER, "cus_P")
    (lease,) = await world.shares.claim(10)
    assert (await world.method(lease)).id == "pm_P"


async def test_a_customer_before_its_card_ends_with_a_due_share(world: World) -> None:
    await world.see(customer(1, "acct_1"))
    await world.settle()

    await world.see(card(2))

    assert await world.due() == [SHARE]
    assert not await world.in_doubt(Kind.CUSTOMER, "cus_P")


async def test_both_in_one_batch(world: World) -> None:
    await world.see(card(1), customer(1, "acct_1", "acct_2"))

    assert await world.due() == [SHARE, ("cus_P", "acct_2")]


async def test_an_account_named_and_never_heard_of_is_a_stub(world: World) -> None:
    await world.see(customer(1, "acct_1"))

    row = await world.row("account", "acct_1")
    assert (row["known"], row["capabilities"], row["refresh_at"]) == (False, "{}", None)


async def test_grants_are_followed_and_withdrawn(world: World) -> None:
    await world.see(customer(1, "acct_1", "acct_2"))
    await world.settle()

    await world.see(customer(2, "acct_2", "acct_3"))

    rows = await world.sql.fetch(
        "SELECT account_id, wanted, granted_by_metadata FROM offshoot.share ORDER BY 1"
    )
    assert [tuple(row) for row in rows] == [
        ("acct_1", False, False),
        ("acct_2", True, True),
        ("acct_3", True, True),
    ]
    assert ("cus_P", "acct_1") in await world.due()
    assert ("cus_P", "acct_3") in await world.due()


async def test_a_grant_that_comes_back_is_the_same_share(world: World) -> None:
    await world.see(customer(1, "acct_1"))
    first = await world.share()
    await world.see(customer(2))
    await world.settle()

    await world.see(customer(3, "acct_1"))

    again = await world.share()
    assert (again["id"], again["wanted"]) == (first["id"], True)
    assert await world.due() == [SHARE]


async def test_a_grant_by_command_stands_beside(world: World) -> None:
    """Metadata that names the account no more takes only its own grant."""
    await world.see(customer(1, "acct_1"))
    await world.sql.execute("UPDATE offshoot.share SET granted_by_command = true")

    await world.see(customer(2))

    share = await world.share()
    assert (share["granted_by_metadata"], share["wanted"]) == (False, True)


async def test_another_customers_shares_are_left_alone(world: World) -> None:
    await world.see(customer(1, "acct_1"), customer(1, "acct_1", name="cus_Q"))
    before = await world.marks()
    await world.settle()

    await world.see(customer(2), card(2))

    assert (await world.share("cus_Q"))["wanted"]
    assert (await world.marks())["cus_Q", "acct_1"] == before["cus_Q", "acct_1"]
    assert await world.due() == [SHARE]


async def test_a_deleted_customers_shares_are_not_wanted_and_due(world: World) -> None:
    await world.see(customer(1, "acct_1", profile={"name": "Jenny"}))
    await world.settle()

    await world.see(customer(2, "acct_1", deleted=True))

    assert (await world.share())["wanted"] is False
    assert await world.due() == [SHARE]


async def test_deleted_is_sticky(world: World) -> None:
    """Whatever arrives after it, however late it was made."""
    await world.see(customer(2, "acct_1", deleted=True))

    await world.see(customer(3, "acct_1"))

    assert (await world.row("customer", "cus_P"))["deleted_at"] == at(2)
    assert await world.due() == []


@pytest.mark.parametrize(
    "changed",
    [customer(2, "acct_1", default="pm_2"), customer(2, "acct_1", deleted=True)],
    ids=["default", "deleted"],
)
async def test_what_makes_a_customers_shares_due(world: World, changed: Seen) -> None:
    await world.see(customer(1, "acct_1"))
    await world.settle()

    await world.see(changed)

    assert await world.due() == [SHARE]


async def test_an_older_customer_changes_nothing(world: World) -> None:
    await world.see(customer(5, "acct_1", default="pm_2"))
    before = await world.row("customer", "cus_P")
    marks = await world.marks()

    assert await world.see(customer(4, "acct_2", default="pm_1")) == 0

    assert await world.row("customer", "cus_P") == before
    assert await world.marks() == marks


# Payment methods.


@pytest.mark.parametrize("later", [0, 1], ids=["older", "newer"])
async def test_detached_is_sticky(world: World, later: int) -> None:
    """Whichever of the two arrives first."""
    await world.see(customer(1, "acct_1"))
    await world.see(card(5, of=None, detached=True))

    await world.see(card(5 + later), card(4))

    row = await world.row("payment_method", "pm_P")
    assert (row["detached_at"], row["customer_id"]) == (at(5), "cus_P")


async def test_an_old_detachment_is_heard_after_a_newer_event(world: World) -> None:
    """It marks the shares, and leaves the newer content."""
    await world.see(customer(1, "acct_1"), card(5, b"new"))
    await world.settle()

    await world.see(card(3, b"old", detached=True))

    row = await world.row("payment_method", "pm_P")
    assert (row["detached_at"], row["content_hash"], row["generation"]) == (at(3), b"new", 1)
    assert await world.due() == [SHARE]


async def test_an_older_method_changes_nothing(world: World) -> None:
    await world.see(customer(1, "acct_1"), card(5, b"new"))
    before, marks = await world.row("payment_method", "pm_P"), await world.marks()

    assert await world.see(card(4, b"old", opted_out=True)) == 0

    assert await world.row("payment_method", "pm_P") == before
    assert await world.marks() == marks


async def test_new_content_raises_the_generation_once(world: World) -> None:
    """A repeat does not, nor does what is no content."""
    await world.see(customer(1, "acct_1"), card(1, b"a"))
    generations = []
    for seen in (card(1, b"a"), card(2, b"b"), card(2, b"b"), card(3, b"b", opted_out=True), card(4, b"c")):
        await world.see(seen)
        generations.append((await world.row("payment_method", "pm_P"))["generation"])

    assert generations == [1, 2, 2, 2, 3]


@pytest.mark.parametrize(
    "changed",
    [card(2, b"b"), card(2, opted_out=True), card(2, detached=True)],
    ids=["content", "opted out", "detached"],
)
async def test_what_makes_a_methods_shares_due(world: World, changed: Seen) -> None:
    await world.see(customer(1, "acct_1"), card(1))
    await world.settle()

    await world.see(changed)

    assert await world.due() == [SHARE]


async def test_a_detached_method_without_an_owner_keeps_the_one_it_had(world: World) -> None:
    await world.see(card(1))

    await world.see(card(2, of=None, detached=True))

    assert (await world.row("payment_method", "pm_P"))["customer_id"] == "cus_P"


# Accounts.


async def _capabilities(world: World) -> tuple[str, bool]:
    row = await world.row("account", "acct_1")
    return row["capabilities"].replace('"', ""), row["known"]


async def test_a_part_is_not_the_whole(world: World) -> None:
    await world.see(account(1, card_payments="active"))

    assert await _capabilities(world) == ("{card_payments: active}", False)


async def test_a_whole_one_replaces_and_a_part_is_laid_over(world: World) -> None:
    await world.see(account(1, card_payments="inactive", transfers="active"))
    await world.see(account(2, whole=True, card_payments="inactive", legacy_payments="active"))
    await world.see(account(3, card_payments="active"))

    assert await _capabilities(world) == ("{card_payments: active, legacy_payments: active}", True)


async def test_an_older_whole_fills_in_what_was_not_known(world: World) -> None:
    await world.see(account(3, card_payments="active"))

    await world.see(account(2, whole=True, card_payments="inactive", transfers="active"))

    assert await _capabilities(world) == ("{transfers: active, card_payments: active}", True)


async def test_an_older_whole_does_not_replace_what_is_known(world: World) -> None:
    await world.see(account(3, whole=True, card_payments="active"))

    await world.see(account(2, whole=True, card_payments="inactive"))

    assert await _capabilities(world) == ("{card_payments: active}", True)


@pytest.mark.parametrize(
    "changed",
    [account(2, card_payments="active"), account(2, whole=True), account(2, connected=False)],
    ids=["capability", "whole", "access"],
)
async def test_what_makes_an_accounts_shares_due(world: World, changed: Seen) -> None:
    """Those of every customer shared with it, and no other account's."""
    await world.see(
        account(1, whole=True, card_payments="inactive"),
        customer(1, "acct_1", "acct_2"),
        customer(1, "acct_1", name="cus_Q"),
    )
    await world.settle()

    assert await world.see(changed) == 2

    assert await world.due() == [SHARE, ("cus_Q", "acct_1")]


async def test_access_is_taken_and_given_again(world: World) -> None:
    """Given again, the account is as if never seen: everything is looked at afresh."""
    await world.see(account(1, whole=True, card_payments="active"), customer(1, "acct_1"))
    await world.see(account(2, connected=False))
    assert (await world.row("account", "acct_1"))["disconnected_at"] == at(2)

    await world.see(account(3, connected=True))

    row = await world.row("account", "acct_1")
    assert (row["disconnected_at"], row["known"]) == (None, False)
    assert await _capabilities(world) == ("{}", False)


async def test_an_older_word_of_access_changes_nothing(world: World) -> None:
    await world.see(account(1, whole=True, card_payments="active"))
    await world.see(account(5, connected=False))

    await world.see(account(4, connected=True))

    assert (await world.row("account", "acct_1"))["disconnected_at"] == at(5)


async def test_an_account_that_is_heard_of_is_refused_no_more(world: World) -> None:
    await world.see(customer(1, "acct_1"))
    await world.read(await world.doubt(Kind.ACCOUNT, "acct_1"), None, at(2))
    assert (await world.row("account", "acct_1"))["refused_at"] == at(2)
    await world.settle()

    await world.see(account(3, card_payments="active"))

    assert (await world.row("account", "acct_1"))["refused_at"] is None
    assert await world.due() == [SHARE]


# Repeats and doubts.


async def test_a_batch_that_is_read_again_changes_nothing_and_marks_nothing(world: World) -> None:
    """As after a crash between the transaction and its offsets."""
    batch: list[Seen] = [
        account(1, whole=True, card_payments="inactive"),
        account(2, card_payments="active"),
        account(2, connected=True),
        customer(1, "acct_1", "acct_2", default="pm_P", profile={"name": "Jenny"}),
        customer(1, "acct_1", name="cus_Q"),
        card(1),
        card(2, b"b"),
        card(3, name="pm_2", detached=True),
    ]
    events = [EventNoted(f"evt_{n}", at(n), "customer.updated") for n in range(3)]
    await world.see(*batch)
    await world.projections.note_and_apply(events, _nothing())
    await world.settle()
    before = await _everything(world)

    assert await world.see(*batch) == 0
    for seen in batch:
        if seen is not batch[0]:
            await world.see(seen)
    await world.projections.note_and_apply([*events, *events], _nothing())

    assert await _everything(world) == before


def _nothing() -> Projection:
    return fold([])


async def _everything(world: World) -> list[list[tuple[object, ...]]]:
    tables = ("account", "customer", "payment_method", "share", "inbox")
    return [
        [tuple(row) for row in await world.sql.fetch(f"SELECT * FROM offshoot.{table} ORDER BY 1, 2")]  # noqa: S608
        for table in tables
    ]


@pytest.mark.parametrize(
    ("one", "other", "kind"),
    [
        (customer(1, "acct_1"), customer(1, "acct_2"), Kind.CUSTOMER),
        (customer(1), customer(1, default="pm_P"), Kind.CUSTOMER),
        (card(1, b"a"), card(1, b"b"), Kind.PAYMENT_METHOD),
        (card(1), card(1, opted_out=True), Kind.PAYMENT_METHOD),
        (account(1, card_payments="active"), account(1, card_payments="inactive"), Kind.ACCOUNT),
        (account(1, whole=True, card_payments="active"), account(1, card_payments="inactive"), Kind.ACCOUNT),
        (account(1, connected=True), account(1, connected=False), Kind.ACCOUNT),
    ],
)
@pytest.mark.parametrize("together", [True, False], ids=["one batch", "two batches"])
async def test_a_contradiction_within_a_second_is_read_soon(
    world: World, one: Seen, other: Seen, kind: Kind, *, together: bool
) -> None:
    """Two seconds ahead, in case the object arrives by itself."""
    batches = [[one, other]] if together else [[one], [other]]
    for batch in batches:
        await world.see(*batch)

    ahead = await world.sql.fetchval(f"SELECT refresh_at - now() FROM offshoot.{kind}")  # noqa: S608
    assert timedelta(seconds=1) < ahead <= timedelta(seconds=2)
    assert await world.projections.claim_refreshes(10) == []


@pytest.mark.parametrize(
    ("again", "kind"),
    [
        (customer(2, "acct_1"), Kind.CUSTOMER),
        (card(2, b"b"), Kind.PAYMENT_METHOD),
        (account(2, whole=True), Kind.ACCOUNT),
    ],
)
async def test_a_doubt_ends_when_the_object_arrives(world: World, again: Seen, kind: Kind) -> None:
    await world.see(Hint(kind, again.id, at(1)))
    assert await world.in_doubt(kind, again.id)

    await world.see(again)

    assert not await world.in_doubt(kind, again.id)


@pytest.mark.parametrize("kind", list(Kind))
async def test_a_hint_about_something_never_seen_makes_a_row_to_read(world: World, kind: Kind) -> None:
    await world.see(Hint(kind, "x_1", at(1)))

    row = await world.row(kind, "x_1")
    assert row["known"] is False
    assert row["refresh_at"] is not None


async def test_a_nearer_reading_stays_nearer(world: World) -> None:
    await world.see(customer(1))
    await world.sql.execute("UPDATE offshoot.customer SET refresh_at = now() - interval '1 second'")

    await world.see(Hint(Kind.CUSTOMER, "cus_P", at(2)))

    assert [refresh.id for refresh in await world.projections.claim_refreshes(10)] == ["cus_P"]


# Readings.


async def test_a_wanted_account_is_read_at_once_and_its_shares_are_due(world: World) -> None:
    await world.see(customer(1, "acct_1"))
    await world.settle()
    await world.projections.want_account("acct_1")
    (refresh,) = await world.projections.claim_refreshes(10)

    assert await world.read(refresh, account(2, card_payments="active")) == 1

    row = await world.row("account", "acct_1")
    assert (row["known"], row["read_at"], row["as_of"], row["refresh_at"]) == (True, at(2), None, None)
    assert await world.due() == [SHARE]


async def test_an_account_wanted_twice_is_read_once(world: World) -> None:
    """Many shares may wait for it."""
    await world.see(customer(1, "acct_1"))
    await world.projections.want_account("acct_1")
    await world.projections.claim_refreshes(10)

    await world.projections.want_account("acct_1")

    assert await world.projections.claim_refreshes(10) == []


async def _reading_refused(world: World, second: float, *, invalid: bool = True) -> int:
    refresh = await world.doubt(Kind.ACCOUNT, "acct_1")
    return await world.projections.apply_account_reading(
        refresh.id, at(second), refresh.claimed, None, invalid=invalid
    )


@pytest.mark.parametrize("invalid", [True, False])
async def test_an_account_that_was_never_known_is_unknown_once_a_reading_is_refused(
    world: World, *, invalid: bool
) -> None:
    await world.see(customer(1, "acct_1"))
    await world.settle()

    assert await _reading_refused(world, 5, invalid=invalid) == 1

    row = await world.row("account", "acct_1")
    assert (row["refused_at"], row["disconnected_at"], row["refresh_at"]) == (at(5), None, None)
    assert await world.due() == [SHARE]


@pytest.mark.parametrize("whole", [True, False], ids=["seen whole", "heard of"])
@pytest.mark.parametrize("told", ["a reading", "another call"])
async def test_a_known_account_is_taken_from_us_by_a_second_answer_to_a_reading(
    world: World, told: str, *, whole: bool
) -> None:
    """The first one, whatever was called, only has it read again."""
    await world.see(customer(1, "acct_1"), account(1, whole=whole, transfers="active"))
    await world.settle()

    if told == "a reading":
        assert await _reading_refused(world, 5) == 0
    else:
        await world.projections.want_account("acct_1", called_invalid=True)
    after_one = await world.row("account", "acct_1")
    assert (after_one["refused_at"], after_one["disconnected_at"]) == (None, None)
    assert after_one["refresh_at"] is not None

    assert await _reading_refused(world, 6) == 1
    row = await world.row("account", "acct_1")
    assert (row["refused_at"], row["disconnected_at"], row["refresh_at"]) == (None, at(6), None)
    assert await world.due() == [SHARE]


@pytest.mark.parametrize("what", ["shown", "heard of"])
async def test_an_account_that_is_there_after_all_needs_two_answers_again(world: World, what: str) -> None:
    await world.see(customer(1, "acct_1"), account(1, whole=True, transfers="active"))
    await _reading_refused(world, 5)

    seen = account(6, whole=True, transfers="active")
    if what == "shown":
        await world.read(await world.doubt(Kind.ACCOUNT, "acct_1"), seen)
    else:
        await world.see(seen)
    await _reading_refused(world, 7)

    assert (await world.row("account", "acct_1"))["disconnected_at"] is None


async def test_only_account_invalid_says_anything_of_a_known_account(world: World) -> None:
    await world.see(customer(1, "acct_1"), account(1, whole=True, transfers="active"))
    await world.settle()

    for second in (5, 6, 7):
        assert await _reading_refused(world, second, invalid=False) == 0

    row = await world.row("account", "acct_1")
    assert (row["refused_at"], row["disconnected_at"], row["refresh_at"]) == (None, None, None)


@pytest.mark.parametrize("known", [False, True])
async def test_that_it_was_taken_away_is_heard_after_a_reading_was_refused(
    world: World, *, known: bool
) -> None:
    """The reading came later and says no more: it is not read again, and is announced as what it is."""
    await world.see(customer(1, "acct_1"), account(1, whole=known, transfers="active"))
    await _reading_refused(world, 9)

    await world.see(account(5, connected=False))

    row = await world.row("account", "acct_1")
    assert (row["revoked"], row["disconnected_at"] is not None) == (True, True)


@pytest.mark.parametrize(
    "before",
    [account(1, connected=True), account(2, transfers="active"), account(2, whole=True)],
    ids=["authorised earlier", "capability in the same second", "account in the same second"],
)
async def test_an_account_that_was_taken_away_is_not_read(world: World, before: Seen) -> None:
    """A deauthorised account gets no further call, whatever is in doubt about it."""
    await world.see(account(1, whole=True, card_payments="active"))
    await world.see(before)
    await world.see(account(2, connected=False))
    await world.sql.execute("UPDATE offshoot.account SET refresh_at = now()")

    assert await world.projections.claim_refreshes(10) == []


@pytest.mark.parametrize("at_once", [False, True], ids=["one by one", "in one batch"])
@pytest.mark.parametrize("given_last", [False, True])
@pytest.mark.parametrize(
    "shown", [None, account(9, whole=True, card_payments="active")], ids=["gone", "there"]
)
async def test_access_given_and_taken_away_within_a_second_is_asked_for(
    world: World, shown: AccountSeen | None, *, given_last: bool, at_once: bool
) -> None:
    """Stripe's events of one second have no order: an account must not stay taken away for having one."""
    await world.see(customer(1, "acct_1"), account(1, whole=True, card_payments="active"))
    taken, given = account(2, connected=False), account(2, connected=True)
    events = [taken, given] if given_last else [given, taken]
    for batch in [events] if at_once else [[event] for event in events]:
        await world.see(*batch)
    assert ((await world.row("account", "acct_1"))["disconnected_at"] is None) == given_last

    for _ in range(2):  # that Stripe calls it invalid counts from the second time on
        await world.sql.execute("UPDATE offshoot.account SET refresh_at = now() WHERE refresh_at IS NOT NULL")
        for refresh in await world.projections.claim_refreshes(10):
            await world.read(refresh, shown, at(9))

    row = await world.row("account", "acct_1")
    assert (row["disconnected_at"] is None, row["refresh_at"]) == (shown is not None, None)


@pytest.mark.parametrize(
    ("had", "shown"),
    [
        (customer(1, "acct_2"), customer(9, "acct_1")),
        (customer(1, "acct_1"), customer(9, "acct_1", default="pm_1")),
        (customer(1, "acct_1"), customer(9, deleted=True)),
    ],
    ids=["grants", "default", "deleted"],
)
async def test_a_reading_of_a_customer_is_followed(
    world: World, had: CustomerSeen, shown: CustomerSeen
) -> None:
    await world.see(had)
    await world.settle()

    assert await world.read(await world.doubt(Kind.CUSTOMER, "cus_P"), shown) >= 1

    row = await world.row("customer", "cus_P")
    assert (row["as_of"], row["read_at"], row["refresh_at"]) == (at(1), at(9), None)
    assert SHARE in await world.due()


async def test_a_reading_of_a_deleted_customer_keeps_its_profile(world: World) -> None:
    """A deleted customer is read without its fields."""
    await world.see(customer(1, "acct_1", profile={"name": "Jenny"}))

    await world.read(await world.doubt(Kind.CUSTOMER, "cus_P"), customer(9, deleted=True))

    row = await world.row("customer", "cus_P")
    assert (row["deleted_at"], row["profile"]) == (at(9), '{"name": "Jenny"}')


@pytest.mark.parametrize(
    ("shown", "generation", "detached"),
    [(card(9, b"b"), 2, False), (card(9, b"a", of=None), 1, True)],
    ids=["new content", "no customer any more"],
)
async def test_a_reading_of_a_method_is_followed(
    world: World, shown: PaymentMethodSeen, generation: int, *, detached: bool
) -> None:
    """One without a customer was detached; whose it was is kept."""
    await world.see(customer(1, "acct_1"), card(1, b"a"))
    await world.settle()

    assert await world.read(await world.doubt(Kind.PAYMENT_METHOD, "pm_P"), shown) == 1

    row = await world.row("payment_method", "pm_P")
    assert (row["generation"], row["detached_at"] is not None, row["customer_id"]) == (
        generation,
        detached,
        "cus_P",
    )
    assert await world.due() == [SHARE]


async def test_a_reading_that_shows_what_is_known_makes_nothing_due(world: World) -> None:
    await world.see(customer(1, "acct_1"), card(1), account(1, whole=True, transfers="active"))
    await world.settle()

    for kind, shown in (
        (Kind.CUSTOMER, customer(9, "acct_1")),
        (Kind.PAYMENT_METHOD, card(9)),
        (Kind.ACCOUNT, account(9, transfers="active")),
    ):
        assert await world.read(await world.doubt(kind, shown.id), shown) == 0
    assert await world.due() == []


@pytest.mark.parametrize(
    ("first", "arrives", "shown"),
    [
        (customer(1, "acct_1"), customer(2, "acct_2"), customer(9, "acct_3")),
        (card(1, b"a"), card(2, b"b"), card(9, b"c")),
        (
            account(1, whole=True),
            account(2, whole=True, transfers="active"),
            account(9, transfers="inactive"),
        ),
        (customer(1, "acct_1"), Hint(Kind.CUSTOMER, "cus_P", at(2)), customer(9, "acct_3")),
        (card(1, b"a"), Hint(Kind.PAYMENT_METHOD, "pm_P", at(2)), card(9, b"c")),
        (account(1, whole=True), Hint(Kind.ACCOUNT, "acct_1", at(2)), account(9, transfers="inactive")),
    ],
)
async def test_a_reading_that_finds_something_arrived_meanwhile_writes_nothing(
    world: World, first: Seen, arrives: Seen, shown: CustomerSeen | PaymentMethodSeen | AccountSeen
) -> None:
    """An event between the claim and the answer has settled the doubt, or begun another."""
    kind = {CustomerSeen: Kind.CUSTOMER, PaymentMethodSeen: Kind.PAYMENT_METHOD, AccountSeen: Kind.ACCOUNT}[
        type(shown)
    ]
    await world.see(first)
    refresh = await world.doubt(kind, shown.id)
    await world.see(arrives)
    before = await world.row(kind, shown.id)
    await world.settle()

    await world.read(refresh, shown)

    assert await world.row(kind, shown.id) == before
    assert await world.due() == []


async def test_two_readers_at_once_do_not_read_the_same(world: World) -> None:
    await world.see(*[customer(1, name=f"cus_{n}") for n in range(20)])
    await world.sql.execute("UPDATE offshoot.customer SET refresh_at = now()")

    claims = await asyncio.gather(*[world.projections.claim_refreshes(5) for _ in range(4)])

    claimed = [refresh.id for refreshes in claims for refresh in refreshes]
    assert len(claimed) == len(set(claimed)) == 20


async def test_a_reader_that_died_is_followed_by_another_and_writes_nothing_when_it_wakes(
    world: World,
) -> None:
    await world.see(customer(1, "acct_1"))
    former = await world.doubt(Kind.CUSTOMER, "cus_P")
    await world.doubt(Kind.CUSTOMER, "cus_P")

    await world.read(former, customer(9, "acct_2"))

    assert (await world.row("customer", "cus_P"))["read_at"] is None


async def test_an_event_from_before_a_reading_is_settled_by_another(world: World) -> None:
    """Two clocks: what Stripe dates before our reading may be older, or news. Neither is lost."""
    await world.see(customer(1, "acct_1"))
    await world.read(await world.doubt(Kind.CUSTOMER, "cus_P"), customer(50, "acct_2"))

    await world.see(customer(40, "acct_3"))

    assert (await world.row("customer", "cus_P"))["granted_accounts"] == ["acct_2"]
    assert await world.in_doubt(Kind.CUSTOMER, "cus_P")


@pytest.mark.parametrize(
    ("second", "content", "doubted"),
    [(99, b"b", True), (100, b"c", True), (161, b"c", False)],
    ids=["before", "the same second", "after"],
)
async def test_an_event_from_after_a_reading_counts(
    world: World, second: int, content: bytes, *, doubted: bool
) -> None:
    """One from the second of the reading counts too, and is looked at again: a tie."""
    await world.see(card(1, b"a"))
    await world.read(await world.doubt(Kind.PAYMENT_METHOD, "pm_P"), card(100, b"b"))

    await world.see(card(second, b"c"))

    row = await world.row("payment_method", "pm_P")
    assert row["content_hash"] == card(1, content).content_hash
    assert await world.in_doubt(Kind.PAYMENT_METHOD, "pm_P") is doubted


async def test_the_next_reading_is_known(world: World) -> None:
    assert await world.projections.next_refresh_s() is None
    await world.see(card(1), card(1, name="pm_2"), customer(1))
    await world.sql.execute("UPDATE offshoot.payment_method SET refresh_at = now() + interval '1 minute'")
    await world.sql.execute("UPDATE offshoot.customer SET refresh_at = now() + interval '1 hour'")

    assert 50 < (await world.projections.next_refresh_s() or 0) <= 60


# The inbox.


async def test_an_event_is_noted_once(world: World) -> None:
    """Also when the same one stands twice in a batch."""
    events = [
        EventNoted("evt_1", START, "x"),
        EventNoted("evt_1", START, "x"),
        EventNoted("evt_2", START, "x"),
    ]

    async with world.database.transaction() as connection:
        first = await world.projections.unseen(connection, events)
        second = await world.projections.unseen(connection, events)

    assert (first, second) == ({"evt_1", "evt_2"}, set())


async def test_the_lanes_are_told_when_shares_are_due(world: World, migrated: str) -> None:
    told = asyncio.Event()
    listener = await asyncpg.connect(migrated)
    await listener.add_listener(CHANNEL_DUE, lambda *_: told.set())

    await world.see(customer(1, "acct_1"))

    async with asyncio.timeout(5):
        await told.wait()
    await listener.close()
