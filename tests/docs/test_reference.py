"""The reference says what the code says: no name is missing there, and none is invented."""

from __future__ import annotations

import dataclasses
import re
from typing import Any

import pytest

from docs.pages import module, reference, rows, sections

PLUMBING = {"prepare_rows"}
"""Public because ``rf.sync`` calls it; nobody else does."""
SET_IN_INIT = {"rf": {"sync", "settings", "namespace"}, "run": {"id"}, "ctx": set[str]()}
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


def test_every_setting_has_its_row_and_default() -> None:
    settings = module("runfold.settings").Settings
    defaults = {item.name: f"`{item.default!r}`" for item in dataclasses.fields(settings)}
    assert {name: cells[0] for name, cells in rows(reference("settings")).items()} == defaults


def test_every_public_name_has_its_row() -> None:
    documented = [name for name in rows(reference("python")) if name.isidentifier()]
    assert sorted(documented) == sorted(module("runfold").__all__)


@pytest.mark.parametrize("name", ["rf", "run", "ctx"])
def test_every_public_member_has_its_row(name: str) -> None:
    runfold = module("runfold")
    cls = {"rf": runfold.Runfold, "run": runfold.Run, "ctx": runfold.Context}[name]
    members = {member for member in dir(cls) if not member.startswith("_")} - PLUMBING
    prefix = f"{name}."
    documented = {row for row in rows(reference("python")) if row.startswith(prefix)}
    assert documented == {prefix + member for member in members | SET_IN_INIT[name]}


def test_every_command_has_its_row() -> None:
    main = module("runfold.cli").main
    documented = {name.split(" [")[0] for name in rows(reference("cli"))}
    assert sorted(_commands(main, "runfold")) == sorted(documented)


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
