"""The reference says what the code says: no name is missing there, and none is invented."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path
from typing import Any, get_args

import pytest

from docs.pages import ROOT, module, pages, reference, rows, sections

PLUMBING = {"prepare_rows"}
"""Public because ``rf.sync`` calls it; nobody else does."""
SET_IN_INIT = {
    "rf": {
        "flows",
        "queues",
        "runs",
        "workers",
        "sync",
        "projections",
        "settings",
        "namespace",
        "log",
        "logs",
    },
    "run": {"id"},
    "ctx": set[str](),
}
"""Members that a class does not show."""


def test_every_event_type_has_its_section() -> None:
    registry = module("runfold.flow.events").REGISTRY
    assert sorted(registry) == sorted(sections(reference("events")))


def test_every_field_of_an_event_is_in_its_section() -> None:
    registry = module("runfold.flow.events").REGISTRY
    documented = sections(reference("events"))
    missing = [
        f"{topic}: {name}"
        for topic in registry
        for name in _wire_names(registry[topic])
        if not re.search(rf"`{name}\??`", documented.get(topic, ""))
    ]
    assert missing == []


def test_a_reserved_name_is_not_in_use() -> None:
    registry = module("runfold.flow.events").REGISTRY
    _, _, reserved = reference("events").partition("## Reserved")
    names = re.findall(r"`([a-z_.]+)`", reserved)
    assert [name for name in names if name in registry] == []


def test_every_error_has_its_row() -> None:
    errors = module("runfold.errors")
    classes = [name for name, value in vars(errors).items() if _is_error(value, errors.__name__)]
    documented = [name for name in rows(reference("errors")) if not name.isupper()]
    assert sorted(classes) == sorted(documented)


def test_every_error_row_has_code_and_status() -> None:
    errors = module("runfold.errors")
    documented = rows(reference("errors"))
    wrong = [
        f"{name}: {value.code} {value.status}"
        for name, value in vars(errors).items()
        if _is_error(value, errors.__name__)
        and issubclass(value, errors.RunfoldError)
        and documented[name][:2] != [f"`{value.code}`", str(value.status)]
    ]
    assert wrong == []


def test_every_code_of_an_error_has_its_row() -> None:
    text = "".join(file.read_text("utf-8") for file in (ROOT / "src").rglob("*.py"))
    codes = set(re.findall(r'code="([A-Z_]+)"', text)) | {"UNDECLARED_EMIT", "VALIDATION_ERROR"}
    assert sorted(codes - rows(reference("errors")).keys()) == []


@pytest.mark.parametrize(
    ("topic", "field"), [("timer.due", "kind"), ("step.retry", "reason"), ("state", "operation")]
)
def test_every_value_of_a_field_is_in_its_section(topic: str, field: str) -> None:
    registry = module("runfold.flow.events").REGISTRY
    values = get_args(registry[topic].model_fields[field].annotation)
    section = sections(reference("events"))[topic]
    assert [value for value in values if f"`{value}`" not in section] == []


def test_every_setting_has_its_row_and_default() -> None:
    settings = module("runfold.settings").Settings
    defaults = {item.name: f"`{item.default!r}`" for item in dataclasses.fields(settings)}
    assert {name: cells[0] for name, cells in rows(reference("settings")).items()} == defaults


def test_every_public_name_has_its_row() -> None:
    documented = [name for name in rows(reference("python")) if name.isidentifier()]
    assert sorted(documented) == sorted(module("runfold").__all__)


def test_every_name_for_tests_has_its_row() -> None:
    table, _, _ = reference("testing").partition("## One handler")
    assert sorted(rows(table)) == module("runfold.testing").__all__


def test_every_strategy_has_its_row() -> None:
    strategies = module("runfold.testing.strategies")
    drawn = {name for name in vars(strategies) if name in rows_of_calls(reference("testing"))}
    assert drawn == {
        "broken_histories", "definitions", "faults", "histories", "inputs", "scripts",
    }  # fmt: skip


def rows_of_calls(text: str) -> set[str]:
    """Return the functions whose calls are first cells of rows."""
    return set(re.findall(r"^\| `(\w+)\(", text, re.MULTILINE))


@pytest.mark.parametrize(
    "name", ["emitted", "progressed", "logged", "recorded", "output", "changed", "data"]
)
def test_everything_that_a_context_for_tests_keeps_has_its_row(name: str) -> None:
    kept = module("runfold.testing").HandlerContext
    assert isinstance(getattr(kept, name), property)
    assert name in rows(reference("testing"))


@pytest.mark.parametrize("name", ["rf", "run", "ctx"])
def test_every_public_member_has_its_row(name: str) -> None:
    prefix = f"{name}."
    documented = {row for row in rows(reference("python")) if row.startswith(prefix)}
    assert documented == {prefix + member for member in _members(name)}


@pytest.mark.parametrize("page", pages(), ids=lambda page: page.relative_to(ROOT).as_posix())
def test_no_page_promises_a_member_that_is_not_there(page: Path) -> None:
    named = set(re.findall(r"\b(rf|run|ctx)\.([a-z]\w*)", page.read_text("utf-8")))
    assert sorted(f"{on}.{member}" for on, member in named if member not in _members(on)) == []


def test_every_command_has_its_row() -> None:
    main = module("runfold.cli").main
    documented = {name.split(" [")[0] for name in rows(reference("cli"))}
    assert sorted(_commands(main, "runfold")) == sorted(documented)


def _members(name: str) -> set[str]:
    runfold = module("runfold")
    cls = {"rf": runfold.Runfold, "run": runfold.Run, "ctx": runfold.Context}[name]
    shown = {member for member in dir(cls) if not member.startswith("_")}
    return (shown - PLUMBING) | SET_IN_INIT[name]


def _wire_names(event: Any) -> list[str]:
    return [field.alias or name for name, field in event.model_fields.items()]


def _is_error(value: object, module_name: str) -> bool:
    return (
        isinstance(value, type)
        and issubclass(value, Exception)
        and value.__module__ == module_name
        and not value.__name__.startswith("_")
    )


def _commands(command: Any, name: str) -> list[str]:
    children = getattr(command, "commands", None)
    if not children:
        return [name]
    return [path for key, child in children.items() for path in _commands(child, f"{name} {key}")]
