"""The fold of a batch: newest wins, ties are doubts, ends stay, parts are laid over the whole."""

import random
from collections.abc import Callable, Sequence
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from consumers.projection.fold import Projection, fold
from consumers.projection.seen import (
    AccountSeen,
    ConnectedCustomerSeen,
    ConnectedHint,
    ConnectedMethodSeen,
    CustomerSeen,
    Hint,
    Kind,
    PaymentMethodSeen,
    Seen,
)
from tests.unit.consumers.sightings import account, at, card, customer


def test_nothing_seen_is_nothing_to_write() -> None:
    assert not fold([])
    assert fold([]) == Projection()


@pytest.mark.parametrize(
    "seen",
    [customer(1), card(1), account(1), Hint(Kind.CUSTOMER, "cus_P", at(1))],
    ids=lambda s: type(s).__name__,
)
def test_anything_seen_is_something_to_write(seen: Seen) -> None:
    assert fold([seen])


def test_one_row_an_object() -> None:
    """Objects do not mix, and an id of one kind is not that of another."""
    rows = fold([customer(1, name="x"), customer(2, name="y"), card(1, name="x"), account(1, name="x")])

    assert [set(rows.customers), set(rows.payment_methods), set(rows.accounts)] == [{"x", "y"}, {"x"}, {"x"}]


@pytest.mark.parametrize("turned", [False, True], ids=["in order", "turned round"])
def test_the_newest_wins(*, turned: bool) -> None:
    old: list[Seen] = [
        customer(1, "acct_1"),
        card(1, b"a"),
        account(1, whole=True, card_payments="inactive", other="active"),
    ]
    new: list[Seen] = [customer(2, "acct_2"), card(2, b"b"), account(2, whole=True, card_payments="active")]

    rows = fold([*new, *old] if turned else [*old, *new])

    assert [*rows.customers.values(), *rows.payment_methods.values(), *rows.accounts.values()] == new
    assert rows.doubtful == {}


@pytest.mark.parametrize("turned", [False, True], ids=["in order", "turned round"])
def test_deleted_and_detached_stay(*, turned: bool) -> None:
    """What a newer event does not know of it changes nothing; and a detached card keeps its owner."""
    end: list[Seen] = [customer(1, deleted=True), card(1, of="cus_P", detached=True)]
    after: list[Seen] = [customer(2, "acct_1"), card(2, of=None)]

    rows = fold([*after, *end] if turned else [*end, *after])

    assert rows.customers == {"cus_P": customer(2, "acct_1", deleted=True)}
    assert rows.payment_methods == {"pm_P": card(2, of="cus_P", detached=True)}


@pytest.mark.parametrize(
    ("one", "other", "doubt"),
    [
        (customer(1, "acct_1"), customer(1), (Kind.CUSTOMER, "cus_P")),
        (card(1, b"a"), card(1, b"b"), (Kind.PAYMENT_METHOD, "pm_P")),
        (account(1, card_payments="active"), account(1, card_payments="inactive"), (Kind.ACCOUNT, "acct_1")),
        (account(1, connected=True), account(1, connected=False), (Kind.ACCOUNT, "acct_1")),
    ],
    ids=["customer", "payment method", "capability", "access"],
)
def test_a_contradiction_within_a_second_is_a_doubt(one: Seen, other: Seen, doubt: tuple[Kind, str]) -> None:
    assert fold([one, other]).doubtful.keys() == {doubt}
    assert fold([other, one]).doubtful.keys() == {doubt}


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (customer(1, "acct_1"), customer(1, "acct_1")),
        (card(1), card(1)),
        (card(1), card(1, detached=True)),
        (account(1, card_payments="active"), account(1, transfers="active")),
        (account(1, whole=True, card_payments="active"), account(1, card_payments="active")),
        (account(1, connected=True), account(1, card_payments="active")),
    ],
    ids=[
        "customer",
        "card",
        "attached and detached",
        "two capabilities",
        "part of the whole",
        "access and capability",
    ],
)
def test_what_agrees_within_a_second_is_no_doubt(one: Seen, other: Seen) -> None:
    assert fold([one, other]).doubtful == {}


def test_a_newer_event_settles_a_doubt() -> None:
    rows = fold(
        [customer(1, "acct_1"), customer(1), customer(2), card(1, b"a"), card(1, b"b"), card(2, b"b")]
    )

    assert rows.doubtful == {}


def test_a_part_is_laid_over_the_whole() -> None:
    rows = fold(
        [
            account(1, whole=True, card_payments="inactive", transfers="active"),
            account(2, card_payments="active"),
            account(3, connected=False),
        ]
    )

    assert rows.accounts == {
        "acct_1": account(3, whole=True, connected=False, card_payments="active", transfers="active")
    }


def test_what_only_an_older_part_says_of_access_is_kept() -> None:
    assert fold([account(2, whole=True), account(1, connected=False)]).accounts["acct_1"].connected is False


@pytest.mark.parametrize(
    ("batch", "in_doubt"),
    [
        ([account(1, connected=True), account(1, connected=False)], True),
        ([account(1, connected=False), account(1, connected=True), account(1, connected=False)], True),
        ([account(1, connected=True), account(1, connected=False), account(2, transfers="active")], True),
        ([account(1, connected=True), account(1, connected=False), account(2, connected=False)], False),
        ([account(1, connected=True), account(2, connected=False)], False),
        ([account(1, transfers="active"), account(1, connected=False)], False),
    ],
)
def test_access_given_and_taken_away_within_a_second_is_in_doubt(
    batch: list[Seen], *, in_doubt: bool
) -> None:
    row = fold(batch).accounts["acct_1"]

    assert (row.connected, row.access_in_doubt) == (False, in_doubt)


@pytest.mark.parametrize("kind", list(Kind))
@pytest.mark.parametrize(
    ("arrives", "in_doubt"),
    [([], True), ([1], True), ([2], False), ([3], False), ([1, 3], False)],
    ids=["alone", "with an older", "with its twin", "with a newer", "with both"],
)
def test_a_hint_is_a_doubt_until_the_object_arrives(
    kind: Kind, arrives: list[int], *, in_doubt: bool
) -> None:
    """Wherever in the batch it stands."""
    makers: dict[Kind, Callable[[float], Seen]] = {
        Kind.CUSTOMER: customer,
        Kind.PAYMENT_METHOD: card,
        Kind.ACCOUNT: account,
    }
    seen = [makers[kind](second) for second in arrives]
    hint = Hint(
        kind, {Kind.CUSTOMER: "cus_P", Kind.PAYMENT_METHOD: "pm_P", Kind.ACCOUNT: "acct_1"}[kind], at(2)
    )

    expected = {(kind, hint.id)} if in_doubt else set()
    assert fold([hint, *seen]).doubtful.keys() == expected
    assert fold([*seen, hint]).doubtful.keys() == expected


_NAMES = st.sampled_from(["a", "b"])
_customers = st.builds(
    lambda name, accounts, deleted: customer(0, *accounts, name=name, deleted=deleted),
    _NAMES,
    st.sets(st.sampled_from(["acct_1", "acct_2"])).map(sorted),
    st.booleans(),
)
_cards = st.builds(
    lambda name, content, of, detached: card(0, content, name=name, of=of, detached=detached),
    _NAMES,
    st.sampled_from([b"a", b"b"]),
    st.sampled_from(["cus_P", None]),
    st.booleans(),
)
_whole_accounts = st.builds(
    lambda name, capabilities: account(0, name=name, whole=True, **capabilities),
    _NAMES,
    st.dictionaries(st.sampled_from(["card_payments", "transfers"]), st.sampled_from(["active", "inactive"])),
)
_connected_methods = st.builds(
    lambda name, content, of, detached, key: ConnectedMethodSeen(
        name, at(0), "acct_1", of, "card", {"fingerprint": content}, detached=detached, idempotency_key=key
    ),
    _NAMES,
    st.sampled_from(["a", "b"]),
    st.sampled_from(["cus_C", None]),
    st.booleans(),
    st.sampled_from(["offshoot:i:1", None]),
)
_connected_customers = st.builds(
    lambda name, default, deleted: ConnectedCustomerSeen(name, at(0), "acct_1", default, deleted=deleted),
    _NAMES,
    st.sampled_from(["pm_C", None]),
    st.booleans(),
)
_hints = st.builds(Hint, st.sampled_from(Kind), _NAMES, st.just(at(0)))


def _timed(seen: Sequence[Seen]) -> list[Seen]:
    return [_at_second(what, second) for second, what in enumerate(seen)]


def _at_second(seen: Seen, second: int) -> Seen:
    match seen:
        case (
            CustomerSeen()
            | PaymentMethodSeen()
            | AccountSeen()
            | ConnectedMethodSeen()
            | ConnectedCustomerSeen()
            | ConnectedHint()
            | Hint()
        ):
            return replace(seen, as_of=at(second))


_batches = st.lists(
    st.one_of(_customers, _cards, _whole_accounts, _connected_methods, _connected_customers, _hints),
    max_size=8,
).map(_timed)


@given(_batches, st.randoms(use_true_random=False))
def test_the_order_of_arrival_does_not_matter(batch: list[Seen], chance: random.Random) -> None:
    """For events of distinct seconds."""
    shuffled = list(batch)
    chance.shuffle(shuffled)

    assert fold(shuffled) == fold(batch)


def _is_plain(seen: Seen) -> bool:
    """Neither an end, nor a method that does not say whose it is: those stay, and so differ from a repeat."""
    if isinstance(seen, CustomerSeen):
        return not seen.deleted
    return not isinstance(seen, PaymentMethodSeen) or seen.customer_id is not None


@given(_batches.map(lambda batch: [seen for seen in batch if _is_plain(seen)]), st.data())
def test_repeats_change_nothing(batch: list[Seen], data: st.DataObject) -> None:
    repeats = data.draw(st.lists(st.sampled_from(batch), max_size=5)) if batch else []

    assert fold([*batch, *repeats]) == fold(batch)
