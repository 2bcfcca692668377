"""The page of figures, one section a bench: a new section takes the old one's place, and the others stay."""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Final

PAGE: Final = Path(__file__).parents[2] / "docs" / "benchmarks.md"
HEAD: Final = """# Benchmarks

Written by `make bench`, each section on its own by `python -m tests.bench NAME`; do not edit. Brokers,
database, emulator, processes and load share the machine's cores, so that times are upper bounds. The figures
to reach are in the design.
"""
_SECTION: Final = re.compile(r"<!-- bench: (\S+) -->\n(.*?)(?=\n*(?:<!-- bench: |\Z))", re.DOTALL)


def with_section(page: str, name: str, section: str, *, order: Sequence[str]) -> str:
    """Give the page with this bench's section new; sections stand in `order`, what is not in it goes."""
    sections = dict(_SECTION.findall(page)) | {name: section.strip("\n")}
    parts = [f"<!-- bench: {each} -->\n{sections[each]}\n" for each in order if each in sections]
    return "\n".join([HEAD, *parts])


def write_section(name: str, section: str, *, order: Sequence[str]) -> None:
    """Write one bench's section to the page."""
    page = PAGE.read_text(encoding="utf-8")
    PAGE.write_text(with_section(page, name, section, order=order), encoding="utf-8")
