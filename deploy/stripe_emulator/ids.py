"""Identifiers that look like Stripe's."""

import os

_ALPHABET = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_UPPER = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"


def _table(alphabet: str) -> bytes:
    return bytes(ord(alphabet[byte % len(alphabet)]) for byte in range(256))


_ALL, _CAPITALS = _table(_ALPHABET), _table(_UPPER)


def random_text(length: int, table: bytes = _ALL) -> str:
    """Give `length` random letters and digits; every call makes ids, so this is quick rather than even."""
    return os.urandom(length).translate(table).decode()


def request_id() -> str:
    """Give `req_…`, 14 characters as recorded ([rec] clone-attached.yml)."""
    return "req_" + random_text(14)


def account_id(created: int) -> str:
    """Give `acct_…`: six characters of time, ten that mark the account ([rec] clone-attached.yml)."""
    return f"acct_{_time_prefix(created)}{random_text(10)}"


def object_id(prefix: str, account_id: str, created: int) -> str:
    """Give an id that holds its account's mark, as payment methods and events do ([rec] clone-attached.yml).

    `pm_1U09Hh3hqqVUd30lMgiZh3LS` on `acct_1U09He3hqqVUd30l`: time, the account's last ten characters, eight
    random.
    """
    return f"{prefix}_{_time_prefix(created)}{account_id[-10:]}{random_text(8)}"


def payment_id(prefix: str, account_id: str, created: int) -> str:
    """Give the id of a payment intent or a charge: as `object_id`, but of generation 3.

    `pi_3U09KQKuuB1fWySn2mFks8WR` on `acct_1FiqEsKuuB1fWySn` ([rec] openfoodnetwork, StripeSCA).
    """
    return f"{prefix}_3{_time_prefix(created)[1:]}{account_id[-10:]}{random_text(8)}"


def client_secret(intent_id: str) -> str:
    """Give what a browser confirms an intent with."""
    return f"{intent_id}_secret_{random_text(25)}"


def customer_id() -> str:
    """Give `cus_…`, 14 characters as recorded ([rec] clone-attached.yml)."""
    return "cus_" + random_text(14)


def invoice_prefix() -> str:
    """Give a customer's invoice prefix: eight capitals and digits ([rec] clone-attached.yml)."""
    return random_text(8, _CAPITALS)


def thin_event_id(*, livemode: bool) -> str:
    """Give the id of an event of API v2, `evt_test_…` in test mode ([doc] api/v2/core/events)."""
    return ("evt_65" if livemode else "evt_test_65") + random_text(50)


def event_destination_id(*, livemode: bool) -> str:
    """Give `ed_…`, `ed_test_…` in test mode ([doc] api/v2/core/event_destinations)."""
    return ("ed_61" if livemode else "ed_test_61") + random_text(42)


def webhook_secret() -> str:
    """Give an endpoint's signing secret, `whsec_…`."""
    return "whsec_" + random_text(32)


def _time_prefix(created: int) -> str:
    digits = ""
    rest = created
    for _ in range(5):
        rest, digit = divmod(rest, len(_ALPHABET))
        digits = _ALPHABET[digit] + digits
    return "1" + digits
