"""Pages of a list, newest first ([doc] docs.stripe.com/api/pagination)."""

from collections.abc import Sequence
from typing import Any

from deploy.stripe_emulator.errors import invalid_value, missing_object
from deploy.stripe_emulator.shapes import JsonObject, listing

READS = ("limit", "starting_after", "ending_before")
"""What every list reads."""

DEFAULT_LIMIT = 10
MAXIMUM_LIMIT = 100


def page(url: str, kind: str, newest_first: Sequence[JsonObject], parameters: dict[str, Any]) -> JsonObject:
    """Cut one page out of a list.

    `starting_after` gives what follows an object, `ending_before` what is just before it; both, a limit
    outside 1 to 100, or an id that is not in the list is StripeError 400.
    """
    limit = parameters.get("limit", DEFAULT_LIMIT)
    if limit < 1:
        raise invalid_value("limit", "This value must be greater than or equal to 1.")
    if limit > MAXIMUM_LIMIT:
        raise invalid_value(
            "limit", f"This value must be less than or equal to {MAXIMUM_LIMIT} (it currently is '{limit}')."
        )
    after, before = parameters.get("starting_after"), parameters.get("ending_before")
    if after is not None and before is not None:
        raise invalid_value(
            "starting_after", "You may only specify one of these parameters: starting_after, ending_before."
        )
    if before is not None:
        place = _place(newest_first, before, kind, "ending_before")
        start = max(0, place - limit)
        return listing(url, newest_first[start:place], has_more=start > 0)
    start = 0 if after is None else _place(newest_first, after, kind, "starting_after") + 1
    return listing(url, newest_first[start : start + limit], has_more=start + limit < len(newest_first))


def created_within(body: JsonObject, bounds: dict[str, int] | None) -> bool:
    """Say whether an object was created within `created[gt|gte|lt|lte]` (seconds)."""
    created = body["created"]
    holds = {
        "gt": lambda bound: created > bound,
        "gte": lambda bound: created >= bound,
        "lt": lambda bound: created < bound,
        "lte": lambda bound: created <= bound,
    }
    return all(holds[name](bound) for name, bound in (bounds or {}).items())


def _place(bodies: Sequence[JsonObject], object_id: str, kind: str, param: str) -> int:
    for place, body in enumerate(bodies):
        if body["id"] == object_id:
            return place
    raise missing_object(kind, object_id, param, in_path=False)
