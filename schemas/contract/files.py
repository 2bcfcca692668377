"""The published files by name: schemas of each message's value and headers, examples, one AsyncAPI text."""

from collections.abc import Iterator
from typing import Any

import msgspec

from schemas.contract.asyncapi import asyncapi, headers_schema
from schemas.contract.json_schema import document, json_schema
from schemas.contract.messages import CHANNELS, MAJOR, Message


def published_files() -> dict[str, bytes]:
    """Give every file of the contract, its path inside `schemas/published/v{MAJOR}` to its bytes."""
    files: dict[str, Any] = {"asyncapi.json": asyncapi()}
    for channel in CHANNELS:
        for message in channel.messages:
            files.update(_files(message))
    return {name: _pretty(value) for name, value in sorted(files.items())}


def _files(message: Message) -> Iterator[tuple[str, Any]]:
    name = message.name
    yield f"{name}.schema.json", document(json_schema(*message.values), name, message.title, MAJOR)
    headers = document(headers_schema(message), f"{name}.headers", f"{message.title}: headers", MAJOR)
    yield f"{name}.headers.schema.json", headers
    for example in message.examples():
        yield f"examples/{name}.{example.name}.json", example.to_builtins()


def _pretty(value: Any) -> bytes:
    return msgspec.json.format(msgspec.json.encode(value), indent=2) + b"\n"
