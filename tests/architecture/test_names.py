"""Names that exist once or have one form: metrics and log events."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest
from prometheus_client import Metric

from schemas.stripe_event import RELEVANT_TYPES
from service.runtime.metrics import Metrics, type_label

ROOT: Final = Path(__file__).parents[2]
SOURCES: Final = [
    path
    for folder in ("schemas", "service", "consumers", "deploy")
    for path in sorted((ROOT / folder).rglob("*.py"))
]
METRICS: Final = ROOT / "service/runtime/metrics.py"
_KINDS: Final = {"Counter", "Gauge", "Histogram", "Summary", "Info", "Enum"}
_LEVELS: Final = {"debug", "info", "warning", "error", "critical", "exception"}
_EVENT: Final = re.compile(r"[a-z][a-z0-9_]*(\.[a-z0-9_]+)+")
_UNITS: Final = ("_seconds", "_bytes", "_total")


def _calls(path: Path) -> Iterator[ast.Call]:
    return (
        node for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))) if isinstance(node, ast.Call)
    )


def _metrics() -> list[Metric]:
    return list(Metrics().registry.collect())


def test_metrics_are_declared_in_one_place() -> None:
    elsewhere = [
        f"{path.relative_to(ROOT)}:{call.lineno}"
        for path in SOURCES
        if path != METRICS and "prometheus_client" in path.read_text(encoding="utf-8")
        for call in _calls(path)
        if ast.unparse(call.func).rpartition(".")[2] in _KINDS
    ]

    assert elsewhere == []


def test_metrics_have_the_prefix_and_base_units() -> None:
    names = [metric.name for metric in _metrics()]

    assert [name for name in names if not name.startswith("offshoot_")] == []
    assert [name for name in names if re.search(r"_(ms|milliseconds|minutes|kb|mb|percent)(_|$)", name)] == []
    assert [
        metric.name
        for metric in _metrics()
        if metric.type == "histogram" and not metric.name.endswith(_UNITS)
    ] == []


def test_every_metric_is_used() -> None:
    """One that nothing sets says nothing, for ever."""
    declared = {name for name in vars(Metrics()) if name != "registry"}
    others = "\n".join(path.read_text(encoding="utf-8") for path in SOURCES if path != METRICS)

    assert {name for name in declared if not re.search(rf"metrics\.{name}\b", others)} == set()


def test_no_label_can_hold_an_id() -> None:
    labels = {label for call in _calls(METRICS) for label in _labels(call)}

    assert labels
    assert {
        label for label in labels if re.search(r"account|customer|method|share|event|(^|_)id$", label)
    } == set()


def _labels(call: ast.Call) -> list[str]:
    if ast.unparse(call.func) not in _KINDS:
        return []
    tuples = [argument for argument in call.args if isinstance(argument, ast.Tuple)]
    return [str(ast.literal_eval(element)) for labels in tuples for element in labels.elts]


@pytest.mark.parametrize("kind", ["charge.succeeded", "x" * 1000, "", None])
def test_an_event_type_is_a_label_only_if_offshoot_acts_on_it(kind: str | None) -> None:
    assert type_label(kind) == "other"
    assert {type_label(relevant) for relevant in RELEVANT_TYPES} == RELEVANT_TYPES


def _events(path: Path) -> Iterator[tuple[str, str]]:
    """Where something is logged, and the event's name; what is filled in stands as x."""
    for call in _calls(path):
        receiver, _, level = ast.unparse(call.func).rpartition(".")
        is_log = (level in _LEVELS and "log" in receiver) or (receiver == "" and level == "log")
        if not is_log or not call.args:
            continue
        name = call.args[0]
        parts = name.values if isinstance(name, ast.JoinedStr) else [name]
        words = [str(part.value) if isinstance(part, ast.Constant) else "x" for part in parts]
        yield f"{path.relative_to(ROOT)}:{call.lineno}", "".join(words)


def test_log_events_have_dotted_names() -> None:
    """The subject, then what became of it; facts are fields, never part of the name."""
    events = [event for path in SOURCES if "emulator" not in path.parts for event in _events(path)]

    assert len(events) > 20
    assert [(where, name) for where, name in events if not _EVENT.fullmatch(name)] == []
