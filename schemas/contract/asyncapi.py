"""The whole contract as one AsyncAPI 3 document (https://www.asyncapi.com/docs/reference/specification/v3.0.0)."""

from datetime import timedelta
from typing import Any, Final

from schemas.contract.json_schema import Schema, json_schema
from schemas.contract.messages import CHANNELS, VERSION, Channel, Message
from schemas.topics import MAX_MESSAGE_BYTES, Topic

_KAFKA: Final = "0.5.0"
"""Of the AsyncAPI binding: https://github.com/asyncapi/bindings/tree/master/kafka."""

_INFO: Final = """\
What Offshoot publishes to Kafka, and what it takes from there. A deployment may put a prefix before the
topics' names.

Records are CloudEvents 1.0 in binary mode (the CloudEvents Kafka protocol binding): an attribute is a header
`ce_{name}`, `datacontenttype` is `content-type`, the value is the event's data.

A reader ignores members and headers that it does not know. Within a major version members may be added, and
words to a list that is an `x-extensible-enum`. Nothing is removed, renamed or retyped, no member becomes
required, and no word is added to an `enum`."""


def asyncapi() -> dict[str, Any]:
    """Give the document as JSON-ready values."""
    return {
        "asyncapi": "3.0.0",
        "info": {"title": "Offshoot", "version": VERSION, "description": _INFO},
        "defaultContentType": "application/json",
        "channels": {_name(channel): _channel(channel) for channel in CHANNELS},
        "operations": {
            f"{channel.direction}-{_name(channel)}": {
                "action": channel.direction,
                "channel": {"$ref": f"#/channels/{_name(channel)}"},
            }
            for channel in CHANNELS
        },
        "components": {
            "messages": {
                message.name: _message(message, channel)
                for channel in CHANNELS
                for message in channel.messages
            }
        },
    }


def _name(channel: Channel) -> str:
    return channel.topic.name.replace(".", "-")


def _channel(channel: Channel) -> dict[str, Any]:
    return {
        "address": channel.topic.name,
        "description": channel.about,
        "messages": {
            message.name: {"$ref": f"#/components/messages/{message.name}"} for message in channel.messages
        },
        "bindings": {
            "kafka": {
                "topic": channel.topic.name,
                "partitions": channel.topic.partitions,
                "topicConfiguration": _configuration(channel.topic),
                "bindingVersion": _KAFKA,
            }
        },
    }


def _configuration(topic: Topic) -> dict[str, Any]:
    kept = topic.retention
    return {
        "cleanup.policy": [topic.cleanup],
        "retention.ms": kept // timedelta(milliseconds=1) if kept is not None else -1,
        "max.message.bytes": MAX_MESSAGE_BYTES,
    }


def _message(message: Message, channel: Channel) -> dict[str, Any]:
    return {
        "name": message.name,
        "title": message.title,
        "contentType": "application/json",
        "headers": headers_schema(message),
        "payload": json_schema(*message.values),
        "bindings": {
            "kafka": {"key": {"type": "string", "description": channel.key}, "bindingVersion": _KAFKA}
        },
        "examples": [
            {"name": example.name, "headers": dict(example.headers), "payload": example.value}
            for example in message.examples()
        ],
    }


def headers_schema(message: Message) -> Schema:
    """The schema of a message's headers, with its own `ce_type` where that is one."""
    schema = json_schema(message.headers)
    if message.ce_type is not None:
        schema["properties"]["ce_type"] = {"type": "string", "const": message.ce_type}
    return schema
