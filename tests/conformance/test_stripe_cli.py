"""The official Stripe CLI believes the emulator: the binary from npm, with nothing of ours in between."""

import json
import os
import shlex
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
import stripe

from deploy.local.deployment import Deployment
from deploy.local.hints import hints
from tests.conformance import programs
from tests.conformance.conftest import API_KEY, Receiver

WAYS = Path(__file__).with_name("ways.json")
WITHIN_S = 20.0
NOWHERE = "http://127.0.0.1:9"


@dataclass(frozen=True, slots=True)
class StripeCli:
    """The CLI with a home of its own, so that no login is read; it reaches only this machine."""

    binary: Path
    url: str
    home: Path

    @property
    def environment(self) -> dict[str, str]:
        """What the CLI sees of this machine."""
        return {
            "HOME": str(self.home),
            "PATH": os.environ["PATH"],
            "STRIPE_CLI_TELEMETRY_OPTOUT": "1",
            # `trigger` asks GitHub for a newer version.
            **dict.fromkeys(("HTTPS_PROXY", "HTTP_PROXY"), NOWHERE),
        }

    @contextmanager
    def listening(self, *arguments: str) -> Iterator[None]:
        """Run `listen` at the emulator, from when it is ready until the block ends."""
        argv = [
            str(self.binary),
            "listen",
            *arguments,
            "--api-key",
            API_KEY,
            "--api-base",
            self.url,
            "--no-wss",
        ]
        pipe = subprocess.PIPE
        with subprocess.Popen(argv, env=self.environment, stderr=pipe, stdout=pipe, text=True) as process:
            try:
                assert process.stderr is not None
                assert any("Ready!" in line for line in process.stderr)
                yield
            finally:
                process.terminate()

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run a command to its end."""
        return subprocess.run(
            [self.binary, *arguments],
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=WITHIN_S,
            check=False,
        )

    def at_emulator(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run a command at the emulator."""
        return self.run(*arguments, "--api-key", API_KEY, "--api-base", self.url)

    def shown(self, *arguments: str) -> dict[str, Any]:
        """Run a command at the emulator and read the JSON that it prints."""
        done = self.at_emulator(*arguments)
        assert done.returncode == 0, done.stdout + done.stderr
        body: dict[str, Any] = json.loads(done.stdout)
        return body


@pytest.fixture(scope="session")
def stripe_cli(emulator_url: str, tmp_path_factory: pytest.TempPathFactory) -> StripeCli:
    """The CLI at its fixed version; where it cannot be had the test is skipped, and says why."""
    try:
        binary = programs.stripe_cli()
    except programs.UnavailableError as error:
        pytest.skip(str(error))
    return StripeCli(binary, emulator_url, tmp_path_factory.mktemp("home"))


@pytest.fixture
def calls(web: httpx.Client) -> Callable[[], list[dict[str, Any]]]:
    """Gives the calls that were made since the test began."""
    before = web.get("/_emulator/log").json()["calls"]
    last = before[-1]["n"] if before else 0

    def since() -> list[dict[str, Any]]:
        made: list[dict[str, Any]] = web.get("/_emulator/log", params={"after": last}).json()["calls"]
        return made

    return since


def in_live_mode(url: str) -> httpx.Client:
    """Give a client with a key of live mode."""
    key = "sk_live_" + "listen000000"
    httpx.post(f"{url}/_emulator/keys", json={"key": key}).raise_for_status()
    return httpx.Client(base_url=url, auth=(key, ""), trust_env=False)


def events(web: httpx.Client, account: str) -> list[str]:
    """Name the events of an account, oldest first."""
    listed = web.get("/v1/events", params={"limit": 100}, headers={"Stripe-Account": account}).json()["data"]
    return [event["type"] for event in reversed(listed)]


def test_post_get_delete(stripe_cli: StripeCli, account: str) -> None:
    """The plain commands, on a connected account; what is refused is shown as Stripe's error."""
    there = ("--stripe-account", account)
    made = stripe_cli.shown("post", "/v1/customers", "-d", "name=Ada", "-d", "metadata[a]=1", *there)
    url = f"/v1/customers/{made['id']}"
    assert (made["name"], made["metadata"]) == ("Ada", {"a": "1"})
    assert made == stripe_cli.shown("get", url, *there)
    assert made == stripe_cli.shown("get", "/v1/customers", "--limit", "1", *there)["data"][0]
    assert stripe_cli.shown("get", url)["error"]["code"] == "resource_missing"
    assert stripe_cli.shown("post", url, "-d", "nmae=x", *there)["error"]["code"] == "parameter_unknown"
    gone = {"id": made["id"], "object": "customer", "deleted": True}
    assert gone == stripe_cli.shown("delete", url, "--confirm", *there)
    assert gone == stripe_cli.shown("get", url, *there)


@pytest.mark.parametrize(
    "command", [("payment_methods", "create"), ("post", "/v1/payment_methods")], ids=" ".join
)
def test_clone(
    stripe_cli: StripeCli, account: str, calls: Callable[[], list[dict[str, Any]]], command: tuple[str, str]
) -> None:
    """Way C as a developer types it, twice with one key: one clone, and nothing sent but what was typed."""
    customer = stripe_cli.shown("customers", "create", "--name", "Ada")["id"]
    card = stripe_cli.shown("payment_methods", "attach", "pm_card_visa", "--customer", customer)
    named = ("-d", f"customer={customer}", "-d", f"payment_method={card['id']}")
    once = ("--stripe-account", account, "--idempotency", f"clone-{account}")
    clone = stripe_cli.shown(*command, *named, *once)
    assert clone == stripe_cli.shown(*command, *named, *once)
    assert (clone["customer"], clone["card"]) == (None, card["card"])
    assert clone["id"] != card["id"]
    first, second = (call for call in calls() if call["account"] == account)
    assert first["parameters"] == {"customer": customer, "payment_method": card["id"]}
    assert [(call["idempotency_key"], call["replayed"]) for call in (first, second)] == [
        (f"clone-{account}", False),
        (f"clone-{account}", True),
    ]


@pytest.mark.parametrize(
    ("event", "expected"),
    [
        ("customer.created", ["customer.created"]),
        ("customer.updated", ["customer.created", "customer.updated"]),
        ("customer.deleted", ["customer.created", "customer.deleted"]),
        ("payment_method.attached", ["customer.created", "payment_method.attached"]),
        (
            "payment_method.detached",
            ["customer.created", "payment_method.attached", "payment_method.detached"],
        ),
        (
            "payment_method.updated",
            [
                *("customer.created", "setup_intent.created", "payment_method.attached"),
                *("setup_intent.succeeded", "payment_method.updated"),
            ],
        ),
        ("setup_intent.created", ["setup_intent.created"]),
        ("setup_intent.canceled", ["setup_intent.created", "setup_intent.canceled"]),
        ("setup_intent.requires_action", ["setup_intent.created", "setup_intent.requires_action"]),
        ("setup_intent.setup_failed", ["setup_intent.created", "setup_intent.setup_failed"]),
        ("setup_intent.succeeded", ["setup_intent.created", "setup_intent.succeeded"]),
        ("payment_intent.created", ["payment_intent.created"]),
        ("payment_intent.canceled", ["payment_intent.created", "payment_intent.canceled"]),
        ("payment_intent.requires_action", ["payment_intent.created", "payment_intent.requires_action"]),
        (
            "payment_intent.payment_failed",
            ["payment_intent.created", "charge.failed", "payment_intent.payment_failed"],
        ),
        (
            "payment_intent.processing",
            [
                *("payment_intent.created", "mandate.updated", "charge.pending"),
                "payment_intent.processing",
            ],
        ),
        (
            "payment_intent.succeeded",
            ["payment_intent.created", "charge.succeeded", "payment_intent.succeeded"],
        ),
        (
            "payment_intent.amount_capturable_updated",
            ["payment_intent.created", "charge.succeeded", "payment_intent.amount_capturable_updated"],
        ),
    ],
    ids=str,
)
def test_trigger(
    stripe_cli: StripeCli, web: httpx.Client, account: str, event: str, expected: list[str]
) -> None:
    """What the CLI does to cause an event causes it, and what comes before it, on the account it names."""
    done = stripe_cli.at_emulator("trigger", event, "--stripe-account", account)
    assert done.returncode == 0, done.stderr
    assert expected == events(web, account)


@pytest.mark.parametrize("event", ["account.updated", "account.application.deauthorized"])
def test_trigger_about_an_account(
    stripe_cli: StripeCli, web: httpx.Client, calls: Callable[[], list[dict[str, Any]]], event: str
) -> None:
    """The CLI makes an account of its own, then changes or deletes it; the platform is told."""
    endpoint = web.post(
        "/v1/webhook_endpoints",
        data={"url": NOWHERE, "enabled_events[]": event, "connect": "true"},
    ).json()["id"]
    done = stripe_cli.at_emulator("trigger", event)
    assert done.returncode == 0, done.stderr
    path = calls()[-1]["path"]
    told = [
        (each["type"], each["account"])
        for each in web.get("/_emulator/deliveries").json()["deliveries"]
        if each["endpoint"] == endpoint
    ]
    web.delete(f"/v1/webhook_endpoints/{endpoint}")
    assert told == [(event, path.rpartition("/")[2])]


@pytest.mark.parametrize("event", ["customer.source.created", "customer.discount.created", "price.created"])
def test_trigger_of_what_the_emulator_does_not_have(stripe_cli: StripeCli, event: str) -> None:
    """Sources, coupons and prices are no part of it: the CLI fails and shows the refusal."""
    done = stripe_cli.at_emulator("trigger", event)
    assert done.returncode == 1
    assert "Unrecognized request URL (POST: /v1/" in done.stderr


def test_fixtures_file_goes_the_ways(
    stripe_cli: StripeCli, web: httpx.Client, calls: Callable[[], list[dict[str, Any]]]
) -> None:
    """All three ways, in the CLI's own format: each leaves a method that is then paid with off session."""
    done = stripe_cli.at_emulator("fixtures", str(WAYS))
    assert done.returncode == 0, done.stdout + done.stderr
    made = calls()
    (account,) = {call["account"] for call in made} - {None}
    assert [200] * len(json.loads(WAYS.read_text())["fixtures"]) == [call["status"] for call in made]
    state = web.get(f"/_emulator/accounts/{account}/state").json()
    ways = {customer["id"]: customer["description"] for customer in state["customers"]}
    attached = {(ways[method["customer"]], method["card"]["brand"]) for method in state["payment_methods"]}
    assert attached == {("way A", "amex"), ("way B", "mastercard"), ("way C", "visa")}
    assert {intent["status"] for intent in state["payment_intents"]} == {"succeeded"}
    paid = ["payment_intent.created", "charge.succeeded", "payment_intent.succeeded"]
    assert events(web, account) == [
        *("customer.created", "payment_method.attached"),
        *("customer.created", "payment_method.attached"),
        *("customer.created", "payment_intent.created"),
        *("charge.succeeded", "payment_method.attached", "payment_intent.succeeded"),
        *(paid * 3),
    ]


def test_the_line_that_make_run_prints(stripe_cli: StripeCli, tmp_path: Path) -> None:
    """What `offshoot local` offers to be copied does what is said of it, as it stands."""
    customer = stripe_cli.shown("customers", "create")["id"]
    deployment = Deployment(folder=tmp_path, database_url="", kafka_bootstrap_servers="")
    deployment.stripe_url = stripe_cli.url
    offered = hints(deployment, accounts=["acct_1"], customer=customer, logs=tmp_path)
    (line,) = (command for _, command in offered if command.startswith("stripe "))
    done = stripe_cli.run(*shlex.split(line)[1:])
    assert done.returncode == 0, done.stderr
    assert (json.loads(done.stdout)["customer"], json.loads(done.stdout)["card"]["brand"]) == (
        customer,
        "amex",
    )


@pytest.mark.parametrize("told", ["--all-snapshot", "--all-thin"])
def test_listen_forwards_what_happens(
    stripe_cli: StripeCli, client: stripe.StripeClient, account: str, receiver: Receiver, told: str
) -> None:
    """Events of the platform go to the one address, those of accounts to the other, as Stripe signs them.

    What happens in the other mode is not told.
    """
    secret = stripe_cli.at_emulator("listen", "--print-secret").stdout.strip()
    connect = receiver.url + "/connect"
    with stripe_cli.listening(told, "--forward-to", receiver.url, "--forward-connect-to", connect):
        with in_live_mode(stripe_cli.url) as live:
            live.post("/v1/customers").raise_for_status()
        own = client.v1.customers.create({})
        theirs = client.v1.customers.create({}, {"stripe_account": account})
        hooks = {hook.path: hook for hook in (receiver.next(), receiver.next())}
    for path, customer, context in (("/hooks", own, None), ("/hooks/connect", theirs, account)):
        hook = hooks[path]
        header = hook.headers["stripe-signature"]
        stripe.WebhookSignature.verify_header(hook.body.decode(), header, secret, 300)
        event = hook.event
        shown = event["data"]["object"] if told == "--all-snapshot" else event["related_object"]
        kind = "customer.created" if told == "--all-snapshot" else "v1.customer.created"
        assert (event["type"], event.get("context"), shown["id"]) == (kind, context, customer.id)
