"""Taking down what a Stripe answers where its documentation is silent."""

import json
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
import stripe

ANSWERS = pytest.StashKey[list[str]]()


@dataclass(frozen=True, slots=True)
class Answers:
    """The answers of one Stripe, in the order they were given."""

    stripe: str
    told: list[str]

    def ask(self, question: str, call: Callable[[], Any], show: Callable[[Any], object]) -> Any | None:
        """Take down what a call answers.

        Args:
            question: in a few words.
            call: asks Stripe; what it refuses is an answer, a lost connection is not.
            show: what of the answer tells; objects of Stripe's are shown as JSON.

        Returns:
            What the call returned; None where Stripe refused it.
        """
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", UserWarning)  # notices of Stripe's
                answer = call()
        except stripe.APIConnectionError:
            raise
        except stripe.StripeError as error:
            self._tell(question, refusal(error))
            return None
        shown = show(answer)
        text = shown if isinstance(shown, str) else json.dumps(shown, default=lambda each: each.to_dict())
        self._tell(question, f"200 {text}")
        return answer

    def _tell(self, question: str, answer: str) -> None:
        self.told.append(f"{self.stripe:<8}  {question}: {answer}")


def refusal(error: stripe.StripeError) -> str:
    """Say a refusal in a line: status, code, parameter, words."""
    body = error.error  # the client drops the code of some errors
    facts = (error.http_status, body and body.code, body and body.param, error.user_message)
    return " ".join(str(fact) for fact in facts if fact is not None)
