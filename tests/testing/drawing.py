"""What a strategy can draw at all."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from hypothesis import HealthCheck, Phase, find, settings
from hypothesis import strategies as st

SOME = settings(
    max_examples=40, deadline=None, derandomize=True,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)  # fmt: skip
FOUND = settings(SOME, max_examples=3000, phases=(Phase.generate,))


def first(strategy: st.SearchStrategy[Any], is_wanted: Callable[[Any], object]) -> Any:
    """Return the first that is wanted, however large; fails when none is drawn."""
    return find(strategy, lambda drawn: bool(is_wanted(drawn)), settings=FOUND)
