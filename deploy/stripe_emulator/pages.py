"""Pages of a list, newest first ([doc] docs.stripe.com/api/pagination)."""

import operator
from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import islice
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


def page(
    url: str,
    kind: str,
    newest_first: Iterable[JsonObject],
    parameters: Mapping[str, Any],
    *,
    keep: Callable[[JsonObject], bool] = lambda _: True,
) -> JsonObject:
    """Cut one page out of what a list keeps, which is read no further than that takes.

    `starting_after` gives what follows an object, `ending_before` what is just before it. That object is a
    place among all of its kind, whether the list keeps it or not: undelivered events are asked for from the
    last one that was delivered ([doc] webhooks/process-undelivered-events). Both, a limit outside 1 to 100,
    or an id of nothing is StripeError 400.
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
    bodies = iter(newest_first)
    if before is not None:
        passed = list(filter(keep, _until(bodies, before, kind, "ending_before")))
        return listing(url, passed[-limit:], has_more=len(passed) > limit)
    if after is not None:
        _until(bodies, after, kind, "starting_after")
    data = list(islice(filter(keep, bodies), limit + 1))
    return listing(url, data[:limit], has_more=len(data) > limit)


def created_within(body: JsonObject, bounds: dict[str, int] | int | None) -> bool:
    """Say whether an object was created within `created[gt|gte|lt|lte]`, or at `created` (seconds)."""
    if isinstance(bounds, int):
        return bool(body["created"] == bounds)
    return within(body["created"], bounds or {})


def within(created: float, bounds: Mapping[str, float]) -> bool:
    """Say whether a time is within bounds by the names `gt`, `gte`, `lt`, `lte`."""
    return all(_HOLDS[name](created, bound) for name, bound in bounds.items())


def cursor_page(url: str, newest_first: Iterable[JsonObject], parameters: Mapping[str, Any]) -> JsonObject:
    """Cut one page of API v2 out of a list: the next one has a URL ([doc] api-v2-overview#list-pagination).

    The token in it is the place in the list after an object's id; what Stripe's holds is not published.
    """
    limit = parameters.get("limit", DEFAULT_LIMIT)
    if not 1 <= limit <= MAXIMUM_LIMIT:
        raise invalid_value("limit", f"limit must be between 1 and {MAXIMUM_LIMIT}.")
    bodies = iter(newest_first)
    if "page" in parameters:
        _until(bodies, parameters["page"], "page", "page")
    data = list(islice(bodies, limit + 1))
    following = None
    if len(data) > limit:
        data = data[:limit]
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


def _until(bodies: Iterator[JsonObject], object_id: str, kind: str, param: str) -> list[JsonObject]:
    """Read up to an object and past it; give what came before it."""
    passed: list[JsonObject] = []
    for body in bodies:
        if body["id"] == object_id:
            return passed
        passed.append(body)
    raise missing_object(kind, object_id, param, in_path=False)
