"""Stripe's answers in Offshoot's words, through the official SDK and over HTTP."""

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest

from consumers.stripe_errors import (
    AccountInvalidError,
    KeyRefusedError,
    NotExecutedError,
    OutcomeUnknownError,
    PermissionMissingError,
    RateLimitedError,
    RefusedError,
    StripeError,
)
from consumers.stripe_gateway import Reply, StripeGateway
from tests.unit.consumers.answering import Answering, Trouble, answering

# The SDK's own, at every write; as an error it would look like a lost connection.
pytestmark = pytest.mark.filterwarnings("ignore:Use 'content=:DeprecationWarning")

KEY = "sk_test_0123456789abcdef"
SECRET_TEXT = "No such customer: 'cus_P'; the key was sk_test_0123456789abcdef of Jenny Rosen"


@pytest.fixture
async def stripe() -> AsyncIterator[Answering]:
    async with answering() as served:
        yield served


@pytest.fixture
async def gateway(stripe: Answering) -> AsyncIterator[StripeGateway]:
    made = StripeGateway(api_key=KEY, api_base=stripe.url, timeout_s=5)
    yield made
    await made.close()


def _error(kind: str, code: str | None = None, **more: Any) -> dict[str, Any]:
    error = {"type": kind, "message": SECRET_TEXT, **more}
    if code is not None:
        error["code"] = code
    return {"error": error}


async def _failure(gateway: StripeGateway) -> StripeError:
    with pytest.raises(StripeError) as caught:
        await gateway.clone("acct_1", {"customer": "cus_P", "payment_method": "pm_P"}, "k")
    return caught.value


INVALID = "invalid_request_error"


@pytest.mark.parametrize(
    ("answer", "expected", "summary"),
    [
        ((401, _error(INVALID)), KeyRefusedError, "401 AuthenticationError"),
        ((401, _error(INVALID, "api_key_expired")), KeyRefusedError, "401 api_key_expired"),
        ((403, _error(INVALID, "account_invalid")), AccountInvalidError, "403 account_invalid"),
        ((403, _error(INVALID)), PermissionMissingError, "403 PermissionError"),
        (
            (403, _error(INVALID, "more_permissions_required")),
            PermissionMissingError,
            "403 more_permissions_required",
        ),
        ((429, _error(INVALID, "rate_limit")), RateLimitedError, "429 rate_limit"),
        ((429, _error(INVALID, "lock_timeout")), NotExecutedError, "429 lock_timeout"),
        ((429, _error(INVALID)), RateLimitedError, "429 RateLimitError"),
        (
            (409, _error("idempotency_error", "idempotency_key_in_use")),
            NotExecutedError,
            "409 idempotency_key_in_use",
        ),
        ((500, _error("api_error")), OutcomeUnknownError, "500 APIError"),
        ((503, _error("api_error")), OutcomeUnknownError, "503 APIError"),
        ((400, _error(INVALID, "resource_missing")), RefusedError, "400 resource_missing"),
        ((404, _error(INVALID, "resource_missing")), RefusedError, "404 resource_missing"),
        ((400, _error("idempotency_error")), RefusedError, "400 IdempotencyError"),
        ((402, _error("card_error", "card_declined")), RefusedError, "402 card_declined"),
        ((400, _error(INVALID)), RefusedError, "400 InvalidRequestError"),
    ],
)
async def test_what_an_answer_means(
    stripe: Answering,
    gateway: StripeGateway,
    answer: tuple[int, object],
    expected: type[StripeError],
    summary: str,
) -> None:
    """By status, then code, which the SDK leaves out of some classes; never with text of Stripe's."""
    stripe.answer(*answer)

    error = await _failure(gateway)

    assert type(error) is expected
    assert str(error) == summary
    assert error.request_id == "req_1"
    assert len(stripe.asked) == 1, "the SDK repeats nothing by itself"


async def test_a_gateways_page_leaves_it_open(stripe: Answering, gateway: StripeGateway) -> None:
    """Whatever stands between Stripe and us may answer in HTML."""
    stripe.answer(502, b"<html>Bad gateway</html>")

    error = await _failure(gateway)

    assert type(error) is OutcomeUnknownError
    assert str(error) == "502 APIError"


@pytest.mark.parametrize(
    ("status", "headers", "stored"),
    [
        (500, {}, False),
        (500, {"Idempotent-Replayed": "true"}, True),
        (503, {"idempotent-replayed": "true"}, True),
        (500, {"Idempotent-Replayed": "false"}, False),
    ],
)
async def test_an_error_that_stripe_keeps_under_the_key(
    stripe: Answering, gateway: StripeGateway, status: int, headers: dict[str, str], *, stored: bool
) -> None:
    stripe.answer(status, _error("api_error"), headers)

    error = await _failure(gateway)

    assert isinstance(error, OutcomeUnknownError)
    assert error.stored is stored


async def test_a_refusal_says_why(stripe: Answering, gateway: StripeGateway) -> None:
    stripe.answer(402, _error("card_error", "card_declined", decline_code="lost_card"))

    error = await _failure(gateway)

    assert isinstance(error, RefusedError)
    assert (error.status, error.code, error.decline_code, error.consumed) == (
        402,
        "card_declined",
        "lost_card",
        False,
    )


@pytest.mark.parametrize(
    "message",
    [
        "The provided PaymentMethod was previously used with a PaymentIntent without Customer attachment.",
        "This PaymentMethod was previously used without being attached to a Customer, and may not be.",
    ],
)
async def test_a_consumed_original_is_told_by_its_message(
    stripe: Answering, gateway: StripeGateway, message: str
) -> None:
    """Stripe gives it no code."""
    stripe.answer(400, _error(INVALID) | {"error": {"type": INVALID, "message": message}})

    error = await _failure(gateway)

    assert isinstance(error, RefusedError)
    assert error.consumed


@pytest.mark.parametrize("trouble", ["cut before the answer", "cut within the answer"])
async def test_a_cut_connection_leaves_it_open(
    stripe: Answering, gateway: StripeGateway, trouble: Trouble
) -> None:
    stripe.answer(200, {"id": "pm_C", "object": "payment_method"})
    stripe.trouble = trouble

    error = await _failure(gateway)

    assert type(error) is OutcomeUnknownError
    assert not error.stored
    assert len(stripe.asked) == 1


@pytest.mark.parametrize("trouble", ["silent", "dripping"])
async def test_no_answer_in_time_leaves_it_open(stripe: Answering, trouble: Trouble) -> None:
    """The time is for the whole of it: an answer that never ends is none."""
    stripe.trouble = trouble
    impatient = StripeGateway(api_key=KEY, api_base=stripe.url, timeout_s=0.3)

    error = await _failure(impatient)

    assert type(error) is OutcomeUnknownError
    await impatient.close()


async def test_nobody_there_leaves_it_open(free_port: int) -> None:
    gateway = StripeGateway(api_key=KEY, api_base=f"http://127.0.0.1:{free_port}", timeout_s=5)

    assert type(await _failure(gateway)) is OutcomeUnknownError
    await gateway.close()


_Call = Callable[[StripeGateway], Awaitable[Reply]]


@pytest.mark.parametrize(
    ("call", "path", "form"),
    [
        (
            lambda g: g.clone("acct_1", {"customer": "cus_P", "payment_method": "pm_P"}, "k"),
            "/v1/payment_methods",
            {"customer": "cus_P", "payment_method": "pm_P"},
        ),
        (
            lambda g: g.create_customer(
                "acct_1",
                {
                    "payment_method": "pm_C",
                    "invoice_settings": {"default_payment_method": "pm_C"},
                    "name": "Jenny",
                },
                "k",
            ),
            "/v1/customers",
            {
                "payment_method": "pm_C",
                "invoice_settings[default_payment_method]": "pm_C",
                "name": "Jenny",
            },
        ),
        (
            lambda g: g.attach("acct_1", "pm_C", {"customer": "cus_C"}, "k"),
            "/v1/payment_methods/pm_C/attach",
            {"customer": "cus_C"},
        ),
    ],
    ids=["clone", "create customer", "attach"],
)
async def test_a_write_names_the_account_and_its_key(
    stripe: Answering, gateway: StripeGateway, call: _Call, path: str, form: dict[str, str]
) -> None:
    stripe.answer(200, {"id": "x_1", "object": "payment_method"})

    reply = await call(gateway)

    (asked,) = stripe.asked
    assert (asked.method, asked.path, asked.form) == ("POST", path, form)
    assert asked.headers["stripe-account"] == "acct_1"
    assert asked.headers["idempotency-key"] == "k"
    assert asked.headers["authorization"] == f"Bearer {KEY}"
    assert (reply.object["id"], reply.request_id) == ("x_1", "req_1")


@pytest.mark.parametrize(
    ("call", "path", "account"),
    [
        (lambda g: g.read_payment_method("pm_P"), "/v1/payment_methods/pm_P", None),
        (lambda g: g.read_payment_method("pm_C", "acct_1"), "/v1/payment_methods/pm_C", "acct_1"),
        (lambda g: g.read_customer("cus_P"), "/v1/customers/cus_P", None),
        (lambda g: g.read_account("acct_1"), "/v1/accounts/acct_1", None),
    ],
    ids=["platform method", "clone", "customer", "account"],
)
async def test_a_reading(
    stripe: Answering, gateway: StripeGateway, call: _Call, path: str, account: str | None
) -> None:
    """Plain values come back, however deep."""
    shown = {"id": "x_1", "object": "customer", "metadata": {"a": "b"}, "list": [{"c": {"d": None}}], "n": 1}
    stripe.answer(200, shown)

    reply = await call(gateway)

    (asked,) = stripe.asked
    assert (asked.method, asked.path, asked.headers.get("stripe-account")) == ("GET", path, account)
    assert reply.object == shown
    assert type(reply.object["metadata"]) is type(reply.object["list"][0]["c"]) is dict


async def test_the_key_is_asked_about_cheaply(stripe: Answering, gateway: StripeGateway) -> None:
    stripe.answer(200, {"object": "list", "data": [], "has_more": False, "url": "/v1/accounts"})

    await gateway.check_key()

    assert [(asked.method, asked.path) for asked in stripe.asked] == [("GET", "/v1/accounts?limit=1")]
