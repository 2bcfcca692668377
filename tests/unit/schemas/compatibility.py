"""What a change of the contract would break, between two AsyncAPI documents of one major version.

Both ways: a consumer of the old one reads what the new one writes, and one of the new one reads what is there
of the old: a compacted topic keeps it for ever.
"""

from collections.abc import Iterator
from typing import Any, Final

Json = dict[str, Any]
_SAME: Final = (
    "type",
    "enum",
    "const",
    "format",
    "pattern",
    "minLength",
    "maxLength",
    "not",
    "additionalProperties",
)
_TOPIC: Final = ("topic", "partitions", "topicConfiguration")


def broken(old: Json, new: Json) -> list[str]:
    """Name everything that stands in the old document and that the new one does not keep."""
    return [*_channels(old, new), *_messages(old, new)]


def _channels(old: Json, new: Json) -> Iterator[str]:
    for name, channel in old["channels"].items():
        now = new["channels"].get(name)
        if now is None:
            yield f"{name}: gone"
            continue
        before, after = channel["bindings"]["kafka"], now["bindings"]["kafka"]
        yield from (f"{name}: {each} changed" for each in _TOPIC if before[each] != after[each])
        yield from (f"{name}: {each} gone" for each in channel["messages"] if each not in now["messages"])
    for name, operation in old["operations"].items():
        if new["operations"].get(name) != operation:
            yield f"{name}: changed"


def _messages(old: Json, new: Json) -> Iterator[str]:
    for name, message in old["components"]["messages"].items():
        now = new["components"]["messages"].get(name)
        if now is None:
            yield f"{name}: gone"
            continue
        if message["bindings"]["kafka"]["key"] != now["bindings"]["kafka"]["key"]:
            yield f"{name}: the key changed"
        yield from _schema(message["payload"], now["payload"], name)
        yield from _schema(message["headers"], now["headers"], f"{name} headers")


def _schema(old: Json, new: Json, where: str) -> Iterator[str]:
    """Compare two schemas; `where` is the path to them."""
    yield from (f"{where}: {each} changed" for each in _SAME if old.get(each) != new.get(each))
    yield from (
        f"{where}: {word} gone"
        for word in old.get("x-extensible-enum", [])
        if word not in new.get("x-extensible-enum", [])
    )
    before, after = old.get("properties", {}), new.get("properties", {})
    for name, schema in before.items():
        if name in after:
            yield from _schema(schema, after[name], f"{where}.{name}")
        else:
            yield f"{where}.{name}: gone"
    needed, need = {*old.get("required", [])}, {*new.get("required", [])}
    yield from (f"{where}.{name}: became required" for name in sorted(need - needed))
    yield from (f"{where}.{name}: not always there" for name in sorted(needed - need))
    if "items" in old:
        yield from _schema(old["items"], new.get("items", {}), f"{where}[]")
    for kind in ("anyOf", "oneOf"):
        if len(old.get(kind, [])) != len(new.get(kind, [])):
            yield f"{where}: {kind} changed"
        for number, (was, now) in enumerate(zip(old.get(kind, []), new.get(kind, []), strict=False)):
            yield from _schema(was, now, f"{where}.{kind}[{number}]")
