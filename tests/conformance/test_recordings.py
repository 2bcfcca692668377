"""What Stripe answered, the emulator answers: the recordings are played again, exchange by exchange."""

import json
import re
from dataclasses import dataclass, field
from typing import Any

import httpx
import pytest
import yaml

from tests.conformance.conftest import API_KEY, RECORDINGS

CASSETTES = sorted(RECORDINGS.glob("*.yml"))
AN_ID = re.compile(r"(?:pm|cus|acct)_[0-9A-Za-z]{14,}")
KEY = re.compile(r"sk_test_\*+\w{4}")
COMPARED_HEADERS = (
    "content-type",
    "cache-control",
    "idempotency-key",
    "original-request",
    "request-id",
    "stripe-account",
    "stripe-notice",
    "stripe-should-retry",
    "stripe-version",
    "vary",
)
SENT_HEADERS = ("Idempotency-Key", "Stripe-Version", "Stripe-Account", "Content-Type")
VALUES_THAT_DIFFER = ("created", "fingerprint", "invoice_prefix", "exp_month", "exp_year")


@dataclass
class Mapping:
    """What an id of the recording is called here."""

    ids: dict[str, str] = field(default_factory=dict)

    def learn(self, recorded: Any, actual: Any) -> None:
        """Pair the ids at the same places of two answers."""
        if isinstance(recorded, dict) and isinstance(actual, dict):
            for key in recorded.keys() & actual.keys():
                self.learn(recorded[key], actual[key])
        elif isinstance(recorded, str) and isinstance(actual, str) and AN_ID.fullmatch(recorded):
            self.ids.setdefault(recorded, actual)

    def here(self, text: str) -> str:
        """Put the ids of this run into recorded text."""
        return AN_ID.sub(lambda found: self.ids.get(found[0], found[0]), text)


def different(recorded: Any, actual: Any, mapping: Mapping, where: str = "") -> list[str]:
    """Name what differs: fields, their JSON types, and their values where a value can be the same."""
    if type(recorded) is not type(actual):
        return [f"{where}: {recorded!r} was recorded, here {actual!r}"]
    if isinstance(recorded, dict):
        if recorded.keys() != actual.keys():
            return [f"{where}: fields {sorted(recorded.keys() ^ actual.keys())}"]
        pairs = [(recorded[key], actual[key], f"{where}.{key}") for key in recorded]
    elif isinstance(recorded, list):
        if len(recorded) != len(actual):
            return [f"{where}: {len(recorded)} were recorded, here {len(actual)}"]
        pairs = [(old, new, f"{where}[]") for old, new in zip(recorded, actual, strict=True)]
    else:
        if where.rpartition(".")[2] in VALUES_THAT_DIFFER:
            return []
        if isinstance(recorded, str):
            recorded, actual = KEY.sub("sk", mapping.here(recorded)), KEY.sub("sk", actual)
        return [] if recorded == actual else [f"{where}: {recorded!r} was recorded, here {actual!r}"]
    return [found for old, new, place in pairs for found in different(old, new, mapping, place)]


def played(exchange: dict[str, Any], mapping: Mapping, emulator_url: str) -> httpx.Response:
    """Send the recorded request again, with the ids of this run."""
    request = exchange["request"]
    headers = {
        name: mapping.here(request["headers"][name][0]) for name in SENT_HEADERS if name in request["headers"]
    }
    if "Idempotency-Key" in headers:
        headers["Idempotency-Key"] += "-" + str(id(mapping))
    url = mapping.here(request["uri"]).replace("https://api.stripe.com", emulator_url)
    with httpx.Client(trust_env=False, headers={"Authorization": f"Bearer {API_KEY}"}) as plain:
        body = mapping.here(request["body"]["string"])
        return plain.request(request["method"].upper(), url, headers=headers, content=body)


@pytest.mark.skipif(not CASSETTES, reason=f"the recordings are not at {RECORDINGS}")
@pytest.mark.parametrize("cassette", CASSETTES, ids=lambda path: path.stem)
def test_emulator_answers_as_recorded(cassette: Any, emulator_url: str) -> None:
    """Same status, same fields, same types and values, same error; ids and times mapped."""
    mapping = Mapping()
    for number, exchange in enumerate(yaml.safe_load(cassette.read_text())["http_interactions"]):
        answer = played(exchange, mapping, emulator_url)
        recorded = exchange["response"]
        where = f"{cassette.stem}[{number}]"
        assert recorded["status"]["code"] == answer.status_code, (where, answer.text)
        body = json.loads(recorded["body"]["string"])
        mapping.learn(body, answer.json())
        assert different(body, answer.json(), mapping, where) == []
        expected = {name.lower() for name in recorded["headers"]} & set(COMPARED_HEADERS)
        assert expected == set(answer.headers) & set(COMPARED_HEADERS), where


@pytest.mark.parametrize(
    ("recorded", "actual"),
    [
        ({"a": 1}, {"a": 1, "b": 1}),
        ({"a": 1}, {}),
        ({"a": None}, {"a": 1}),
        ({"a": {"b": True}}, {"a": {"b": 1}}),
        ({"a": [{"b": 1}]}, {"a": [{"b": "1"}]}),
        ({"a": "text"}, {"a": "other"}),
        ({"created": 1}, {"created": "1"}),
    ],
)
def test_comparison_finds_a_difference(recorded: Any, actual: Any) -> None:
    """The comparison above can fail."""
    assert different(recorded, actual, Mapping())
