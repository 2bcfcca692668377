"""A table of figures in Markdown, and percentiles."""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Table:
    """What was measured, how, and the figures."""

    title: str
    method: str
    columns: tuple[str, ...]
    rows: list[tuple[str, ...]]
    remarks: str = ""
    """What a reader should know of the figures, or of what stands in the way of better ones."""

    def __str__(self) -> str:
        lines = [self.columns, tuple("---" for _ in self.columns), *self.rows]
        cells = "\n".join(f"| {' | '.join(line)} |" for line in lines)
        return "\n\n".join(part for part in (f"## {self.title}", self.method, cells, self.remarks) if part)


def percentile(values: Sequence[float], share: float) -> float:
    """The smallest value that this share of the values does not exceed."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, max(0, round(share * len(ordered)) - 1))]
