"""What the values of a type may hold, read once from pydantic's schema of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, cast

from pydantic_core import CoreSchema, to_json
from pydantic_core.core_schema import wrap_serializer_function_ser_schema

_UNCHECKED = frozenset(
    {"float", "any", "datetime", "decimal", "is-instance", "custom-error", "json", "callable"}
)
_TEXT = frozenset({"str", "any", "enum", "literal", "is-instance"})
_MODELS = frozenset({"model", "dataclass", "typed-dict"})
_SETS = frozenset({"set", "frozenset"})


@dataclass(frozen=True, slots=True)
class Shape:
    """How carefully values of a type must be handled."""

    looks_inside: bool
    """It may hold NaN, infinity or naive datetimes: each value is looked through."""
    has_text: bool
    """It may hold text, which is not always UTF-8."""
    reads_json: bool
    """Only pydantic's JSON reader brings it back: it is strict, or has bytes in an encoding."""
    has_aliases: bool
    """Fields are read by alias and by name: they are written by name, unless a model says."""
    is_open: bool
    """Somewhere it takes anything, and would hand out parts of what it is read from."""
    mended: CoreSchema | None
    """Its schema, made to read the bytes that it writes, and to write sets in an order that is
    the same in every process; None where it does already."""


def shape_of(schema: CoreSchema) -> Shape:
    """Return the shape of the type of this core schema."""
    nodes = list(_nodes(schema, set()))
    kinds = {str(node["type"]) for node in nodes}
    configs = [cast("dict[str, Any]", node["config"]) for node in nodes if "config" in node]
    encodes = any(config.get("ser_json_bytes", "utf8") != "utf8" for config in configs)
    strict = any(node.get("strict") for node in nodes) or any(c.get("strict") for c in configs)
    return Shape(
        looks_inside=not kinds.isdisjoint(_UNCHECKED),
        has_text=not kinds.isdisjoint(_TEXT),
        reads_json=strict or encodes,
        has_aliases=any("validation_alias" in node for node in nodes),
        is_open="any" in kinds,
        mended=(
            cast("CoreSchema", _mended(schema))
            if _is_one_way(configs) or not kinds.isdisjoint(_SETS)
            else None
        ),
    )


def _is_one_way(configs: list[dict[str, Any]]) -> bool:
    return any(
        config.get("ser_json_bytes", "utf8") != config.get("val_json_bytes", "utf8")
        for config in configs
    )


def _mended(schema: Any) -> Any:
    """Return a copy of the schema in which bytes are read in the encoding they are written in.

    And in which sets are written in order, unless somebody has said how they are written.
    """
    if isinstance(schema, dict):
        made = {key: _mended(value) for key, value in schema.items()}
        if made.get("type") in _SETS and "serialization" not in made:
            made["serialization"] = wrap_serializer_function_ser_schema(_in_order, when_used="json")
        if made.get("type") in _MODELS and "config" in made:
            written = made["config"].get("ser_json_bytes", "utf8")
            made["config"] = {**made["config"], "val_json_bytes": written}
        return made
    if isinstance(schema, list):
        return [_mended(item) for item in schema]
    if isinstance(schema, tuple):
        return tuple(_mended(item) for item in schema)
    return schema


def _in_order(value: Any, written: Callable[[Any], list[Any]]) -> list[Any]:
    """Return the members of a set as they are written, in the order of their JSON.

    A set has the order of its hashes, which differ from process to process: what is equal is to
    be stored alike, for it is compared, and hashed.
    """
    return sorted(written(value), key=to_json)


def _nodes(part: Any, seen: set[int]) -> Iterator[dict[str, Any]]:
    """Yield every schema inside ``part``; ``metadata`` and defaults are none."""
    if id(part) in seen:
        return
    if isinstance(part, dict):
        seen.add(id(part))
        if isinstance(part.get("type"), str):
            yield part
        for key, inner in part.items():
            if key not in ("metadata", "config", "default", "serialization"):
                yield from _nodes(inner, seen)
    elif isinstance(part, list | tuple):
        for inner in part:
            yield from _nodes(inner, seen)
