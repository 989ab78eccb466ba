"""Values inside of payloads: found by a path, and written in one way only."""

from __future__ import annotations

from typing import Any

import pytest

from runfold.flow.paths import TEXT_MAX, at, canonical, text_of
from runfold.testing.driver import NOON

PAYLOAD = {"a": {"b": [10, {"c": 20}]}, "1": "key", "n": None}


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("", PAYLOAD), ("a.b.0", 10), ("a.b.1.c", 20), ("1", "key"), ("n", None),
        ("a.b.2", None), ("a.b.-1", None), ("a.b.100", None), ("a.b.c", None), ("a.x.y", None),
        ("1.0", None),
    ],
)  # fmt: skip
def test_a_value_is_found_by_its_path_or_missing(path: str, value: Any) -> None:
    assert at(PAYLOAD, path) == value


def test_a_place_in_a_list_is_below_one_hundred() -> None:
    assert at(list(range(200)), "99") == 99
    assert at(list(range(200)), "100") is None


def test_equal_values_are_written_alike() -> None:
    assert canonical({"b": 1, "a": [1.0, "x"]}) == '{"a":[1.0,"x"],"b":1}'
    assert canonical(2.0) == canonical(2) == "2"
    assert canonical(2.5) == "2.5"
    assert canonical(NOON) == f'"{NOON}"'


def test_what_cannot_be_written_is_as_if_it_were_missing() -> None:
    endless: list[Any] = []
    endless.append(endless)
    assert canonical(endless) == canonical(None) == "null"


def test_a_text_that_is_just_short_enough_stays_as_it_is() -> None:
    longest = "x" * TEXT_MAX
    assert text_of(longest) == longest
    assert len(text_of(longest + "x")) == 160 + 1 + 64
    assert text_of("X") == "X"
    assert text_of("7") == '"7"'
    assert text_of("-") == "-"
