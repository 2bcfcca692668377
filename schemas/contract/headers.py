"""The headers of each message as types, from which their schemas are made. Every value is UTF-8 text.

CloudEvents 1.0 in Kafka's binary mode (`schemas.cloudevents`): an attribute `name` is the header `ce_name`.
One without a value is absent, never empty; others that are not listed may come at any time.
"""

from typing import Annotated, Literal

from msgspec import UNSET, Meta, Struct, UnsetType, field

from schemas.cloudevents import Via
from schemas.commands import CommandType
from schemas.dead_letters import VALUE_OMITTED
from schemas.stripe_event import PayloadKind

_Moment = Meta(description="When it happened, RFC 3339.", extra_json_schema={"format": "date-time"})
_PARTITION_KEY = Meta(description="Equal to the record's key.")


class CloudEventHeaders(Struct, frozen=True, kw_only=True):
    """What every record of Offshoot's has."""

    ce_specversion: Literal["1.0"]
    ce_id: Annotated[str, Meta(description="With `ce_source`, names the event; the same on a repeat.")]
    ce_type: str
    ce_source: str
    ce_partitionkey: Annotated[str, _PARTITION_KEY]
    content_type: Literal["application/json"] = field(name="content-type")
    traceparent: (
        Annotated[str, Meta(description="W3C Trace Context, where there is a trace.")] | UnsetType
    ) = UNSET


class PaymentMethodHeaders(CloudEventHeaders, frozen=True, kw_only=True):
    """The headers of a payment-method record."""

    ce_type: Annotated[
        str,
        Meta(
            description="`offshoot.payment_method.` and the state.",
            extra_json_schema={"pattern": "^offshoot\\.payment_method\\.[a-z_]+$"},
        ),
    ]
    ce_source: Literal["/offshoot"]
    ce_subject: Annotated[str, Meta(description="The record's key.")]
    ce_time: Annotated[str, _Moment]


class StripeEventHeaders(CloudEventHeaders, frozen=True, kw_only=True):
    """The headers of a webhook that was verified, or of an event that was recovered."""

    ce_id: Annotated[str, Meta(description="Stripe's id of the event.")]
    ce_type: Annotated[
        str,
        Meta(
            description="`com.stripe.` and Stripe's type, `v1.…` and `v2.…` included.",
            extra_json_schema={"pattern": "^com\\.stripe\\.."},
        ),
    ]
    ce_source: Annotated[
        str,
        Meta(
            description="`/stripe/` and the account, or `platform`.",
            extra_json_schema={"pattern": "^/stripe/."},
        ),
    ]
    ce_subject: Annotated[str, Meta(description="The id of the object it is about.")] | UnsetType = UNSET
    ce_time: Annotated[str, _Moment] | UnsetType = UNSET
    ce_account: (
        Annotated[str, Meta(description="The connected account; absent for the platform.")] | UnsetType
    ) = UNSET
    ce_livemode: Literal["true", "false"]
    ce_payloadkind: Annotated[
        PayloadKind,
        Meta(description="`snapshot`: with the object as it was; `thin`: only which object it is about."),
    ]
    ce_apiversion: (
        Annotated[str, Meta(description="The API version that a snapshot is written in.")] | UnsetType
    ) = UNSET
    ce_endpoint: (
        Annotated[
            str, Meta(description="Name of the secret that the signature matched; absent if recovered.")
        ]
        | UnsetType
    ) = UNSET
    ce_via: Annotated[Via, Meta(description="How it came: posted by Stripe, or listed by Offshoot.")]


class CommandHeaders(Struct, frozen=True, kw_only=True):
    """The headers of a command, as its producer writes them."""

    ce_specversion: Literal["1.0"]
    ce_id: Annotated[
        str,
        Meta(description="With `ce_source`, names the command: the same name again gets the same result."),
    ]
    ce_source: Annotated[str, Meta(description="Who asks, as a URI reference: `/billing`.")]
    ce_type: CommandType
    ce_time: Annotated[str, _Moment] | UnsetType = UNSET
    ce_expirytime: (
        Annotated[
            str,
            Meta(
                description="Nothing is begun from then on, RFC 3339.",
                extra_json_schema={"format": "date-time"},
            ),
        ]
        | UnsetType
    ) = UNSET
    ce_partitionkey: Annotated[str, _PARTITION_KEY] | UnsetType = UNSET
    content_type: Literal["application/json"] | UnsetType = field(name="content-type", default=UNSET)


class CommandResultHeaders(CloudEventHeaders, frozen=True, kw_only=True):
    """The headers of what became of a command."""

    ce_type: str
    ce_source: Literal["/offshoot"]
    ce_subject: Annotated[str, Meta(description="The record's key, which is the command's.")]
    ce_time: Annotated[str, _Moment]
    ce_commandid: Annotated[str, Meta(description="The `ce_id` of the command.")]


class DeadLetterHeaders(Struct, frozen=True, kw_only=True):
    """What is added to the headers of the original, which stay as they were. No payload text is in any."""

    original_topic: str = field(name="dlq-original-topic")
    original_partition: Annotated[str, Meta(extra_json_schema={"pattern": "^[0-9]+$"})] = field(
        name="dlq-original-partition"
    )
    original_offset: Annotated[str, Meta(extra_json_schema={"pattern": "^[0-9]+$"})] = field(
        name="dlq-original-offset"
    )
    original_timestamp: Annotated[
        str,
        Meta(
            description="The record's own timestamp, milliseconds since 1970.",
            extra_json_schema={"pattern": "^-?[0-9]+$"},
        ),
    ] = field(name="dlq-original-timestamp")
    consumer_group: str = field(name="dlq-consumer-group")
    error_class: Annotated[str, Meta(description="The kind of what went wrong; more may come.")] = field(
        name="dlq-error-class"
    )
    error_message: str = field(name="dlq-error-message")
    attempts: Annotated[str, Meta(extra_json_schema={"pattern": "^[0-9]+$"})] = field(name="dlq-attempts")
    value_omitted: (
        Annotated[
            str,
            Meta(
                description="Bytes of a value that was too large to be put here; it is where it was.",
                extra_json_schema={"pattern": "^[0-9]+$"},
            ),
        ]
        | UnsetType
    ) = field(name=VALUE_OMITTED, default=UNSET)
    failed_at: Annotated[str, Meta(description="RFC 3339.", extra_json_schema={"format": "date-time"})] = (
        field(name="dlq-failed-at")
    )
