"""Decimals, dates and the keys of dicts with their bounds, of which a JSON Schema does not tell.

What is drawn is plain JSON within the bounds of pydantic's own schema, so that little of it is
refused: a model of many such fields could not be drawn otherwise.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, date, datetime, time
from decimal import Decimal
from typing import Any

from hypothesis import strategies as st
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue
from pydantic_core import core_schema as core

Schema = Mapping[str, Any]
Values = st.SearchStrategy[Any]

WHOLE_MAX = Decimal(10**9)
"""Decimals with a step, and no bounds, are less than this."""
_BOUNDS = ("ge", "gt", "le", "lt")
_PAST, _FUTURE = date(2000, 1, 1), date(2200, 1, 1)
"""Until when it is past, and from when on it is future, whenever a test runs."""


class Detailed(GenerateJsonSchema):
    """Writes a JSON Schema for ``schemas`` alone: with types and bounds of its own."""

    def decimal_schema(self, schema: core.DecimalSchema) -> JsonSchemaValue:
        """Return ``decimal`` with all its bounds."""
        return {"type": "decimal", **_some(schema, *_BOUNDS, *_DIGITS)}

    def date_schema(self, schema: core.DateSchema) -> JsonSchemaValue:
        """Return ``date`` with its bounds, and whether it is past or future."""
        return {"type": "date", **_some(schema, *_BOUNDS, "now_op")}

    def datetime_schema(self, schema: core.DatetimeSchema) -> JsonSchemaValue:
        """Return ``datetime`` likewise."""
        return {"type": "datetime", **_some(schema, *_BOUNDS, "now_op")}

    def dict_schema(self, schema: core.DictSchema) -> JsonSchemaValue:
        """Return an object whose names are what the keys may be."""
        found = super().dict_schema(schema)
        if "keys_schema" in schema and "patternProperties" not in found:
            found["propertyNames"] = self.generate_inner(schema["keys_schema"])
        return found


_DIGITS = ("multiple_of", "max_digits", "decimal_places")


def _some(schema: Any, *names: str) -> dict[str, Any]:
    return {name: schema[name] for name in names if schema.get(name) is not None}


def decimals(schema: Schema) -> Values:
    """Return a strategy of decimals, as texts."""
    step = _step(schema)
    least, most = _either(schema, "ge", "gt", max), _either(schema, "le", "lt", min)
    if step is None:
        found = st.decimals(least, most, allow_nan=False, allow_infinity=False)
        return found.filter(lambda one: one != schema.get("gt") and one != schema.get("lt")).map(
            str
        )
    digits, places = schema.get("max_digits"), schema.get("decimal_places", 0)
    room = WHOLE_MAX if digits is None else Decimal(10) ** (digits - places)
    lows = [-room + step, *(bound for bound in (least,) if bound is not None)]
    highs = [room - step, *(bound for bound in (most,) if bound is not None)]
    low, high = -(-max(lows) // step), min(highs) // step
    low += low * step == schema.get("gt")
    high -= high * step == schema.get("lt")
    return st.integers(int(low), int(high)).map(lambda count: str(count * step))


def _step(schema: Schema) -> Decimal | None:
    """Return what a decimal is a multiple of; None when it need not be any."""
    if "multiple_of" in schema:
        return Decimal(schema["multiple_of"])
    places = schema.get("decimal_places", schema.get("max_digits", 0) // 2 or None)
    return None if places is None else Decimal(1).scaleb(-places)


def _either(schema: Schema, one: str, other: str, pick: Any) -> Any:
    found = [schema[name] for name in (one, other) if name in schema]
    return pick(found) if found else None


def dates(schema: Schema) -> Values:
    """Return a strategy of days, as texts."""
    least, most = _span(schema, date.min, date.max, _PAST, _FUTURE)
    drawn = st.dates(least, most).filter(lambda day: day not in _open(schema))
    return drawn.map(lambda day: day.isoformat())


def datetimes(schema: Schema) -> Values:
    """Return a strategy of moments in UTC, as texts."""
    plain = {
        name: value.astimezone(UTC).replace(tzinfo=None) if isinstance(value, datetime) else value
        for name, value in schema.items()
    }
    ends = (_moment(one) for one in (date.min, date.max, _PAST, _FUTURE))
    least, most = _span(plain, *ends)
    drawn = st.datetimes(least, most, timezones=st.just(UTC))
    drawn = drawn.filter(lambda moment: moment.replace(tzinfo=None) not in _open(plain))
    return drawn.map(lambda moment: moment.isoformat())


def _moment(day: date) -> datetime:
    return datetime.combine(day, time())  # Midnight in UTC, as Hypothesis takes it.


def _span(schema: Schema, first: Any, last: Any, past: Any, future: Any) -> tuple[Any, Any]:
    least, most = _either(schema, "ge", "gt", max), _either(schema, "le", "lt", min)
    least, most = least or first, most or last
    if schema.get("now_op") == "past":
        most = max(least, min(most, past))
    if schema.get("now_op") == "future":
        least = min(most, max(least, future))
    return least, most


def _open(schema: Schema) -> tuple[Any, ...]:
    return schema.get("gt"), schema.get("lt")
