"""Where in a listing a span of time is, when what is listed is numbered in the order of time.

A few looks find it in millions: first where it would be had everything come evenly, then
further and further from there, then by halves.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import NamedTuple

HIGHEST = 2**63 - 1
"""Above every number."""
REACH = 16
"""How far a look is from the one before; each next one is so many times further."""


class Place(NamedTuple):
    """Something numbered, and when it was."""

    number: int
    at: datetime


Look = Callable[[int], Awaitable[Place | None]]
"""Returns the first place at a number or above; or, asked so, the last."""


async def between(
    first: Look, last: Look, since: datetime | None, until: datetime | None
) -> tuple[int, int]:
    """Return the numbers (from, below) of what was at ``since`` or later, and before ``until``."""
    low = 0 if since is None else await _first_at(first, last, since)
    high = HIGHEST if until is None else await _first_at(first, last, until)
    return low, high


async def _first_at(first: Look, last: Look, moment: datetime) -> int:
    """Return a number below which nothing was at ``moment`` or later, and above it everything."""
    newest = await last(0)
    if newest is None or newest.at < moment:
        return HIGHEST
    oldest = await first(0)
    if oldest is None or oldest.at >= moment:
        return 0
    low, high, reach = oldest.number, newest.number, REACH
    share = (moment - oldest.at) / (newest.at - oldest.at)
    middle = low + int((high - low) * share)
    while low + 1 < high:
        middle = min(max(middle, low + 1), high - 1)
        found = await first(middle)
        if found is None or found.at >= moment:
            high, middle = middle, middle - reach
        else:
            low = middle = found.number
            middle += reach
        reach *= REACH
        if not low < middle < high:
            middle = (low + high) // 2
    return high
