"""Signals are heard only where they may be, once, and are given back."""

import signal

import pytest

from deploy.local.interrupts import Interrupted, Interrupts


def test_a_signal_outside_is_kept_until_the_program_waits() -> None:
    reached = False
    with Interrupts() as interrupts:
        signal.raise_signal(signal.SIGINT)
        with pytest.raises(Interrupted), interrupts.raised():
            reached = True
    assert (reached, interrupts.exit_status) == (False, 130)


def test_a_signal_ends_a_wait() -> None:
    with Interrupts() as interrupts, pytest.raises(Interrupted), interrupts.raised():
        signal.raise_signal(signal.SIGTERM)
    assert (interrupts.received, interrupts.exit_status) == (signal.SIGTERM, 143)


def test_only_the_first_counts() -> None:
    """Whoever presses Ctrl-C again and again does not disturb the end."""
    heard = []
    with Interrupts() as interrupts, interrupts.acting(lambda: heard.append(interrupts.received)):
        for each in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.raise_signal(each)
    assert heard == [signal.SIGTERM]


def test_the_signals_are_given_back() -> None:
    before = [signal.getsignal(each) for each in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)]
    with Interrupts():
        pass
    assert [signal.getsignal(each) for each in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)] == before


def test_what_is_to_be_ignored_stays_ignored() -> None:
    """As `nohup` asks for."""
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with Interrupts() as interrupts:
            signal.raise_signal(signal.SIGHUP)
        assert interrupts.received is None
    finally:
        signal.signal(signal.SIGHUP, before)
