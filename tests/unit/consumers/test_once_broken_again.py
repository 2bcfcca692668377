"""What the first mending did wrong, as a second look found: each test says it, and keeps it away."""

from dataclasses import replace

from consumers.clone.actions import Announce, Rest
from consumers.clone.facts import Step
from consumers.clone.plan import next_action
from schemas.records import Reason, State
from tests.unit.consumers.shares import NOW, POLICY, intent, method, planned, share


def test_nothing_is_left_pending_by_a_share_that_rests() -> None:
    """The first card's write is exhausted and stays open; the second is pending, and nothing is due."""
    facts = share(
        method(planned(State.FAILED, Reason.RETRIES_EXHAUSTED)),
        method(name="2"),
        open_intent=intent(Step.CLONE, hours_ago=73),
        failing_for=POLICY.retry_for * 2,
    )
    while not isinstance(action := next_action(facts, POLICY, NOW), Rest):
        assert isinstance(action, Announce)
        changed = replace(action.method, clone=planned(action.state, action.reason))
        facts = replace(facts, methods=tuple(changed if m.id == changed.id else m for m in facts.methods))

    states = [m.clone.state if m.clone else None for m in facts.methods]
    assert states == [State.FAILED, State.FAILED]
