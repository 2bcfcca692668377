"""`expand`: an id in an answer becomes the object it names.

[doc] docs.stripe.com/api/expanding_objects. A path is checked before anything happens, by the types of
the SDK's own classes, whether the id is there or not; the wording and the order are [3p] probed (seahaven).
"""

import re
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from typing import Any, ForwardRef, Union, get_args, get_origin

import stripe

from deploy.stripe_emulator import errors, shapes
from deploy.stripe_emulator.model import Account, World
from deploy.stripe_emulator.shapes import JsonObject

DEEPEST = 4
"""How many levels a path may have ([doc] expanding_objects#depth)."""

Find = Callable[[World, Account, str], JsonObject | None]


def _customer(_: World, account: Account, object_id: str) -> JsonObject | None:
    found = account.customers.get(object_id)
    if found is None:
        return None
    return shapes.deleted("customer", object_id) if found.deleted else found.body


def _payment_method(_: World, account: Account, object_id: str) -> JsonObject | None:
    found = account.payment_methods.get(object_id)
    return None if found is None else found.body


def _account(world: World, _: Account, object_id: str) -> JsonObject | None:
    found = world.account(object_id)
    return None if found is None else found.body


def _intent(_: World, account: Account, object_id: str) -> JsonObject | None:
    found = account.payment_intents.get(object_id) or account.setup_intents.get(object_id)
    return None if found is None else found.body


def _charge(_: World, account: Account, object_id: str) -> JsonObject | None:
    return account.charges.get(object_id)


def _mandate(_: World, account: Account, object_id: str) -> JsonObject | None:
    return account.mandates.get(object_id)


STORES: Mapping[str, Find] = {
    "Account": _account,
    "Charge": _charge,
    "Customer": _customer,
    "Mandate": _mandate,
    "PaymentIntent": _intent,
    "PaymentMethod": _payment_method,
    "SetupIntent": _intent,
}
"""Where an object of one of the SDK's classes is found by its id."""


@cache
def shown(template: str) -> tuple[str, bool]:
    """Say which of the SDK's classes a path shows, and whether it is a list of them.

    The last noun in the path says so: `/v1/customers/{customer}/payment_methods` lists `PaymentMethod`.
    """
    segments = template.split("/")
    classes = stripe.v2.core if segments[1] == "v2" else stripe
    for segment in reversed(segments):
        for noun in (segment, segment.removesuffix("s"), segment.removesuffix("ies") + "y"):
            name = "".join(part.title() for part in noun.split("_"))
            if segment[:1] != "{" and isinstance(getattr(classes, name, None), type):
                return name, segment != noun and segment == segments[-1]
    raise LookupError(f"{template} shows nothing the SDK has a class for")


@cache
def shown_as(template: str) -> str:
    """Say what a path shows as its `object` names it: `payment_method`."""
    return re.sub(r"(?<!^)(?=[A-Z])", "_", shown(template)[0]).lower()


def check(
    paths: Sequence[str],
    template: str,
    *,
    method: str,
    require_read: Callable[[str], None] = lambda _: None,
) -> None:
    """Refuse a path that no answer of this endpoint has: StripeError 400.

    `require_read` refuses with 403 where the key may not read an object of some kind (`customer`): what
    cannot be retrieved cannot be expanded either ([infer]).
    """
    name, listed = shown(template)
    for path in paths:
        segments = path.split(".")
        if len(segments) > DEEPEST:
            raise errors.expands_too_deep(DEEPEST)
        if listed and method == "GET":
            if segments[0] != "data":
                raise errors.not_expandable(segments[0], hint=f"data.{segments[0]}")
            _check(getattr(stripe, name), segments, 1, require_read)
        else:
            _check(getattr(stripe, name), segments, 0, require_read)


def apply(world: World, account: Account, body: JsonObject, paths: Sequence[str]) -> JsonObject:
    """Give an answer with the objects that the paths name; what is stored does not change."""
    for path in paths:
        body = _expanded(world, account, body, path.split("."))
    return body


def _check(shape: Any, segments: Sequence[str], place: int, require_read: Callable[[str], None]) -> None:
    for depth in range(place, len(segments)):
        if shape is None:
            return  # what is below is taken as it comes
        hint = getattr(shape, "__annotations__", {}).get(segments[depth])
        expandable, shape = _below(hint)
        if not expandable:
            raise errors.not_expandable(".".join(segments[: depth + 1]))
        if hasattr(shape, "OBJECT_NAME"):
            require_read(shape.OBJECT_NAME)


def _below(hint: Any) -> tuple[bool, Any]:
    """Say whether there is something below a property, and the class that describes it.

    The class is None for a list and for an object that the SDK has no public class for.
    """
    options = get_args(hint) if get_origin(hint) is Union else (hint,)
    for option in options:
        if isinstance(option, ForwardRef):
            return True, getattr(stripe, option.__forward_arg__, None)
        if get_origin(option) is stripe.ListObject:
            return True, None
        if isinstance(option, type) and issubclass(option, stripe.StripeObject):
            return True, option
    return False, None


def _expanded(world: World, account: Account, value: Any, segments: Sequence[str]) -> Any:
    if isinstance(value, list):
        return [_expanded(world, account, each, segments) for each in value]
    if not segments or not isinstance(value, dict):
        return value
    head, *rest = segments
    below = value.get(head)
    if isinstance(below, str):
        below = find(world, account, below) or below
    return {**value, head: _expanded(world, account, below, rest)} if head in value else value


def find(world: World, account: Account, object_id: str) -> JsonObject | None:
    """Look an id up: ids say by themselves what they name, so every store may be asked."""
    found = (look(world, account, object_id) for look in STORES.values())
    return next((body for body in found if body is not None), None)
