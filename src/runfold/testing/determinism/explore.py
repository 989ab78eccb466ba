"""Playing one run under many schedules, and comparing what comes of it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from runfold.settings import Settings
from runfold.testing.determinism.outcome import Outcome
from runfold.testing.determinism.reads import watching
from runfold.testing.determinism.report import NotDeterministic
from runfold.testing.determinism.schedule import Play, Played, Schedule
from runfold.testing.determinism.shrink import shrunk
from runfold.testing.simulation import asked
from runfold.testing.simulation.faults import Faults
from runfold.testing.simulation.seeds import stream
from runfold.testing.simulation.stubs import Stub

SCHEDULES = 10
"""How many schedules are played, unless the test says otherwise."""


def assert_deterministic(
    target: Any,
    input: Any = None,
    *,
    seed: int = 1,
    schedules: int = SCHEDULES,
    faults: Faults | None = None,
    with_: Sequence[Any] = (),
    stubs: Iterable[Stub] = (),
    deps: Any = None,
    make_deps: Callable[[], Any] | None = None,
    settings: Settings | None = None,
    tables: Callable[[Any], object] | None = None,
    rows: Callable[[Any], Any] | None = None,
    **options: Any,
) -> Outcome:
    """Return the outcome that a run of ``target`` has under every schedule that was tried.

    Same status, result, state, emits and activations by name, and effects by key. ``seed``:
    which schedules; the first two are one that is played twice. ``schedules``: how many, 2 or
    more; every other one has ``faults``, by default ``Faults.default()``. ``with_``: other
    flows and queues that it needs; of a job, its queue. ``stubs``, ``settings``: as of a
    ``Simulation``. ``tables``: creates those of ``ctx.transaction()``, anew for each schedule;
    ``rows``: returns what shall be the same there, by SQLAlchemy's ``Connection``. ``deps``: the
    same object in all of them; ``make_deps``: makes one for each. ``options``: of the start.

    Raises ``NotDeterministic`` with two schedules that disagree, shrunk to what matters, and
    ``Stuck`` for a run that does not end although nothing goes wrong.
    """
    if asked.whole(schedules, "schedules") < 2:
        raise ValueError(f"schedules is {schedules!r}, expected 2 or more: one has no other")
    if rows is not None and tables is None:
        raise ValueError("rows= reads the tables of ctx.transaction(), which tables= creates")
    play = Play(
        target=target, input=input, options=options, with_=tuple(with_), stubs=list(stubs),
        make_deps=make_deps or (lambda: deps), settings=settings, tables=tables, rows=rows,
    )  # fmt: skip
    first = play(Schedule(seed))
    if first.stuck is not None:
        raise first.stuck
    _compare(play, first, play(Schedule(seed)), is_same=True)
    plan = Faults.default() if faults is None else faults
    seeds = stream(seed, "schedules")
    for number in range(1, schedules):
        schedule = Schedule(
            seeds.getrandbits(32),
            processes=1 + number % 4 // 2,
            faults=plan if number % 2 else (),
        )
        _compare(play, first, play(schedule))
    return first.outcome


def _compare(play: Play, first: Played, second: Played, *, is_same: bool = False) -> None:
    if not first.outcome.differences(second.outcome):
        return
    with watching() as reads:
        again = play(second.schedule)
    if not is_same and second.outcome.differences(again.outcome):
        first, second, is_same = second, again, True  # It is not the schedule that makes it.
    if not is_same:
        first, second = shrunk(play, first, second)
    differences = first.outcome.differences(second.outcome)
    raise NotDeterministic(first, second, differences, reads)
