"""What is drawn: whole ids in every width, and nothing but text where there is no terminal."""

import io

import pytest
from rich.console import Console

from deploy.local.screen import Screen
from deploy.local.verdict import Tally
from schemas.records import Origin, PaymentMethodRecord, Reason, State

ACCOUNT, CUSTOMER = "acct_1xVThOydwdSrCSmQ", "cus_Ld6F6XMUGg4vBJ"
CLONE, ORIGINAL = "pm_1xVThOydwdSrCSmQFUiJZ5QS", "pm_1xVThOPlatform00Ym80G8z3"
READY = PaymentMethodRecord(
    account=ACCOUNT,
    origin=Origin.CLONE,
    state=State.READY,
    reason=None,
    platform_customer="cus_p",
    platform_payment_method=ORIGINAL,
    connected_customer=CUSTOMER,
    connected_payment_method=CLONE,
    type="card",
    default=True,
    generation=1,
    version=1,
    livemode=False,
    occurred_at="2026-01-01T00:00:00Z",
)
BLOCKED = PaymentMethodRecord(
    account=ACCOUNT,
    origin=Origin.CLONE,
    state=State.BLOCKED,
    reason=Reason.CAPABILITY_INACTIVE,
    platform_customer="cus_p",
    platform_payment_method=ORIGINAL,
    connected_customer=None,
    connected_payment_method=None,
    type="card",
    default=False,
    generation=1,
    version=1,
    livemode=False,
    occurred_at="2026-01-01T00:00:00Z",
)


def drawn(record: PaymentMethodRecord, *, terminal: bool, width: int) -> str:
    paper = io.StringIO()
    console = Console(file=paper, force_terminal=terminal, width=width, color_system=None)
    Screen(console).record(record, 61.7)
    return paper.getvalue()


@pytest.mark.parametrize(
    ("terminal", "width"), [(False, 80), (True, 200)], ids=["not a terminal", "a wide terminal"]
)
def test_a_record_is_a_line(*, terminal: bool, width: int) -> None:
    line = f"    62 ms  ready    {ACCOUNT}  {CUSTOMER}  {CLONE}  of  {ORIGINAL}\n"
    assert drawn(READY, terminal=terminal, width=width) == line


def test_a_blocked_record_says_why_where_its_clone_would_be() -> None:
    why = f"{'-':<18}  {'capability_inactive':<27}"
    line = f"    62 ms  blocked  {ACCOUNT}  {why}  of  {ORIGINAL}\n"
    assert drawn(BLOCKED, terminal=False, width=80) == line


def test_a_narrow_terminal_gets_two_lines_with_whole_ids() -> None:
    first, second = drawn(READY, terminal=True, width=80).splitlines()
    assert first.split() == ["62", "ms", "ready", ACCOUNT, CUSTOMER]
    assert second.split() == [CLONE, "of", ORIGINAL]
    assert max(len(first), len(second)) <= 80


def test_without_a_terminal_there_is_nothing_but_text() -> None:
    paper = io.StringIO()
    screen = Screen(Console(file=paper, force_terminal=False, width=80))
    screen.heading("A part")
    with screen.pending("something"):
        screen.up("Kafka", 4.21, "127.0.0.1:9092")
    screen.act(1, "An act with [brackets].")
    screen.fact(account=ACCOUNT, note="active")
    screen.verdict({ACCOUNT: [], CUSTOMER: ["is wrong"]})
    screen.tallies([Tally(ACCOUNT, clones=2, writes=4, without_key=0, look_ups=1, other_reads=0)])
    screen.failure("it failed\n    its log")
    assert paper.getvalue() == (
        "\nA part\n"
        "  ok  Kafka                 4.2 s   127.0.0.1:9092\n"
        "\n1  An act with [brackets].\n"
        f"                    {ACCOUNT}  active\n"
        f"  ok  {ACCOUNT}  one customer, its clones, its default; Kafka agrees\n"
        f"  NO  {CUSTOMER:<21}  is wrong\n"
        "      account                clones  writes  per clone  look-ups  other reads\n"
        f"      {ACCOUNT}       2       4          2         1            0\n"
        "      every write with an idempotency key\n"
        "\nFAILED: it failed\n"
        "    its log\n"
    )
