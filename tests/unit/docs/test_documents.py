"""What the documents say of the code is so."""

import re
from pathlib import Path

import pytest

from deploy.cli import COMMANDS
from schemas.records import REASONS, State
from service.runtime import settings

ROOT = Path(__file__).parents[3]
PAGES = sorted(path.relative_to(ROOT) for path in [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")])
EXAMPLE = (ROOT / "deploy" / "env.example").read_text(encoding="utf-8")


def test_env_example_names_every_setting_and_no_other() -> None:
    named = set(re.findall(r"^#?(OFFSHOOT_[A-Z_]+)=", EXAMPLE, re.MULTILINE))
    assert named == _settings()


def _settings() -> set[str]:
    return {
        f"{settings.PREFIX}{field.upper()}"
        for each in vars(settings).values()
        if isinstance(each, type) and issubclass(each, settings.CommonSettings)
        for field in each.model_fields
    }


@pytest.mark.parametrize("page", PAGES, ids=str)
def test_links_inside_the_project_lead_somewhere(page: Path) -> None:
    text = (ROOT / page).read_text(encoding="utf-8")
    links = re.findall(r"\]\((?!https?:)([^)#]+)", text)
    assert [link for link in links if not (ROOT / page.parent / link).exists()] == []


def test_the_readme_speaks_of_commands_that_are_there() -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    named = set(re.findall(r"bin/offshoot ([a-z]+)", text))
    assert named
    assert named <= COMMANDS.keys()
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    used = set(re.findall(r"(?:`|^    )make ([a-z-]+)", text, re.MULTILINE))
    assert used >= {"run", "test"}
    assert used <= targets


def test_the_page_for_whoever_is_on_call_speaks_of_lines_that_are_logged() -> None:
    text = (ROOT / "docs" / "operations.md").read_text(encoding="utf-8")
    named = set(re.findall(r"`([a-z_]+\.[a-z_]+)`", text))
    sources = [path for folder in ("consumers", "service") for path in (ROOT / folder).rglob("*.py")]
    logged = set(re.findall(r'"([a-z_]+\.[a-z_]+)"', "\n".join(path.read_text("utf-8") for path in sources)))

    assert len(named) > 10
    assert named - logged == set()


def test_the_page_for_whoever_is_on_call_has_every_state_and_reason() -> None:
    text = (ROOT / "docs" / "operations.md").read_text(encoding="utf-8")
    state, said = "", []
    for first, second in re.findall(r"^\| (`[a-z]+` )?\| (`[a-z_]+`|-) \|", text, re.MULTILINE):
        state = first.strip("` ") or state
        said.append((state, None if second == "-" else second.strip("`")))

    assert sorted(said, key=str) == sorted(
        (
            (state.value, reason.value if reason is not None else None)
            for state, reasons in REASONS.items()
            for reason in reasons
            if state is not State.PENDING
        ),
        key=str,
    )
