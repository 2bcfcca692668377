"""Pages of a list, newest first ([doc] docs.stripe.com/api/pagination)."""

import operator
from collections.abc import Callable, Mapping, Sequence
from typing import Any
from urllib.parse import urlencode

from deploy.stripe_emulator.errors import invalid_value, missing_object
from deploy.stripe_emulator.shapes import JsonObject, listing

READS = ("limit", "starting_after", "ending_before")
"""What every list reads."""

DEFAULT_LIMIT = 10
MAXIMUM_LIMIT = 100

_HOLDS: Mapping[str, Callable[[float, float], bool]] = {
    "gt": operator.gt,
    "gte": operator.ge,
    "lt": operator.lt,
    "lte": operator.le,
}


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


def created_within(body: JsonObject, bounds: dict[str, int] | int | None) -> bool:
    """Say whether an object was created within `created[gt|gte|lt|lte]`, or at `created` (seconds)."""
    if isinstance(bounds, int):
        return bool(body["created"] == bounds)
    return within(body["created"], bounds or {})


def within(created: float, bounds: Mapping[str, float]) -> bool:
    """Say whether a time is within bounds by the names `gt`, `gte`, `lt`, `lte`."""
    return all(_HOLDS[name](created, bound) for name, bound in bounds.items())


def cursor_page(url: str, newest_first: Sequence[JsonObject], parameters: Mapping[str, Any]) -> JsonObject:
    """Cut one page of API v2 out of a list: the next one has a URL ([doc] api-v2-overview#list-pagination).

    The token in it is the place in the list after an object's id; what Stripe's holds is not published.
    """
    limit = parameters.get("limit", DEFAULT_LIMIT)
    if not 1 <= limit <= MAXIMUM_LIMIT:
        raise invalid_value("limit", f"limit must be between 1 and {MAXIMUM_LIMIT}.")
    token = parameters.get("page")
    start = 0 if token is None else _place(newest_first, token, "page", "page") + 1
    data = list(newest_first[start : start + limit])
    following = None
    if start + limit < len(newest_first):
        kept = [(name, each) for name, value in parameters.items() if name != "page" for each in _flat(value)]
        query = [*((name + below, text) for name, (below, text) in kept), ("page", data[-1]["id"])]
        following = f"{url}?{urlencode(query)}"
    return {"data": data, "next_page_url": following, "previous_page_url": None}


def _flat(value: Any) -> list[tuple[str, str]]:
    """Write a parameter as a query has it: what follows its name, and the text."""
    if isinstance(value, Mapping):
        return [(f"[{key}]", str(each)) for key, each in value.items()]
    if isinstance(value, list):
        return [(f"[{place}]", str(each)) for place, each in enumerate(value)]
    return [("", str(value))]


def _place(bodies: Sequence[JsonObject], object_id: str, kind: str, param: str) -> int:
    for place, body in enumerate(bodies):
        if body["id"] == object_id:
            return place
    raise missing_object(kind, object_id, param, in_path=False)
