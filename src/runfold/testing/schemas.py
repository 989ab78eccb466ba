"""Values for an annotation: drawn from its JSON Schema, then read as a receiver reads them.

The schema says what plain JSON fits; pydantic's own validation has the last word, so whatever
is drawn is accepted by a start, and comes back from the log as the same value.
"""

from __future__ import annotations

import base64
import json
import math
import re
from collections.abc import Callable, Mapping
from datetime import UTC, timedelta
from typing import Any

from hypothesis import strategies as st
from pydantic import TypeAdapter
from pydantic.errors import PydanticUserError

from runfold.define.values import ANY, Value, value_of
from runfold.errors import InvalidDefinition, InvalidInput
from runfold.testing.schemas_bounded import Detailed, dates, datetimes, decimals

Schema = Mapping[str, Any]
Values = st.SearchStrategy[Any]

ITEMS_MAX = 5
"""How many items a list, a dict or a text without a bound of its own has at most."""
INTEGER_MAX = 2**63 - 1
MULTIPLES_MAX = 10**6
"""How many steps from 0 a number with ``multipleOf`` is, at most."""


def json_values() -> Values:
    """Draw any plain JSON that the log stores."""
    return st.recursive(_ATOMS, _containers, max_leaves=5)


def _containers(inner: Values) -> Values:
    return st.lists(inner, max_size=3) | st.dictionaries(_TEXTS, inner, max_size=3)


def values_of(annotation: Any) -> Values:
    """Draw values of ``annotation``, each of which can be stored.

    Raises ``InvalidDefinition`` for what cannot be stored, or has no schema.
    """
    value = value_of(annotation)
    if value is ANY:
        return json_values()
    try:
        schema = TypeAdapter(annotation).json_schema(schema_generator=Detailed)
    except PydanticUserError as error:
        raise InvalidDefinition(
            f"no values of {annotation!r} can be drawn: {str(error).splitlines()[0]}; "
            "write a strategy for it with st.builds()"
        ) from error
    drawn = _Schemas(schema.get("$defs", {})).of(schema)
    return drawn.map(lambda plain: _read(value, plain)).filter(_is_read)


class _Refused:
    """In the place of plain JSON that the schema allows and the annotation does not."""


def _read(value: Value, plain: Any) -> Any:
    try:
        read = value.load(plain)
        value.dump(read, "a drawn value")
    except (InvalidInput, ValueError, ArithmeticError):
        return _Refused
    return read


def _is_read(read: Any) -> bool:
    return read is not _Refused


class _Schemas:
    """Strategies for the parts of one schema; parts that refer to themselves are deferred."""

    def __init__(self, definitions: Mapping[str, Schema]) -> None:
        self._definitions = definitions
        self._named: dict[str, Values] = {}

    def of(self, schema: Schema) -> Values:
        """Return a strategy of the plain JSON that fits ``schema``."""
        if "$ref" in schema:
            return self._of_name(schema["$ref"].rpartition("/")[2])
        if "const" in schema:
            return st.just(schema["const"])
        if "enum" in schema:
            return st.sampled_from(schema["enum"])
        for several in ("anyOf", "oneOf"):
            if several in schema:
                return st.one_of([self.of(one) for one in schema[several]])
        if "allOf" in schema and len(schema["allOf"]) == 1:
            return self.of(schema["allOf"][0])
        if schema.get("contentMediaType") == "application/json":
            return self.of(schema.get("contentSchema", {})).map(json.dumps)
        make: Callable[[Schema], Values] | None = {
            "string": _string, "integer": _integer, "number": _number, "boolean": _boolean,
            "null": _null, "array": self._array, "object": self._object,
            "decimal": decimals, "date": dates, "datetime": datetimes,
        }.get(schema.get("type", ""))  # fmt: skip
        return json_values() if make is None else make(schema)

    def _of_name(self, name: str) -> Values:
        if name not in self._named:
            self._named[name] = st.deferred(lambda: self.of(self._definitions[name]))
        return self._named[name]

    def _array(self, schema: Schema) -> Values:
        first = [self.of(one) for one in schema.get("prefixItems", ())]
        least = max(0, schema.get("minItems", 0) - len(first))
        most = max(0, schema.get("maxItems", least + ITEMS_MAX) - len(first))
        if "items" not in schema and first:
            return st.tuples(*first).map(list)
        rest = st.lists(
            self.of(schema.get("items", {})),
            min_size=least,
            max_size=most,
            unique_by=repr if schema.get("uniqueItems") else None,
        )
        return st.tuples(st.tuples(*first), rest).map(lambda both: [*both[0], *both[1]])

    def _object(self, schema: Schema) -> Values:
        named = {name: self.of(one) for name, one in schema.get("properties", {}).items()}
        required = set(schema.get("required", ()))
        fixed = st.fixed_dictionaries(
            {name: one for name, one in named.items() if name in required},
            optional={name: one for name, one in named.items() if name not in required},
        )
        others = self._others(schema)
        if others is None:
            return fixed
        return st.tuples(others, fixed).map(lambda both: {**both[0], **both[1]})

    def _others(self, schema: Schema) -> Values | None:
        """Return a strategy of what an object may have beside its named properties."""
        bounds = {
            "min_size": schema.get("minProperties", 0),
            "max_size": schema.get("maxProperties", schema.get("minProperties", 0) + ITEMS_MAX),
        }
        keys = self.of({"type": "string", **schema.get("propertyNames", {})}).map(_as_key)
        for pattern, one in schema.get("patternProperties", {}).items():
            return st.dictionaries(st.from_regex(pattern), self.of(one), **bounds)
        more = schema.get("additionalProperties", "properties" not in schema)
        if more is False or (more is True and "properties" in schema):
            return None
        return st.dictionaries(keys, self.of({} if more is True else more), **bounds)


def _string(schema: Schema) -> Values:
    made = _FORMATS.get(schema.get("format", ""))
    if made is not None:
        return made
    least, most = schema.get("minLength", 0), schema.get("maxLength")
    if "pattern" in schema:
        return st.from_regex(_compiled(schema["pattern"])).filter(
            lambda text: least <= len(text) <= (len(text) if most is None else most)
        )
    return st.text(_LETTERS, min_size=least, max_size=least + ITEMS_MAX if most is None else most)


def _compiled(pattern: str) -> re.Pattern[str]:
    # Pydantic's `$` is the end, never a line break before it, and of digits and letters Python
    # knows some that pydantic does not.
    ends = pattern.endswith("$") and not pattern.endswith("\\$")
    try:
        return re.compile(pattern[:-1] + r"\Z" if ends else pattern, re.ASCII)
    except re.error as error:
        raise InvalidDefinition(
            f"no texts of the pattern {pattern!r} can be drawn: {error}; write a strategy for it "
            "with st.builds()"
        ) from error


def _as_key(plain: Any) -> str:
    return plain if isinstance(plain, str) else json.dumps(plain)


def _integer(schema: Schema) -> Values:
    step = schema.get("multipleOf", 1)
    least = schema.get("minimum", schema.get("exclusiveMinimum", -INTEGER_MAX - 1) + 1)
    most = schema.get("maximum", schema.get("exclusiveMaximum", INTEGER_MAX + 1) - 1)
    return st.integers(-(-least // step), most // step).map(lambda count: count * step)


def _number(schema: Schema) -> Values:
    least, above = schema.get("minimum"), schema.get("exclusiveMinimum")
    most, below = schema.get("maximum"), schema.get("exclusiveMaximum")
    step = schema.get("multipleOf")
    if step is not None:
        # Nothing is exactly a multiple of a small step where floats are far apart.
        ends = (least, above, -MULTIPLES_MAX * step), (most, below, MULTIPLES_MAX * step)
        low, high = (next(end for end in three if end is not None) for three in ends)
        counts = st.integers(math.ceil(low / step), math.floor(high / step))
        return counts.map(lambda count: count * step)
    return st.floats(
        min_value=above if least is None else least,
        max_value=below if most is None else most,
        exclude_min=least is None and above is not None,
        exclude_max=most is None and below is not None,
        allow_nan=False,
        allow_infinity=False,
    )


def _boolean(schema: Schema) -> Values:
    del schema
    return st.booleans()


def _null(schema: Schema) -> Values:
    del schema
    return st.none()


def _duration(span: timedelta) -> str:
    return f"P{span.days}DT{span.seconds}.{span.microseconds:06}S"


_LETTERS = st.characters(codec="utf-8")
_TEXTS = st.text(_LETTERS, max_size=3)
_ATOMS: Values = (
    st.none()
    | st.booleans()
    | st.integers(-INTEGER_MAX - 1, INTEGER_MAX)
    | st.floats(allow_nan=False, allow_infinity=False)
    | _TEXTS
)
_HOSTS = st.from_regex(r"[a-z]{1,8}\.(com|org|net)", fullmatch=True)
_BYTES = st.binary(max_size=ITEMS_MAX)
_FORMATS: dict[str, Values] = {
    "date-time": st.datetimes(timezones=st.just(UTC)).map(lambda moment: moment.isoformat()),
    "date": st.dates().map(lambda day: day.isoformat()),
    "time": st.times().map(lambda moment: moment.isoformat()),
    "duration": st.timedeltas(timedelta(0), timedelta(days=10_000)).map(_duration),
    "uuid": st.uuids().map(str),
    "uri": _HOSTS.map(lambda host: f"https://{host}/"),
    "email": _HOSTS.map(lambda host: f"someone@{host}"),
    "ipv4": st.ip_addresses(v=4).map(str),
    "ipv6": st.ip_addresses(v=6).map(str),
    "ipvanyaddress": st.ip_addresses().map(str),
    "binary": _TEXTS,
    "base64url": _BYTES.map(lambda plain: base64.urlsafe_b64encode(plain).decode()),
    "base64": _BYTES.map(lambda plain: base64.b64encode(plain).decode()),
    "path": _TEXTS,
    "json-string": json_values().map(json.dumps),
}
