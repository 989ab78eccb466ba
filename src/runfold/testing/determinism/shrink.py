"""From two schedules that disagree to two that differ in as little as possible."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from runfold.testing.determinism.schedule import Played, Schedule

TRIES_MAX = 200
"""How many schedules shrinking plays at most."""


def shrunk(
    play: Callable[[Schedule], Played], first: Played, second: Played
) -> tuple[Played, Played]:
    """Return a pair that still disagrees: same seed if possible, the fewest faults, one process."""
    left = TRIES_MAX

    def disagrees(schedule: Schedule, base: Played) -> Played | None:
        nonlocal left
        if left <= 0:
            return None
        left -= 1
        played = play(schedule)
        return played if base.outcome.differences(played.outcome) else None

    # The plain schedule of the second's seed: if that agrees with the second's, the order is to
    # blame; if it does not, the faults are, and it is the better half of the pair.
    plain = play(Schedule(second.schedule.seed, second.schedule.processes))
    if second.schedule.faults and plain.outcome.differences(second.outcome):
        first = plain
    alone = disagrees(replace(second.schedule, processes=1), first)
    if alone is not None and alone.schedule.processes < second.schedule.processes:
        base = play(Schedule(alone.schedule.seed, 1))
        if base.outcome.differences(alone.outcome):
            first, second = base, alone
    return first, _fewer(disagrees, first, second)


def _fewer(
    disagrees: Callable[[Schedule, Played], Played | None], first: Played, second: Played
) -> Played:
    """Return the second with as few faults as disagree with the first."""
    size = max(1, _count(second) // 2)
    while size:
        place = 0
        while place < _count(second):
            faults = tuple(second.schedule.faults)  # type: ignore[arg-type]
            fewer = faults[:place] + faults[place + size :]
            found = disagrees(replace(second.schedule, faults=fewer), first)
            if found is not None and _count(found) < _count(second):
                second = found
            else:
                place += size
        size //= 2
    return second


def _count(played: Played) -> int:
    return len(played.schedule.faults)  # type: ignore[arg-type]
