"""Stripe's published rate limits, as a mode that can be switched on ([doc] docs.stripe.com/rate-limits).

Buckets of tokens: a second's worth at most, filled evenly. Whether a call for a connected account counts on
the platform or on the account is not published (STRIPE.md 9.4): `counts_on` says so, by default the platform,
which is the stricter. Limits of concurrency are not published in numbers and are not here.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

CountsOn = Literal["platform", "account"]

PER_SECOND = {"live": 100.0, "sandbox": 25.0}
ENDPOINT_PER_SECOND = 25.0
SPECIAL_PER_SECOND: Mapping[str, Mapping[str, float]] = {"POST /v1/accounts": {"live": 30.0, "sandbox": 5.0}}


@dataclass(slots=True)
class Bucket:
    """Tokens that come back evenly; there are never more than one second brings."""

    per_second: float
    tokens: float
    at_s: float

    def fill(self, now_s: float) -> None:
        """Put in what has come since the last time."""
        earned = max(0.0, now_s - self.at_s) * self.per_second
        self.tokens, self.at_s = min(self.per_second, self.tokens + earned), now_s


@dataclass(slots=True)
class Limiter:
    """Counts the calls of each account and each of its endpoints; off until it is switched on."""

    on: bool = False
    counts_on: CountsOn = "platform"
    refused: int = 0
    buckets: dict[tuple[str, ...], Bucket] = field(default_factory=dict)

    def take(self, account_id: str, endpoint: str, *, livemode: bool, now_s: float) -> str | None:
        """Count a call: None to let it through, or the reason it is one too many; such do not count.

        Args:
            account_id: on which it counts.
            endpoint: method and path template, `POST /v1/customers`.
            livemode: the mode of its key.
            now_s: by the emulator's clock.
        """
        if not self.on:
            return None
        mode = "live" if livemode else "sandbox"
        of_endpoint = SPECIAL_PER_SECOND.get(endpoint, {}).get(mode, ENDPOINT_PER_SECOND)
        overall = self._filled((mode, account_id), PER_SECOND[mode], now_s)
        single = self._filled((mode, account_id, endpoint), of_endpoint, now_s)
        for bucket, reason in ((overall, "global-rate"), (single, "endpoint-rate")):
            if bucket.tokens < 1:
                self.refused += 1
                return reason
        overall.tokens -= 1
        single.tokens -= 1
        return None

    def switch(self, said: Mapping[str, Any]) -> None:
        """Switch it by JSON, `{"on": true, "counts_on": "account"}`; all buckets are full then."""
        match said:
            case {"on": bool() as on, **rest} if rest.keys() <= {"counts_on"}:
                match rest.get("counts_on", "platform"):
                    case "platform":
                        self.counts_on = "platform"
                    case "account":
                        self.counts_on = "account"
                    case other:
                        raise ValueError(f"calls count on the platform or the account, not on {other!r}")
                self.on = on
            case _:
                raise ValueError('limits are {"on": true or false, "counts_on": "platform" or "account"}')
        self.refused = 0
        self.buckets.clear()

    def shown(self) -> dict[str, Any]:
        """Give the mode as JSON, with how many calls it refused."""
        return {"on": self.on, "counts_on": self.counts_on, "refused": self.refused}

    def _filled(self, name: tuple[str, ...], per_second: float, now_s: float) -> Bucket:
        bucket = self.buckets.setdefault(name, Bucket(per_second, per_second, now_s))
        bucket.fill(now_s)
        return bucket
