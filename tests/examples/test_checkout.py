"""The example shop: ways A and B in a browser, and from the server alone, at the emulator."""

import os
import re
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import stripe

from deploy.examples.checkout.payments import Buyer, Shop
from deploy.examples.checkout.settings import Settings
from tests.conformance.conftest import API_KEY, DEADLINE_S, ROOT, emulator
from tests.support.browser import Browser, UnavailableError, browser

# The SDK's asynchronous client uses httpx as it was.
pytestmark = pytest.mark.filterwarnings("ignore:Use 'content=<...>':DeprecationWarning")

PUBLISHABLE_KEY = "pk_test_emulator0000000000"
GOOD_CARD, DECLINED_CARD = "4242424242424242", "4000000000009995"
ADA = Buyer("Ada Lovelace", "ada@example.com")
ONCE_ANSWERED = r"^(?!One moment)."


@pytest.fixture(scope="module")
def stripe_url() -> Iterator[str]:
    with emulator() as url:
        yield url


@pytest.fixture
async def client(stripe_url: str) -> AsyncIterator[stripe.StripeClient]:
    http = stripe.HTTPXClient()
    yield stripe.StripeClient(API_KEY, base_addresses={"api": stripe_url}, http_client=http)
    await http.close_async()  # type: ignore[no-untyped-call]


@pytest.fixture(scope="module")
def web(stripe_url: str) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=stripe_url, auth=(API_KEY, ""), trust_env=False) as opened:
        yield opened


@pytest.fixture(scope="module")
def account(web: httpx.Client) -> str:
    """The account that the shop sells for."""
    return str(web.post("/v1/accounts", data={"type": "standard", "country": "US"}).json()["id"])


@pytest.fixture(scope="module")
def shop_url(stripe_url: str, account: str) -> Iterator[str]:
    """The shop, started as its README says."""
    environment = {
        **os.environ,
        "STRIPE_SECRET_KEY": API_KEY,
        "STRIPE_PUBLISHABLE_KEY": PUBLISHABLE_KEY,
        "STRIPE_CONNECTED_ACCOUNT": account,
        "STRIPE_API_BASE": stripe_url,
        "STRIPE_JS_URL": f"/stand-in/stripe.js?api={stripe_url}",
    }
    command = [sys.executable, "-m", "uvicorn", "--factory", "deploy.examples.checkout.app:from_environment"]
    with subprocess.Popen(
        [*command, "--port", "0"], cwd=ROOT, env=environment, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stderr is not None
        try:
            lines = (re.search(r"running on (http://\S+)", line) for line in process.stderr)
            yield next(filter(None, lines))[1]
        finally:
            process.terminate()
            process.wait(DEADLINE_S)


@pytest.fixture(scope="module")
def window(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    """One window for all tests; where there is no browser they are skipped, and say so."""
    try:
        with browser(tmp_path_factory.mktemp("profile")) as opened:
            yield opened
    except UnavailableError as error:
        pytest.skip(str(error))


def fill_in(window: Browser, number: str) -> None:
    """Fill in the form and the stand-in's card."""
    texts = {
        "[name=name]": ADA.name,
        "[name=email]": ADA.email,
        "[data-field=number]": number,
        "[data-field=exp_month]": "8",
        "[data-field=exp_year]": "2040",
        "[data-field=cvc]": "314",
    }
    for selector, text in texts.items():
        window.type_into(selector, text)


def customers(web: httpx.Client, account: str) -> list[dict[str, Any]]:
    """The account's customers, newest first, each with its payment methods."""
    state = web.get(f"/_emulator/accounts/{account}/state").json()
    return [
        {
            **customer,
            "methods": [each for each in state["payment_methods"] if each["customer"] == customer["id"]],
        }
        for customer in reversed(state["customers"])
    ]


def test_way_a_in_the_browser(window: Browser, shop_url: str, web: httpx.Client, account: str) -> None:
    """The server opens the payment, the page confirms it; the card is saved, and pays again off session."""
    window.open(shop_url)
    assert "Not Stripe.js" in window.text("#card")
    fill_in(window, GOOD_CARD)
    window.click("button")
    assert window.text_once("#result", ONCE_ANSWERED) == "Paid: succeeded. Your card is saved."
    customer = customers(web, account)[0]
    (method,) = customer["methods"]
    assert (customer["name"], method["card"]["last4"]) == (ADA.name, "4242")
    again = web.post(
        "/v1/payment_intents",
        data={
            "amount": "500",
            "currency": "usd",
            "customer": customer["id"],
            "payment_method": method["id"],
            "off_session": "true",
            "confirm": "true",
        },
        headers={"Stripe-Account": account},
    )
    assert again.json()["status"] == "succeeded"


def test_declined_card_is_told_and_another_one_pays(
    window: Browser, shop_url: str, web: httpx.Client, account: str
) -> None:
    """The buyer reads why, and pays the same order with another card."""
    window.open(shop_url)
    fill_in(window, DECLINED_CARD)
    window.click("button")
    assert window.text_once("#result", ONCE_ANSWERED) == "Your card has insufficient funds."
    window.type_into("[data-field=number]", "\ue009a\ue000" + GOOD_CARD)
    window.click("button")
    assert window.text_once("#result", "^Paid") == "Paid: succeeded. Your card is saved."
    paid, *_ = web.get("/v1/payment_intents", headers={"Stripe-Account": account}).json()["data"]
    charges = web.get(
        "/v1/charges", params={"payment_intent": paid["id"]}, headers={"Stripe-Account": account}
    ).json()["data"]
    assert [charge["status"] for charge in charges] == ["succeeded", "failed"]


def test_way_b_in_the_browser(window: Browser, shop_url: str, web: httpx.Client, account: str) -> None:
    """The page makes the method on the account, the server attaches it; nothing is paid."""
    before = web.get("/v1/charges", headers={"Stripe-Account": account}).json()["data"]
    window.open(f"{shop_url}/save")
    fill_in(window, "5555555555554444")
    window.click("button")
    assert window.text_once("#result", ONCE_ANSWERED) == "Your card is saved."
    customer = customers(web, account)[0]
    (method,) = customer["methods"]
    assert method["card"]["brand"] == "mastercard"
    assert customer["invoice_settings"]["default_payment_method"] == method["id"]
    assert web.get("/v1/charges", headers={"Stripe-Account": account}).json()["data"] == before


def test_declined_card_is_not_saved(window: Browser, shop_url: str) -> None:
    """The issuer is asked when the card is attached, by the server; the buyer reads why."""
    window.open(f"{shop_url}/save")
    fill_in(window, DECLINED_CARD)
    window.click("button")
    assert window.text_once("#result", ONCE_ANSWERED) == "Your card has insufficient funds."


async def test_way_a_from_the_server_alone(client: stripe.StripeClient, account: str) -> None:
    """With a test card; the same order is charged once however often it is asked for."""
    shop = Shop(client, account)
    paid = await shop.charge("order-1", ADA, "pm_card_visa")
    assert (await shop.charge("order-1", ADA, "pm_card_visa")).id == paid.id
    assert (paid.status, paid.amount_received) == ("succeeded", 2000)
    there: stripe.RequestOptions = {"stripe_account": account}
    method = await client.v1.payment_methods.retrieve_async(str(paid.payment_method), {}, there)
    assert method.customer == paid.customer
    with pytest.raises(stripe.CardError):
        await shop.charge("order-2", ADA, "pm_card_visa_chargeDeclined")


async def test_way_b_from_the_server_alone(client: stripe.StripeClient, account: str) -> None:
    shop = Shop(client, account)
    there: stripe.RequestOptions = {"stripe_account": account}
    made = await client.v1.payment_methods.create_async(
        {"type": "card", "card": {"token": "tok_amex"}}, there
    )
    customer = await shop.save(ADA, made.id)
    assert (await shop.save(ADA, made.id)).id == customer.id
    listed = await client.v1.customers.payment_methods.list_async(customer.id, {}, there)
    assert [each.id for each in listed.data] == [made.id]


@pytest.mark.parametrize(
    "said",
    [
        "",
        "[]",
        "{}",
        '{"order": 1, "name": "A", "email": "a@b"}',
        '{"order": "", "name": "A", "email": "a@b"}',
    ],
)
@pytest.mark.parametrize("path", ["/payments", "/methods"])
def test_what_the_page_does_not_send_is_refused(shop_url: str, path: str, said: str) -> None:
    answer = httpx.post(f"{shop_url}{path}", content=said, trust_env=False)
    assert (answer.status_code, answer.json()) == (400, {"error": "This is not what the page sends."})


def test_pages_let_only_stripe_in(shop_url: str, stripe_url: str) -> None:
    """Their policy names the API and no other place; no secret is in them."""
    page = httpx.get(shop_url, trust_env=False)
    policy = page.headers["content-security-policy"]
    assert f"connect-src 'self' {stripe_url};" in policy
    assert "default-src 'none'" in policy
    assert API_KEY not in page.text


def test_policy_at_stripe_names_stripe_alone() -> None:
    """What docs.stripe.com/security/guide asks a policy to let in."""
    policy = Settings("sk", "pk", "acct_1").content_security_policy
    hosts = set(re.findall(r"https://\S+(?<!;)", policy))
    assert hosts == {
        "https://js.stripe.com",
        "https://*.js.stripe.com",
        "https://hooks.stripe.com",
        "https://api.stripe.com",
    }


def test_readme_shows_what_there_is() -> None:
    """Every setting that the README names is read, and every one that is read is named."""
    folder = ROOT / "deploy" / "examples" / "checkout"
    named = set(re.findall(r"STRIPE_[A-Z_]+", Path(folder, "README.md").read_text()))
    read = set(re.findall(r'"(STRIPE_[A-Z_]+)"', Path(folder, "settings.py").read_text()))
    assert named == read
