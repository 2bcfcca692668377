"""What `offshoot local` shows: the same lines on a terminal, in colour, and without one, plain."""

import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Final

from rich.console import Console
from rich.text import Text

from deploy.local.verdict import Tally
from schemas.records import PaymentMethodRecord, State

_STYLES: Final[dict[State, str]] = {State.READY: "green", State.BLOCKED: "yellow", State.FAILED: "red"}
_ID_STYLE: Final = "cyan"
_DIM: Final = "bright_black"
_NAME: Final = 20
_ACCOUNT, _CUSTOMER, _METHOD = 21, 18, 27  # as long as Stripe's ids are
_IDS_FROM: Final = 20
_RECORD: Final = 123
"""The width of a record's line; a narrower terminal gets two lines."""


class Screen:
    """Draws; callable from any thread. Nothing is cut off or wrapped: ids are there to be searched for."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._pending: list[str] = []
        self._status = console.status("", spinner="line") if console.is_terminal else None
        self._lock = threading.Lock()

    def heading(self, text: str) -> None:
        """Begin a part."""
        self._print("")
        self._print(text, "bold")

    def line(self, text: str, style: str = "") -> None:
        """Say something."""
        self._print(text, style)

    def hint(self, what: str, command: str) -> None:
        """Say what to try, and how."""
        self._print(f"  {what}", _DIM)
        self._print(f"    {command}", _ID_STYLE)

    @contextmanager
    def pending(self, what: str) -> Iterator[None]:
        """Show, on a terminal, that something is waited for."""
        self._pending.append(what)
        self._show_pending()
        try:
            yield
        finally:
            self._pending.remove(what)
            self._show_pending()

    def up(self, name: str, took_s: float, where: str = "") -> None:
        """Say that a part of the whole is up, how long that took, and where it is."""
        took = f"{took_s:5.1f} s"
        at = f"   {where}" if where else ""
        self._print(Text.assemble(("  ok  ", "green"), name.ljust(_NAME), (took, _DIM), at))

    def act(self, number: int, text: str) -> None:
        """Say what the platform does now."""
        self._print("")
        self._print(Text.assemble((f"{number}  ", "bold"), text))

    def fact(self, *, account: str = "", customer: str = "", method: str = "", note: str = "") -> None:
        """Name what an act is about, with its ids."""
        ids = "  ".join(each for each in (account, customer, method) if each)
        self._print(Text.assemble(" " * _IDS_FROM, (ids, _ID_STYLE), f"  {note}" if note else ""))

    def record(self, record: PaymentMethodRecord, took_ms: float | None) -> None:
        """Show a record as it was read, and how long after the act that caused it."""
        took = "" if took_ms is None else f"{took_ms:.0f} ms"
        state = Text(f"{record.state:<9}", _STYLES.get(record.state, ""))
        head = Text.assemble((f"{took:>9}  ", _DIM), state, _id(record.account, _ACCOUNT))
        customer = _id(record.connected_customer, _CUSTOMER)
        clone = _id(record.connected_payment_method, _METHOD)
        if record.connected_payment_method is None and record.reason:
            clone = Text(f"{record.reason:<{_METHOD}}", "yellow")
        original = Text.assemble(("  of  ", _DIM), _id(record.platform_payment_method, 0))
        between = "\n" + " " * _IDS_FROM if self._is_narrow else "  "
        self._print(Text.assemble(head, "  ", customer, between, clone, original))

    def verdict(self, found: Mapping[str, Sequence[str]]) -> None:
        """Show, for each account, how it differs from what it should be."""
        for account, faults in found.items():
            if not faults:
                right = "one customer, its clones, its default; Kafka agrees"
                self._print(Text.assemble(("  ok  ", "green"), _id(account, _ACCOUNT), f"  {right}"))
            for fault in faults:
                self._print(
                    Text.assemble(("  NO  ", "bold red"), _id(account, _ACCOUNT), f"  {fault}"),
                )

    def tallies(self, tallies: Sequence[Tally]) -> None:
        """Show the Stripe calls that were made."""
        self._print(f"      {'account':<{_ACCOUNT}}  clones  writes  per clone  look-ups  other reads", _DIM)
        for each in tallies:
            per_clone = f"{each.writes / each.clones:g}" if each.clones else "-"
            figures = f"{each.clones:>6}  {each.writes:>6}  {per_clone:>9}  {each.look_ups:>8}"
            self._print(
                Text.assemble("      ", _id(each.account, _ACCOUNT), f"  {figures}  {each.other_reads:>11}")
            )
        keyless = sum(each.without_key for each in tallies)
        if keyless:
            self._print(f"      {keyless} of the writes without an idempotency key", "bold red")
        else:
            self._print("      every write with an idempotency key", _DIM)

    def failure(self, text: str) -> None:
        """Say what went wrong; what follows the first line is shown as it is."""
        first, _, rest = text.partition("\n")
        self._print("")
        self._print(f"FAILED: {first}", "bold red")
        if rest:
            self._print(rest)

    @property
    def _is_narrow(self) -> bool:
        return self._console.is_terminal and self._console.width < _RECORD

    def _show_pending(self) -> None:
        if self._status is None:
            return
        with self._lock:
            if self._pending:
                self._status.update(Text(f"waiting for {', '.join(self._pending)}", _DIM))
                self._status.start()
            else:
                self._status.stop()

    def _print(self, text: str | Text, style: str = "") -> None:
        self._console.print(
            text, style=style or None, markup=False, highlight=False, emoji=False, soft_wrap=True
        )


def _id(text: str | None, width: int) -> Text:
    return Text(f"{text or '-':<{width}}", _ID_STYLE if text else "")
