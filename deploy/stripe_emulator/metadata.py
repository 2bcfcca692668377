"""How metadata merges ([doc] docs.stripe.com/api/metadata)."""

from typing import Any

from deploy.stripe_emulator.errors import invalid_value

KEYS = 50
KEY_LENGTH = 40
VALUE_LENGTH = 500


def merge(old: dict[str, str], change: dict[str, Any] | str) -> dict[str, str]:
    """Give the metadata after a change.

    Keys merge, an empty value deletes its key, an empty string in place of the hash deletes all.

    More than 50 keys, a key over 40 or a value over 500 characters is StripeError 400.
    """
    if isinstance(change, str):
        return {}
    for key, value in change.items():
        if len(key) > KEY_LENGTH:
            raise invalid_value(
                "metadata", f"Metadata keys can be at most {KEY_LENGTH} characters, but you passed in '{key}'"
            )
        if len(value) > VALUE_LENGTH:
            raise invalid_value(
                f"metadata[{key}]", f"Metadata values can have up to {VALUE_LENGTH} characters, but you "
                f"passed in a value"
                f" that is {len(value)} characters. Invalid value: {value}",
            )  # fmt: skip
    merged = {key: value for key, value in {**old, **change}.items() if value != ""}
    if len(merged) > KEYS:
        raise invalid_value(
            "metadata", f"You can have at most {KEYS} metadata keys, but you passed in {len(merged)}"
        )
    return merged
