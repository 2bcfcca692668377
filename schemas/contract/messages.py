"""Every message of the contract: its topic, key, headers, value and examples. The only such list."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Annotated, Final, Literal

import msgspec
from msgspec import Meta

from schemas import topics
from schemas.commands import COMPLETED, ORDERS, REJECTED, CommandType, MethodMade, Rejected, ShareSettled
from schemas.contract import examples
from schemas.contract.examples import Example
from schemas.contract.headers import (
    CommandHeaders,
    CommandResultHeaders,
    DeadLetterHeaders,
    PaymentMethodHeaders,
    StripeEventHeaders,
)
from schemas.records import PaymentMethodRecord
from schemas.topics import Topic

MAJOR: Final = 1
"""Raised by a change that an older consumer could not read; `schemas/published/v{MAJOR}` is the present."""

VERSION: Final = "1.0"
"""Its last part is raised by a release that adds something."""

_WORD: Final = {"minLength": 1, "maxLength": 255, "not": {"pattern": "[^ -~]"}}
"""Printable ASCII. Not as what it is, since in some dialects `$` matches before a last line feed too."""


class StripeEventValue(msgspec.Struct, frozen=True):
    """The bytes that Stripe sent, untouched; this much is sure. See https://docs.stripe.com/api/events."""

    id: Annotated[str, Meta(extra_json_schema=_WORD)]
    type: Annotated[str, Meta(extra_json_schema=_WORD)]
    livemode: bool


@dataclass(frozen=True, slots=True)
class Message:
    """One kind of record."""

    name: str
    title: str
    values: tuple[type, ...]
    """The types that the value may be of; none where it is whatever it was elsewhere."""
    headers: type
    examples: Callable[[], list[Example]]
    ce_type: str | None = None
    """What its `ce_type` always is, where that is one."""


@dataclass(frozen=True, slots=True)
class Channel:
    """A topic and what is on it. `sends`: Offshoot writes it; else it reads it."""

    topic: Topic
    key: str
    """What the key is made of, as a pattern with names in braces."""
    about: str
    messages: tuple[Message, ...]
    direction: Literal["send", "receive"] = "send"


def _name(type_: CommandType) -> str:
    return type_.removeprefix("offshoot.").replace(".", "-")


CHANNELS: Final = (
    Channel(
        topics.PAYMENT_METHODS,
        "{account}:{payment method id}",
        "The present state of each method on each account; in the key is the platform's id for a clone, the "
        "method's own for a direct one. Read with `isolation.level=read_committed` and keep the highest "
        "`version` of each key. `absent` records stay; a tombstone (no value) means: the key is forgotten.",
        (
            Message(
                "payment-method",
                "A method on an account",
                (PaymentMethodRecord,),
                PaymentMethodHeaders,
                examples.payment_methods,
            ),
        ),
    ),
    Channel(
        topics.COMMANDS,
        "{account}:{customer or payment method id}",
        "What other services ask for. One result follows for each command, perhaps repeated, whatever is "
        "redelivered; a second command under a used name gets the first one's result.",
        tuple(
            Message(
                _name(type_), title, (ORDERS[type_],), CommandHeaders, partial(examples.command, type_), type_
            )
            for type_, title in (
                (CommandType.GRANT, "Share a customer with an account"),
                (CommandType.REVOKE, "Share a customer no more"),
                (CommandType.CLONE_ONCE, "Clone a method for one charge"),
                (CommandType.DIRECT_SAVE, "Save a method made on the account"),
            )
        ),
        "receive",
    ),
    Channel(
        topics.COMMAND_RESULTS,
        "as the command",
        "What became of each command.",
        (
            Message(
                "command-completed",
                "A command was carried out",
                (ShareSettled, MethodMade),
                CommandResultHeaders,
                examples.completed,
                COMPLETED,
            ),
            Message(
                "command-rejected",
                "A command was not carried out, and is not going to be",
                (Rejected,),
                CommandResultHeaders,
                examples.rejected,
                REJECTED,
            ),
        ),
    ),
    Channel(
        topics.STRIPE_EVENTS,
        "{account or platform}:{object id, or event id}",
        "Every webhook that was verified, once or more, in the order in which they came; Stripe keeps none. "
        "`ce_id` names the event.",
        (
            Message(
                "stripe-event",
                "An event of Stripe's",
                (StripeEventValue,),
                StripeEventHeaders,
                examples.stripe_events,
            ),
        ),
    ),
    Channel(
        topics.DEAD_LETTERS,
        "as the original",
        "Records that could not be processed; key, value and headers as they were, and headers that say why.",
        (
            Message(
                "dead-letter",
                "A record that was set aside",
                (),
                DeadLetterHeaders,
                examples.dead_letters,
            ),
        ),
    ),
)
