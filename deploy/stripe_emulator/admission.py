"""What comes before an endpoint: the key, the account, the URL, the key's rights, the rate limits.

The order is Stripe's as far as it is known ([doc] error-low-level: authentication and limits come before the
idempotency layer).
"""

from collections.abc import Mapping
from dataclasses import dataclass

from deploy.stripe_emulator import browser, denials, errors, forms, routes, versions
from deploy.stripe_emulator.exchange import Exchange, api_key, named_account
from deploy.stripe_emulator.expansion import shown_as
from deploy.stripe_emulator.keys import Key, Keys, level_of
from deploy.stripe_emulator.limits import Limiter
from deploy.stripe_emulator.model import Account, World
from deploy.stripe_emulator.routes import Route

FORM = "application/x-www-form-urlencoded"
CLONE = "POST /v1/payment_methods"
"""The endpoint that reads the platform's payment method as well, when it clones one."""


@dataclass(frozen=True, slots=True)
class Admitted:
    """A call that goes to an endpoint: on which account, by which key."""

    account: Account
    route: Route
    key: Key
    connected: bool

    def require_read(self, resource: str) -> None:
        """Refuse what shows an object that the key may not read: StripeError 403."""
        self.key.require(resource, "read", account_id=self.account.id, connected=self.connected)


@dataclass(slots=True)
class Admission:
    """The door: `worlds` are the two modes, live and not."""

    worlds: Mapping[bool, World]
    keys: Keys
    limiter: Limiter

    def admit(self, exchange: Exchange) -> Admitted:
        """Let a call in, or refuse it as StripeError; what is found out is noted on the exchange."""
        request = exchange.request
        exchange.api_key = api_key(request.headers)
        named = None
        if not exchange.api_key and request.headers.get("content-type", FORM).startswith(FORM):
            form = _tree(exchange)
            exchange.api_key, named = browser.text(form, browser.KEY), browser.text(form, browser.ACCOUNT)
        key = self.keys.checked(exchange.api_key)
        world = exchange.world = self.worlds[key.livemode]
        platform = world.platform
        account = self._reachable(
            exchange, named or named_account(request.headers, platform.id) or platform.id
        )
        exchange.account = account
        found = routes.find(request.method, request.path)
        if found is None:
            raise errors.unknown_url(request.method, request.path)
        exchange.route, exchange.path = found
        if version := request.headers.get("stripe-version"):
            versions.check(version)
        if "account" in exchange.path:
            exchange.named = self._reachable(exchange, exchange.path["account"])
        admitted = Admitted(account, exchange.route, key, connected=account is not platform)
        exchange.tree = _tree(exchange)
        if key.publishable:
            browser.admit(exchange, exchange.route)
        self._check_rights(admitted, exchange, platform)
        self._count(admitted, platform, world)
        return admitted

    def _reachable(self, exchange: Exchange, account_id: str) -> Account:
        account = exchange.world.account(account_id)
        if account is not None:
            return account
        if exchange.world.livemode and self.worlds[False].account(account_id) is not None:
            raise denials.test_account_in_live_mode(account_id)
        raise denials.account_invalid(exchange.api_key, account_id)

    def _check_rights(self, admitted: Admitted, exchange: Exchange, platform: Account) -> None:
        """Refuse what a restricted key may not do.

        Which rights a clone needs is not published (STRIPE.md 9.6): writing on the account, and reading the
        original, which is the platform's.
        """
        key, route = admitted.key, admitted.route
        if key.rights is None:
            return
        key.require(
            shown_as(route.template),
            level_of(route.method),
            account_id=admitted.account.id,
            connected=admitted.connected,
        )
        if route.name == CLONE and admitted.connected and "payment_method" in exchange.tree:
            key.require("payment_method", "read", account_id=platform.id, connected=False)

    def _count(self, admitted: Admitted, platform: Account, world: World) -> None:
        counted = admitted.account if self.limiter.counts_on == "account" else platform
        now_s = world.clock.now_s()
        reason = self.limiter.take(counted.id, admitted.route.name, livemode=world.livemode, now_s=now_s)
        if reason is not None:
            raise denials.rate_limited(reason)


def _tree(exchange: Exchange) -> forms.Tree:
    request = exchange.request
    if exchange.of_v2:
        below = forms.decode_json(request.body) if request.body else {}
        return {**forms.decode(request.query), **below}
    content_type = request.headers.get("content-type", "")
    if request.body and not content_type.startswith(FORM):
        raise errors.no_form(content_type)
    body = request.body.decode(errors="replace")
    return forms.decode("&".join(filter(None, (request.query, body))))
