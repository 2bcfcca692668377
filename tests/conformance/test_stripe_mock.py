"""Stripe's own stripe-mock takes every request that our code sends: no parameter is invented.

stripe-mock knows Stripe's OpenAPI description and nothing else: no state, no accounts, no clones. That
description refuses unknown names at the top only; here it is given one that refuses them at every depth.
"""

import json
import os
import re
import subprocess
import sys
import threading
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.conformance import programs
from tests.conformance.conftest import ROOT
from tests.support.platform import CALLS_TO

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

PLAYED = ("tests/e2e", "tests/integration/engine")
OUR_CALLS = {
    ("POST", "/v1/payment_methods"),
    ("POST", "/v1/customers"),
    ("POST", "/v1/payment_methods/{payment_method}/attach"),
    ("POST", "/v1/payment_methods/{payment_method}"),
    ("POST", "/v1/payment_methods/{payment_method}/detach"),
    ("POST", "/v1/customers/{customer}"),
    ("GET", "/v1/payment_methods/{payment_method}"),
    ("GET", "/v1/customers/{customer}"),
    ("GET", "/v1/accounts/{account}"),
}
"""What `consumers/stripe_gateway.py` calls; a run in which one is missing has shown nothing of it."""


@pytest.fixture(scope="module")
def stripe_mock(tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    """A client for stripe-mock, which runs as long as the tests of this module."""
    try:
        program = programs.stripe_mock()
    except programs.UnavailableError as error:
        pytest.skip(str(error))
    description = json.loads(program.description.read_text())
    close(description["paths"])
    strict = tmp_path_factory.mktemp("stripe-mock") / "spec3.json"
    strict.write_text(json.dumps(description))
    free = "127.0.0.1:0"
    command = [str(program.binary), "-spec", str(strict), "-http-addr", free, "-https-addr", free]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            shown = (re.fullmatch(r"Listening for HTTP at address: (\S+)\n", line) for line in process.stdout)
            address = next(filter(None, shown))[1]
            # It writes lines for each request, and would stand still once nobody reads them.
            threading.Thread(target=process.stdout.read, daemon=True).start()
            key = {"Authorization": "Bearer sk_test_123"}
            with httpx.Client(base_url=f"http://{address}", headers=key, trust_env=False) as client:
                yield client
        finally:
            process.terminate()


def close(schema: Any) -> None:
    """Make every object that names its properties take no others."""
    if isinstance(schema, dict):
        if "properties" in schema and schema.get("type") == "object":
            schema.setdefault("additionalProperties", False)
        for below in schema.values():
            close(below)
    elif isinstance(schema, list):
        for below in schema:
            close(below)


def refusals(stripe_mock: httpx.Client, calls: Iterable[dict[str, Any]]) -> list[str]:
    """Send calls of the emulator's log again; say which are refused, and why."""
    refused = []
    for call in calls:
        parameters = dict(_flat(call["parameters"]))
        place = {"data": parameters or None} if call["method"] == "POST" else {"params": parameters}
        form = {"Content-Type": "application/x-www-form-urlencoded"}
        answer = stripe_mock.request(call["method"], call["path"], headers=form, **place)
        if not answer.is_success:
            why = answer.json()["error"]["message"]
            refused.append(f"{call['method']} {call['path']} {parameters}: {why}")
    return refused


def _flat(tree: dict[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    for key, value in tree.items():
        name = f"{prefix}[{key}]" if prefix else key
        if isinstance(value, dict):
            yield from _flat(value, name)
        else:
            yield name, value


def test_accepts_what_our_code_sends(stripe_mock: httpx.Client, tmp_path: Path) -> None:
    """The end-to-end tests and the engine's are run; what they asked the emulator, stripe-mock is asked."""
    log = tmp_path / "calls.jsonl"
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-m", "not slow", *PLAYED]
    run = subprocess.run(
        command, cwd=ROOT, env={**os.environ, CALLS_TO: str(log)}, capture_output=True, text=True, check=False
    )
    assert run.returncode == 0, run.stdout[-4000:]
    sent = {
        json.dumps([call["method"], call["path"], call["parameters"]]): call
        for call in map(json.loads, log.read_text().splitlines())
    }
    assert OUR_CALLS - {(call["method"], call["route"]) for call in sent.values()} == set()
    assert refusals(stripe_mock, sent.values()) == []


CLONE: dict[str, Any] = {"customer": "cus_1", "payment_method": "pm_1"}
INVENTED = {"invented": "1"}


@pytest.mark.parametrize(
    ("method", "path", "parameters", "invented"),
    [
        ("POST", "/v1/payment_methods", CLONE, INVENTED),
        ("POST", "/v1/customers", {"payment_method": "pm_1", "metadata": {"a": "1"}}, INVENTED),
        (
            "POST",
            "/v1/customers/cus_1",
            {"invoice_settings": {"default_payment_method": "pm_1"}},
            {"invoice_settings": INVENTED},
        ),
        ("POST", "/v1/payment_methods/pm_1", {"card": {"exp_month": "3"}}, {"card": INVENTED}),
        (
            "POST",
            "/v1/payment_methods/pm_1",
            {"billing_details": {"address": {"city": ""}}},
            {"billing_details": {"address": INVENTED}},
        ),
        ("POST", "/v1/payment_methods/pm_1/attach", {"customer": "cus_1"}, INVENTED),
        ("POST", "/v1/payment_methods/pm_1/detach", {}, INVENTED),
        ("GET", "/v1/payment_methods/pm_1", {}, INVENTED),
        ("GET", "/v1/accounts", {"limit": "1"}, INVENTED),
    ],
)
def test_finds_an_invented_parameter(
    stripe_mock: httpx.Client, method: str, path: str, parameters: dict[str, Any], invented: dict[str, Any]
) -> None:
    """The same request is taken without, and refused with, a parameter that Stripe does not have."""
    call = {"method": method, "path": path}
    assert refusals(stripe_mock, [{**call, "parameters": parameters}]) == []
    assert len(refusals(stripe_mock, [{**call, "parameters": {**parameters, **invented}}])) == 1


def test_takes_any_number_of_calls(stripe_mock: httpx.Client) -> None:
    """What it writes about them fills a pipe after some four hundred."""
    call = {"method": "POST", "path": "/v1/payment_methods", "parameters": CLONE}
    assert refusals(stripe_mock, [call] * 1000) == []


def test_finds_an_invented_url(stripe_mock: httpx.Client) -> None:
    call = {"method": "POST", "path": "/v1/payment_methods/pm_1/share", "parameters": {}}
    assert len(refusals(stripe_mock, [call])) == 1
