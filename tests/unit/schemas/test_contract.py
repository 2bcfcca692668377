"""The published contract: what is committed is what the code says, valid, and readable by older consumers."""

import copy
import json
import re
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import jsonschema
import msgspec
import pytest

from deploy.cli.schemas import compare
from schemas import topics
from schemas.cloudevents import Via, stripe_event_headers
from schemas.commands import COMPLETED, REJECTED, Command, CommandType, key_of, read_command
from schemas.contract.files import published_files
from schemas.contract.messages import CHANNELS, MAJOR, StripeEventValue
from schemas.records import PaymentMethodRecord, Reason, State
from schemas.stripe_event import NotAStripeEventError, parse_event
from tests.unit.schemas.compatibility import broken
from tests.unit.schemas.test_cloudevents import BARE, EVENT

ROOT: Final = Path(__file__).parents[3]
PUBLISHED: Final = ROOT / "schemas" / "published"
CURRENT: Final = PUBLISHED / f"v{MAJOR}"
RELEASED: Final = sorted((PUBLISHED / "released").glob(f"{MAJOR}.*.json"))
MESSAGES: Final = [message for channel in CHANNELS for message in channel.messages]
WHEN: Final = datetime(2026, 1, 1, tzinfo=UTC)
EXAMPLES: Final = sorted(CURRENT.glob("examples/*.json"))

Json = dict[str, Any]


def _read(path: Path) -> Json:
    found: Json = json.loads(path.read_text(encoding="utf-8"))
    return found


def _schema(name: str) -> Json:
    return _read(CURRENT / f"{name}.schema.json")


def _faults(schema: Json, value: object) -> list[str]:
    checker = jsonschema.Draft202012Validator(
        schema, format_checker=jsonschema.Draft202012Validator.FORMAT_CHECKER
    )
    return [error.json_path for error in checker.iter_errors(value)]


def test_what_is_committed_is_what_the_code_says() -> None:
    """Where it is not: `offshoot schemas export`, and look at what that changes."""
    assert {name: state for name, state in compare(CURRENT).items() if state != "same"} == {}


@pytest.mark.parametrize("path", sorted(CURRENT.glob("*.schema.json")), ids=lambda path: path.name)
def test_schemas_are_schemas(path: Path) -> None:
    schema = _read(path)

    jsonschema.Draft202012Validator.check_schema(schema)

    assert schema["$id"] == f"urn:offshoot:contract:v1:{path.name.removesuffix('.schema.json')}"


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.name)
def test_examples_are_what_the_schemas_say(path: Path) -> None:
    name, example = path.name.split(".")[0], _read(path)

    assert _faults(_schema(name), example["value"]) == []
    assert _faults(_schema(f"{name}.headers"), example["headers"]) == []
    assert example["headers"]["ce_partitionkey"] == example["key"]


def test_every_topic_is_in_it_and_every_command() -> None:
    assert {channel.topic for channel in CHANNELS} == {*topics.ALL}
    assert {message.ce_type for message in MESSAGES} >= {*CommandType, COMPLETED, REJECTED}


@pytest.mark.parametrize(
    "path",
    [path for path in EXAMPLES if path.name.startswith(("share-", "clone-", "direct-"))],
    ids=lambda path: path.name,
)
def test_offshoot_takes_the_commands_that_it_shows(path: Path) -> None:
    example = _read(path)
    headers = [(name, value.encode()) for name, value in example["headers"].items()]

    command = read_command(headers, example["key"].encode(), json.dumps(example["value"]).encode(), WHEN)

    assert isinstance(command, Command)
    assert key_of(command.order) == example["key"]


def test_each_message_has_examples_and_each_state_one() -> None:
    assert {message.name for message in MESSAGES} == {path.name.split(".")[0] for path in EXAMPLES}
    records = [_read(path)["value"] for path in EXAMPLES if path.name.startswith("payment-method.")]
    assert {record["state"] for record in records} == {*State}
    assert [msgspec.convert(record, PaymentMethodRecord) for record in records]


def test_a_reader_that_validates_takes_a_reason_of_tomorrow_but_no_state() -> None:
    record = _read(CURRENT / "examples" / "payment-method.failed.json")["value"]

    assert _faults(_schema("payment-method"), record | {"reason": "new", "member": 1}) == []
    assert _faults(_schema("payment-method"), record | {"state": "new"}) == ["$.state"]
    assert _faults(_schema("payment-method"), record | {"occurred_at": 7}) == ["$.occurred_at"]


def test_every_header_that_is_written_is_published() -> None:
    """Those of an event with everything and of one with next to nothing."""
    schema = _schema("stripe-event.headers")
    written = [
        {name: value.decode() for name, value in stripe_event_headers(event, endpoint=endpoint, via=via)}
        for event, endpoint, via in ((EVENT, "main", Via.WEBHOOK), (BARE, None, Via.RECOVERY))
    ]

    assert [_faults(schema, headers) for headers in written] == [[], []]
    assert written[0].keys() == schema["properties"].keys() - {"traceparent"}
    assert written[1].keys() >= set(schema["required"])


@pytest.mark.parametrize("member", ["id", "type", "livemode"])
@pytest.mark.parametrize("value", ["x" * 255, "x" * 256, "", "\n", "é", " ", True, None, 1])
def test_the_schema_of_an_event_takes_what_the_receiver_takes(member: str, value: object) -> None:
    event = {"id": "evt_1", "type": "a.b", "livemode": False} | {member: value}
    assert StripeEventValue.__struct_fields__ == tuple(_schema("stripe-event")["required"])
    try:
        parse_event(json.dumps(event).encode())
    except NotAStripeEventError:
        taken = False
    else:
        taken = True

    assert (_faults(_schema("stripe-event"), event) == []) == taken


def _message(document: Json, name: str) -> Json:
    found: Json = document["components"]["messages"][name]
    return found


@pytest.mark.parametrize("path", RELEASED, ids=lambda path: path.name)
def test_nothing_that_was_released_is_broken(path: Path) -> None:
    """A change that would break an older consumer needs a new major version, beside the old."""
    assert broken(_read(path), _read(CURRENT / "asyncapi.json")) == []


@pytest.mark.parametrize("path", RELEASED, ids=lambda path: path.name)
def test_older_and_newer_consumers_read_each_others_examples(path: Path) -> None:
    """An older Offshoot need not take what a newer producer of commands writes: Offshoot is renewed first."""
    released, current = _read(path), _read(CURRENT / "asyncapi.json")
    commands = set(released["channels"]["offshoot-commands"]["messages"])
    read = 0
    for name in released["components"]["messages"]:
        ways = [(current, released)] + [(released, current)] * (name not in commands)
        for reader, writer in ways:
            for example in _message(writer, name)["examples"]:
                assert _faults(_message(reader, name)["payload"], example["payload"]) == []
                assert _faults(_message(reader, name)["headers"], example["headers"]) == []
                read += 1
    assert read > 2 * len(released["components"]["messages"])
    for example in _message(released, "payment-method")["examples"]:
        msgspec.convert(example["payload"], PaymentMethodRecord)


def test_something_was_released() -> None:
    assert RELEASED


RECORD: Final = ("components", "messages", "payment-method", "payload")
REASON: Final = (*RECORD, "properties", "reason", "x-extensible-enum")


def _at(document: Json, path: tuple[str, ...]) -> Any:
    for step in path:
        document = document[step]
    return document


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (lambda d: _at(d, (*RECORD, "properties")).pop("type"), ["payment-method.type: gone"]),
        (
            lambda d: _at(d, (*RECORD, "properties", "generation")).update(type="integer"),
            ["payment-method.generation: type changed"],
        ),
        (
            lambda d: _at(d, (*RECORD, "properties", "version")).update(type="string"),
            ["payment-method.version: type changed"],
        ),
        (lambda d: _at(d, (*RECORD, "required")).append("new"), ["payment-method.new: became required"]),
        (
            lambda d: _at(d, (*RECORD, "required")).remove("reason"),
            ["payment-method.reason: not always there"],
        ),
        (
            lambda d: _at(d, (*RECORD, "properties", "state", "enum")).append("paused"),
            ["payment-method.state: enum changed"],
        ),
        (lambda d: _at(d, REASON).remove("reused"), ["payment-method.reason: reused gone"]),
        (
            lambda d: _at(d, RECORD).update(additionalProperties=False),
            ["payment-method: additionalProperties changed"],
        ),
        (
            lambda d: _at(d, ("channels", "stripe-events", "bindings", "kafka")).update(partitions=24),
            ["stripe-events: partitions changed"],
        ),
        (
            lambda d: _at(d, ("components", "messages", "stripe-event", "headers", "properties")).pop(
                "ce_account"
            ),
            ["stripe-event headers.ce_account: gone"],
        ),
        (
            lambda d: _at(d, ("components", "messages", "payment-method", "bindings", "kafka", "key")).update(
                description="{id}"
            ),
            ["payment-method: the key changed"],
        ),
        (
            lambda d: _at(d, ("components", "messages")).pop("dead-letter"),
            ["dead-letter: gone"],
        ),
    ],
)
def test_what_breaks_a_consumer_is_named(change: Callable[[Json], None], expected: list[str]) -> None:
    old = _read(CURRENT / "asyncapi.json")
    new = copy.deepcopy(old)

    change(new)

    assert broken(old, new) == expected


@pytest.mark.parametrize(
    "change",
    [
        lambda d: _at(d, REASON).append("new"),
        lambda d: _at(d, (*RECORD, "properties")).update(new={"type": "string"}),
        lambda d: _at(d, (*RECORD, "properties", "reason")).update(description="other words"),
        lambda d: _at(d, ("channels",)).update(new={}),
    ],
    ids=["a reason", "a member", "words", "a topic"],
)
def test_what_adds_breaks_nobody(change: Callable[[Json], None]) -> None:
    old = _read(CURRENT / "asyncapi.json")
    new = copy.deepcopy(old)

    change(new)

    assert broken(old, new) == []


def test_a_changed_type_changes_what_is_published() -> None:
    """The check of what is committed can fail: the schema comes from the type."""
    text = published_files()["payment-method.schema.json"].decode()

    assert set(PaymentMethodRecord.__struct_fields__) == set(json.loads(text)["properties"])
    assert {reason.value for reason in Reason} <= set(re.findall(r'"([a-z_]+)"', text))


def test_messages_are_named_once() -> None:
    names = [message.name for message in MESSAGES]

    assert len(names) == len(set(names))
