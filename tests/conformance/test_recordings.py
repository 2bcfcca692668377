"""What Stripe answered, the emulator answers: the recordings are played again, exchange by exchange."""

import json
import re
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import httpx
import pytest
import yaml

from tests.conformance.conftest import API_KEY, RECORDINGS

CASSETTES = sorted(RECORDINGS.glob("*.yml"))
AN_ID = re.compile(r"(?:pm|cus|acct|req)_[0-9A-Za-z]{14,}")
NAMED_BY = {"fingerprint": re.compile(r"[0-9A-Za-z]{16}"), "invoice_prefix": re.compile(r"[0-9A-Z]{8}")}
"""Fields whose value is made by Stripe as an id is, and what such a value looks like."""
KEY = re.compile(r"sk_test_\*+\w{4}")
OF_THE_EDGE = frozenset(
    {
        *(
            "connection",
            "content-length",
            "date",
            "server",
            "strict-transport-security",
            "x-robots-tag",
            "x-wc",
        ),
        *("content-security-policy", "report-to", "reporting-endpoints"),
        *("x-stripe-priority-routing-enabled", "x-stripe-routing-context-priority-tier"),
    }
)
"""Headers of the connection and of what stands in front of Stripe's API. Every other one is compared."""
SENT_HEADERS = ("Idempotency-Key", "Stripe-Version", "Stripe-Account", "Content-Type")
TIMES = frozenset({"created"})
EXPIRY_OF_A_TEST_CARD = frozenset({"exp_month", "exp_year"})
"""Stripe's own test cards, `pm_card_visa` and so on, expire a year after whenever they are used."""


@dataclass
class Names:
    """What an id of the recording is called here: one name for one thing, of the same kind."""

    ids: dict[str, str] = field(default_factory=dict)
    times: frozenset[str] = TIMES

    def learn(self, recorded: Any, actual: Any, name: str = "") -> None:
        """Pair the ids at the same places of two answers, unless one means something else."""
        if isinstance(recorded, dict) and isinstance(actual, dict):
            for key in recorded.keys() & actual.keys():
                self.learn(recorded[key], actual[key], key)
        elif isinstance(recorded, list) and isinstance(actual, list):
            for old, new in zip(recorded, actual, strict=False):
                self.learn(old, new, name)
        elif isinstance(recorded, str) and isinstance(actual, str):
            form = NAMED_BY.get(name, AN_ID)
            is_pair = form.fullmatch(recorded) and form.fullmatch(actual)
            same_kind = name in NAMED_BY or recorded.partition("_")[0] == actual.partition("_")[0]
            if is_pair and same_kind and actual not in self.ids.values():
                self.ids.setdefault(recorded, actual)

    def here(self, text: str) -> str:
        """Put the ids of this run into recorded text."""
        return self.ids.get(text) or AN_ID.sub(lambda found: self.ids.get(found[0], found[0]), text)


def different(recorded: Any, actual: Any, names: Names, where: str = "") -> list[str]:
    """Name what differs: fields, their JSON types, and their values but times."""
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
        if where.rpartition(".")[2] in names.times:
            return []
        if isinstance(recorded, str):
            recorded, actual = KEY.sub("sk", names.here(recorded)), KEY.sub("sk", actual)
        return [] if recorded == actual else [f"{where}: {recorded!r} was recorded, here {actual!r}"]
    return [found for old, new, place in pairs for found in different(old, new, names, place)]


def played(exchange: dict[str, Any], names: Names, emulator_url: str) -> httpx.Response:
    """Send the recorded request again, with the ids of this run and a key of this run."""
    request = exchange["request"]
    headers = {
        name: names.here(request["headers"][name][0]) for name in SENT_HEADERS if name in request["headers"]
    }
    if "Idempotency-Key" in headers:
        headers["Idempotency-Key"] = names.ids.setdefault(headers["Idempotency-Key"], str(uuid.uuid4()))
    url = names.here(request["uri"]).replace("https://api.stripe.com", emulator_url)
    with httpx.Client(trust_env=False, headers={"Authorization": f"Bearer {API_KEY}"}) as plain:
        body = names.here(request["body"]["string"])
        return plain.request(request["method"].upper(), url, headers=headers, content=body)


def read(response: dict[str, Any]) -> dict[str, Any]:
    """Give what is compared of a recorded answer."""
    return {
        "status": response["status"]["code"],
        "headers": compared({name.lower(): value for name, (value,) in response["headers"].items()}),
        "body": json.loads(response["body"]["string"]),
    }


def compared(headers: Mapping[str, str]) -> dict[str, str]:
    """Leave out what is not the API's own."""
    return {name: value for name, value in headers.items() if name not in OF_THE_EDGE}


@pytest.mark.skipif(not CASSETTES, reason=f"the recordings are not at {RECORDINGS}")
@pytest.mark.parametrize("cassette", CASSETTES, ids=lambda path: path.stem)
def test_emulator_answers_as_recorded(cassette: Any, emulator_url: str) -> None:
    """Same status, headers, fields, types and values, same error; ids and times mapped."""
    names = Names()
    for number, exchange in enumerate(yaml.safe_load(cassette.read_text())["http_interactions"]):
        answer = played(exchange, names, emulator_url)
        recorded = read(exchange["response"])
        actual = {
            "status": answer.status_code,
            "headers": compared(dict(answer.headers)),
            "body": answer.json(),
        }
        names.learn(recorded, actual)
        names.times = TIMES | (EXPIRY_OF_A_TEST_CARD if "/pm_card_" in exchange["request"]["uri"] else set())
        assert different(recorded, actual, names, f"{cassette.stem}[{number}]") == []


PM, OTHER_PM, HERE = "pm_" + "1" * 14, "pm_" + "2" * 14, "pm_" + "3" * 14


@pytest.mark.parametrize(
    ("recorded", "actual"),
    [
        ({"a": 1}, {"a": 1, "b": 1}),
        ({"a": 1}, {}),
        ({"a": None}, {"a": 1}),
        ({"a": {"b": True}}, {"a": {"b": 1}}),
        ({"a": [{"b": 1}]}, {"a": [{"b": "1"}]}),
        ({"a": [1]}, {"a": []}),
        ({"a": "text"}, {"a": "other"}),
        ({"created": 1}, {"created": "1"}),
        ({"id": PM}, {"id": "cus_" + "3" * 14}),
        ({"id": PM}, {"id": "pm_short"}),
        ({"id": PM, "other": OTHER_PM}, {"id": HERE, "other": HERE}),
        ({"id": PM, "again": PM}, {"id": HERE, "again": OTHER_PM}),
        ({"id": PM, "url": f"/v1/{PM}"}, {"id": HERE, "url": f"/v1/{OTHER_PM}"}),
        ({"fingerprint": "a" * 16}, {"fingerprint": ""}),
    ],
)
def test_comparison_finds_a_difference(recorded: Any, actual: Any) -> None:
    """The comparison above can fail."""
    names = Names()
    names.learn(recorded, actual)
    assert different(recorded, actual, names)


def test_comparison_takes_other_names_for_the_same_things() -> None:
    names = Names()
    recorded = {"id": PM, "url": f"/v1/{PM}", "created": 1, "card": {"fingerprint": "a" * 16}}
    actual = {"id": HERE, "url": f"/v1/{HERE}", "created": 2, "card": {"fingerprint": "b" * 16}}
    names.learn(recorded, actual)
    assert different(recorded, actual, names) == []
