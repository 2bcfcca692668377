"""What is refused before an endpoint runs: keys, accounts, limits, idempotency keys, and what a fault says.

Words and marks as in `errors.py`.
"""

from http import HTTPStatus

from deploy.stripe_emulator.errors import StripeError

LOCKED = (
    "This object cannot be accessed right now because another API request or Stripe process is currently "
    "accessing it. If you see this error intermittently, retry the request."
)
_REALM = {"WWW-Authenticate": 'Basic realm="Stripe"'}


def no_api_key() -> StripeError:
    """Refuse a call without a key ([doc] docs.stripe.com/api/authentication)."""
    return StripeError(
        401,
        "You did not provide an API key. You need to provide your API key in the Authorization header, "
        "using Bearer "
        "auth (e.g. 'Authorization: Bearer YOUR_SECRET_KEY'). See "
        "https://stripe.com/docs/api#authentication for "
        "details, or we can help at https://support.stripe.com/.",
        headers=_REALM,
    )


def wrong_api_key(key: str) -> StripeError:
    """Refuse a key nobody has ([doc] docs.stripe.com/error-handling)."""
    return StripeError(401, f"Invalid API Key provided: {masked(key)}", headers=_REALM)


def expired_api_key(key: str) -> StripeError:
    """Refuse a key that was rolled or revoked ([3p] stripe-cli#792 quotes the body)."""
    return StripeError(
        401, f"Expired API Key provided: {masked(key)}", code="api_key_expired", headers=_REALM
    )


def publishable_key() -> StripeError:
    """Refuse a publishable key ([doc] error-codes#secret-key-required, [3p] the text)."""
    return StripeError(
        403,
        "This API call cannot be made with a publishable API key. Please use a secret API key. You can find "
        "a list of your API keys at https://dashboard.stripe.com/account/apikeys.",
        code="secret_key_required",
    )


def permission_missing(key: str, account_id: str, permission: str) -> StripeError:
    """Refuse what a restricted key may not do ([3p] stripe-node#2246: no code, no parameter)."""
    return StripeError(
        403,
        f"The provided key '{masked(key)}' does not have the required permissions for this endpoint on "
        f"account '{account_id}'. Having the '{permission}' permission would allow this request to continue.",
    )


def no_connect_permissions() -> StripeError:
    """Refuse an account to a restricted key that has no Connect rights ([3p] stripe-mirakl-connector#33)."""
    return StripeError(
        403,
        "You passed a restricted API key with the Stripe-Account header, but the restricted API key does not "
        "have any Connect permissions.",
    )


def test_account_in_live_mode(account_id: str) -> StripeError:
    """Refuse an account of test mode to a live key ([3p] Subscribie#982)."""
    return StripeError(
        400,
        f"The account {account_id} was a test account created with a testmode key, and therefore can only be "
        "used with testmode keys.",
    )


def rate_limited(reason: str) -> StripeError:
    """Refuse a call too many, and say which limit it was ([doc] rate-limits)."""
    error = injected(HTTPStatus.TOO_MANY_REQUESTS, rate_limited=True)
    error.headers["Stripe-Rate-Limited-Reason"] = reason
    return error


def account_invalid(key: str, account_id: str) -> StripeError:
    """Refuse an account that is unknown or has revoked access.

    Source: [rec] account-revoked.yml: no Request-Id either.
    """
    return StripeError(
        403,
        f"The provided key '{masked(key)}' does not have access to account '{account_id}' (or that account "
        f"does not "
        "exist). Application access may have been revoked.",
        code="account_invalid",
        traced=False,
    )


def unknown_version(version: str) -> StripeError:
    """Refuse a version of the API that there never was ([3p] several who named one, no code)."""
    return StripeError(400, f"Invalid Stripe API version: {version}")


def contexts_differ() -> StripeError:
    """Refuse a call that names two accounts ([infer])."""
    return StripeError(400, "The Stripe-Account and Stripe-Context headers name different accounts.")


def key_too_long() -> StripeError:
    """Refuse an idempotency key of more than 255 characters.

    Source: [doc] api/idempotent_requests, [infer] the text.
    """
    return StripeError(400, "Idempotency keys can be at most 255 characters long.", kind="idempotency_error")


def key_reused(key: str) -> StripeError:
    """Refuse a key that came with other parameters ([3p] stripe-ruby#503)."""
    return StripeError(
        400,
        "Keys for idempotent requests can only be used with the same parameters they were first used with. "
        "Try using "
        f"a key other than '{key}' if you meant to execute a different request.",
        kind="idempotency_error",
    )


def key_reused_elsewhere(key: str, path: str, first_path: str) -> StripeError:
    """Refuse a key that came with another URL ([3p] stripe-ruby#598)."""
    return StripeError(
        400,
        f"Keys for idempotent requests can only be used for the same endpoint they were first used for "
        f"('{path}' vs "
        f"'{first_path}'). Try using a key other than '{key}' if you meant to execute a different request.",
        kind="idempotency_error",
    )


def key_in_use(key: str) -> StripeError:
    """Refuse a key whose first request is still under way ([doc] error-codes#idempotency-key-in-use)."""
    return StripeError(
        409,
        "There is currently another in-progress request using this Idempotent Key (that probably means you "
        "submitted "
        f"twice, and the other request is still going through): {key}. Please try again later.",
        code="idempotency_key_in_use",
    )


def injected(status: int, *, rate_limited: bool) -> StripeError:
    """Answer with the status that a fault rule asks for, in the words Stripe has for it.

    A 429 is a rate limit only with `Stripe-Rate-Limited-Reason`, and a lock without it, which has no id of
    the request either (STRIPE.md 1.6, [doc] rate-limits); the words of a 5xx are [doc] error-low-level.
    """
    match status:
        case 429 if rate_limited:
            message = (
                "Request rate limit exceeded. Learn more about rate limits here "
                "https://stripe.com/docs/rate-limits."
            )
            return StripeError(status, message, code="rate_limit")
        case 429:
            return StripeError(status, LOCKED, code="lock_timeout", traced=False)
        case 409:
            return StripeError(status, LOCKED, code="lock_timeout")
        case status if status >= HTTPStatus.INTERNAL_SERVER_ERROR:
            return StripeError(
                status, "An unknown error occurred while processing the request.", kind="api_error"
            )
        case _:
            return StripeError(status, "This request was refused by a fault rule of the emulator.")


def masked(key: str) -> str:
    """Hide the middle of a key as Stripe does: its prefix and its last four characters stay.

    Source: [rec] account-revoked.yml.
    """
    prefix, separator, _ = key.rpartition("_")
    head = prefix + separator
    return head + "*" * max(0, len(key) - len(head) - 4) + key[-4:]
