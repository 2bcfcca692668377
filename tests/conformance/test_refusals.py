"""What Stripe refuses, the emulator refuses, in Stripe's words where they are known."""

from typing import Any

import httpx
import pytest

from tests.conformance.conftest import API_KEY


def error(answer: httpx.Response) -> tuple[int, str, str | None, str | None]:
    """Give an error's status, type, code and parameter."""
    said: dict[str, Any] = answer.json()["error"]
    return answer.status_code, said["type"], said.get("code"), said.get("param")


def made(web: httpx.Client, path: str, account: str = "", **form: str) -> str:
    """Create something and give its id."""
    headers = {"Stripe-Account": account} if account else {}
    answer = web.post(path, data=form, headers=headers)
    assert answer.status_code == 200, answer.text
    return str(answer.json()["id"])


@pytest.mark.parametrize(
    ("method", "path", "form", "expected"),
    [
        ("POST", "/v1/customers", {"nmae": "x"}, (400, "parameter_unknown", "nmae")),
        ("POST", "/v1/customers", {"address[zip]": "x"}, (400, "parameter_unknown", "address[zip]")),
        ("POST", "/v1/customers", {"metadata": "x"}, (400, None, "metadata")),
        ("POST", "/v1/customers", {"email": "x"}, (400, "email_invalid", "email")),
        ("POST", "/v1/customers", {"payment_method": ""}, (400, "parameter_invalid_empty", "payment_method")),
        (
            "POST",
            "/v1/customers",
            {"payment_method": "pm_1"},
            (400, "resource_missing", "payment_method"),
        ),
        ("POST", "/v1/payment_methods", {}, (400, "parameter_missing", "type")),
        ("POST", "/v1/payment_methods", {"type": "card"}, (400, "parameter_missing", "card[number]")),
        (
            "POST",
            "/v1/payment_methods",
            {"type": "card", "card[number]": "4242424242424242", "card[exp_month]": "x"},
            (400, "parameter_invalid_integer", "card[exp_month]"),
        ),
        (
            "POST",
            "/v1/payment_methods",
            {"type": "card", "card[token]": "tok_visa", "us_bank_account[account_number]": "000123456789"},
            (400, "parameter_unknown", "us_bank_account"),
        ),
        (
            "POST",
            "/v1/payment_methods",
            {"type": "link", "card[token]": "tok_visa"},
            (400, "parameter_unknown", "card"),
        ),
        (
            "POST",
            "/v1/payment_methods",
            {"type": "card", "card[token]": "tok_visa", "card[number]": "4242424242424242"},
            (400, None, "card"),
        ),
        (
            "POST",
            "/v1/setup_intents",
            {"payment_method_data[type]": "link", "payment_method_data[sepa_debit][iban]": "x"},
            (400, "parameter_unknown", "payment_method_data[sepa_debit]"),
        ),
        ("POST", "/v1/payment_methods", {"type": "card", "customer": "cus_1"}, (400, None, "customer")),
        ("POST", "/v1/payment_methods/pm_1/attach", {}, (400, "parameter_missing", None)),
        (
            "POST",
            "/v1/payment_methods/pm_1/attach",
            {"customer": "c"},
            (404, "resource_missing", "payment_method"),
        ),
        (
            "POST",
            "/v1/payment_methods/pm_card_visa/attach",
            {"customer": "cus_1"},
            (400, "resource_missing", "customer"),
        ),
        ("GET", "/v1/customers/cus_1", {}, (404, "resource_missing", "id")),
        ("GET", "/v1/customers?limit=101", {}, (400, None, "limit")),
        ("GET", "/v1/customers?limit=0", {}, (400, None, "limit")),
        ("GET", "/v1/customers?starting_after=cus_1", {}, (400, "resource_missing", "starting_after")),
        ("GET", "/v1/payment_methods", {}, (400, "parameter_missing", "customer")),
        ("POST", "/v1/webhook_endpoints", {"url": "http://x"}, (400, "parameter_missing", "enabled_events")),
        ("GET", "/v1/nothing", {}, (404, None, None)),
        ("DELETE", "/v1/payment_methods/pm_1", {}, (404, None, None)),
    ],
)
def test_bad_request(
    web: httpx.Client,
    method: str,
    path: str,
    form: dict[str, str],
    expected: tuple[int, str | None, str | None],
) -> None:
    """Status, code and parameter of each refusal; the type is always invalid_request_error."""
    answer = web.request(method, path, data=form or None)
    status, code, param = expected
    assert (status, "invalid_request_error", code, param) == error(answer)
    assert answer.headers["request-id"] in answer.json()["error"]["request_log_url"]


@pytest.mark.parametrize(
    ("version", "status"),
    [
        ("2026-10-28.endive", 200),
        ("2024-06-20", 200),
        ("2026-10-28.endive; some_beta=v1", 200),
        ("2026-10-28.preview", 200),
        ("2099-01-31.later", 200),
        ("2026-10-28.basil", 400),
        ("2024-06-21", 400),
        ("latest", 400),
    ],
)
def test_versions_that_never_were_are_refused(web: httpx.Client, version: str, status: int) -> None:
    """A version is one the SDK knows, a preview, or later than all of these."""
    answer = web.get("/v1/customers", headers={"Stripe-Version": version})
    assert answer.status_code == status
    if status != 200:
        assert error(answer) == (400, "invalid_request_error", None, None)
        assert answer.json()["error"]["message"] == f"Invalid Stripe API version: {version}"


@pytest.mark.parametrize(
    ("content_type", "text"),
    [
        ("application/json", "check that your POST content type is application/x-www-form-urlencoded"),
        ("text/plain", "unsupported Content-Type text/plain"),
    ],
)
def test_only_a_form_is_read(web: httpx.Client, content_type: str, text: str) -> None:
    """API v1 reads no JSON; without a key, that is what is refused first."""
    headers = {"Content-Type": content_type}
    answer = web.post("/v1/customers", content='{"name": "Ada"}', headers=headers)
    assert error(answer) == (400, "invalid_request_error", None, None)
    assert text in answer.json()["error"]["message"]
    keyless = httpx.post(f"{web.base_url}/v1/customers", content="{}", headers=headers, trust_env=False)
    assert keyless.status_code == 401


def test_keys(web: httpx.Client) -> None:
    """No key and a wrong key are 401; Bearer and Basic both carry one."""
    right = {"Authorization": f"Bearer {API_KEY}"}
    with httpx.Client(base_url=web.base_url, trust_env=False) as plain:
        assert plain.get("/v1/account").status_code == 401
        wrong = plain.get("/v1/account", auth=("sk_test_wrong000000001234", ""))
        assert plain.get("/v1/account", headers=right).status_code == 200
    assert (
        wrong.status_code,
        wrong.json()["error"]["message"],
    ) == (401, "Invalid API Key provided: sk_test_*************1234")


@pytest.mark.parametrize(
    ("form", "text"),
    [
        ({"payment_method": "{card}"}, r"belongs to the Customer {customer}"),
        ({"payment_method": "{card}", "customer": "{other}"}, "does not belong to the Customer you supplied"),
        ({"payment_method": "{card}", "customer": "cus_1"}, "No such customer: 'cus_1'"),
        (
            {"payment_method": "{loose}", "customer": "{customer}"},
            "does not belong to the Customer you supplied",
        ),
        ({"payment_method": "{card}", "customer": "{customer}", "type": "card"}, "unknown parameter: type"),
        ({"payment_method": "{link}"}, "PaymentMethods of type 'link' cannot be shared"),
        ({"payment_method": "{spent}"}, "It may not be used again"),
        ({"payment_method": "pm_1"}, "No such PaymentMethod: 'pm_1'"),
        ({"customer": "{customer}"}, "You cannot attach a PaymentMethod to a Customer during"),
    ],
)
def test_clone_is_refused(web: httpx.Client, account: str, form: dict[str, str], text: str) -> None:
    """STRIPE.md 1.1 to 1.6: each refusal is a 400 that leaves nothing on the account."""
    customer, other = made(web, "/v1/customers"), made(web, "/v1/customers")
    card = made(web, "/v1/payment_methods/pm_card_visa/attach", customer=customer)
    loose, spent = (
        made(web, "/v1/payment_methods", **{"type": "card", "card[token]": "tok_visa"}) for _ in "12"
    )
    link = made(web, "/v1/payment_methods", type="link")
    made(web, "/v1/payment_methods", account, payment_method=spent)
    names = {"customer": customer, "other": other, "card": card, "loose": loose, "spent": spent, "link": link}
    before = web.get(f"/_emulator/accounts/{account}/state").json()
    answer = web.post(
        "/v1/payment_methods",
        data={key: value.format(**names) for key, value in form.items()},
        headers={"Stripe-Account": account},
    )
    assert answer.status_code == 400
    assert text.format(**names) in answer.json()["error"]["message"]
    assert before == web.get(f"/_emulator/accounts/{account}/state").json()


def test_unattached_original_is_consumed(web: httpx.Client, account: str) -> None:
    """A clone without a customer spends its original; the clone itself is fresh."""
    original = made(web, "/v1/payment_methods", **{"type": "card", "card[token]": "tok_visa"})
    clone = made(web, "/v1/payment_methods", account, payment_method=original)
    answer = web.post(f"/v1/payment_methods/{original}/attach", data={"customer": made(web, "/v1/customers")})
    assert "may not be used again" in answer.json()["error"]["message"]
    update = web.post(
        f"/v1/payment_methods/{clone}", data={"metadata[a]": "1"}, headers={"Stripe-Account": account}
    )
    assert "You must save this PaymentMethod to a customer" in update.json()["error"]["message"]
    owner = made(web, "/v1/customers", account)
    made(web, f"/v1/payment_methods/{clone}/attach", account, customer=owner)
    made(web, f"/v1/payment_methods/{clone}/attach", account, customer=owner)
    other = web.post(
        f"/v1/payment_methods/{clone}/attach",
        data={"customer": made(web, "/v1/customers", account)},
        headers={"Stripe-Account": account},
    )
    assert error(other) == (400, "invalid_request_error", None, None)
    assert "already been attached" in other.json()["error"]["message"]


def test_platform_id_on_connected_account(web: httpx.Client, account: str) -> None:
    """A platform payment method used on an account without a clone is named as such."""
    card = made(web, "/v1/payment_methods", **{"type": "card", "card[token]": "tok_visa"})
    answer = web.get(f"/v1/payment_methods/{card}", headers={"Stripe-Account": account})
    assert answer.status_code == 404
    assert "platform-owned payment method ID" in answer.json()["error"]["message"]


def test_bank_account_is_cloned_with_its_fingerprint(web: httpx.Client, account: str) -> None:
    """`us_bank_account` is the other type that can be cloned."""
    customer = made(web, "/v1/customers")
    bank = web.post("/v1/payment_methods/pm_usBankAccount_success/attach", data={"customer": customer}).json()
    clone = web.post(
        "/v1/payment_methods",
        data={"payment_method": bank["id"], "customer": customer},
        headers={"Stripe-Account": account},
    ).json()
    assert bank["us_bank_account"] == clone["us_bank_account"]
