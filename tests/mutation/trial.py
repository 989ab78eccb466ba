"""Trying mutants: each in a copy of a process that has collected the tests, and run none.

Of the tests that reach the changed lines quick ones run first that noticed the last mutants of
the same function, then of the same module, then those of its layer, then the quickest; the first
that fails ends the trial. Nothing of ``runfold`` but imports has run before, so no cache answers
for the code that is changed.
"""

from __future__ import annotations

import gc
import mmap
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise

import pytest

from mutation.forks import BROKEN, TIMED_OUT, fork, limit
from mutation.mutants import Mutant, apply
from mutation.reach import Reach, Reaches

SURVIVED, KILLED, STOPPED = 0, 1, 3
STATUSES = {SURVIVED: "survived", STOPPED: "stopped"} | dict.fromkeys(TIMED_OUT, "timeout")
QUICK_SECONDS = 0.05
"""Of a test that is worth to be tried before others."""
RECENT_MAX = 20
"""So many tests of each function, and of each module, are remembered for what they noticed last."""


@dataclass(frozen=True)
class Verdict:
    """What the tests said to one mutant."""

    name: str
    key: str
    status: str
    """``killed``; ``timeout``: killed, too; ``survived``; ``stopped``: survived what was tried of
    the tests; ``no tests``: none reaches it."""
    by: str = ""
    """The test that noticed, or in which the time was over."""
    seconds: float = 0.0


class Trial:
    """A plugin of pytest that tries ``mutants`` instead of running the tests once."""

    def __init__(
        self,
        mutants: Iterable[Mutant],
        reaches: Reaches,
        say: Callable[[Verdict], None],
        *,
        seconds: float,
    ) -> None:
        """``say`` is told of each; of ``seconds`` of processor time no further test begins."""
        self._mutants, self._reaches, self._say = mutants, reaches, say
        self._seconds = seconds
        self._recent: defaultdict[str, list[str]] = defaultdict(list)
        self._board = mmap.mmap(-1, 8)  # On it a trial writes which of its tests it is at.
        self._failed = False

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Remember a failure, wherever in a test it is."""
        self._failed = self._failed or report.failed

    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        """Try all; the verdicts are told, not returned."""
        gc.collect()
        gc.freeze()
        reach = self._reaches.of(session.items, self.passes)
        by_line: defaultdict[tuple[str, int], list[pytest.Item]] = defaultdict(list)
        for item in sorted(session.items, key=lambda item: reach[item.nodeid].seconds):
            for path, lines in reach[item.nodeid].lines.items():
                for line in lines:
                    by_line[path, line].append(item)
        for mutant in self._mutants:
            items = dict.fromkeys(i for n in mutant.lines for i in by_line[mutant.path, n])
            self._say(self._try(mutant, self._ordered(mutant, items, reach), reach))
        return True

    def passes(self, item: pytest.Item, following: pytest.Item | None = None) -> bool:
        """Run one test and return whether nothing of it failed."""
        self._failed = False
        item.ihook.pytest_runtest_protocol(item=item, nextitem=following)
        return not self._failed

    def _ordered(
        self, mutant: Mutant, items: Iterable[pytest.Item], reach: dict[str, Reach]
    ) -> list[pytest.Item]:
        own, others = self._recent[mutant.place], self._recent[mutant.module]

        layer = f"tests/{mutant.module.split('.')[1]}/"

        def order(item: pytest.Item) -> tuple[bool, bool, bool, float]:
            test = item.nodeid
            return (
                test not in own, test not in others, not test.startswith(layer),
                reach[test].seconds,
            )  # fmt: skip

        return sorted(items, key=order)

    def _try(
        self, mutant: Mutant, items: Sequence[pytest.Item], reach: dict[str, Reach]
    ) -> Verdict:
        if not items:
            return Verdict(mutant.name, mutant.key, "no tests")
        began = time.monotonic()
        end = fork(lambda: self._tests(mutant, items, reach))
        seconds = round(time.monotonic() - began, 3)
        if end == BROKEN:
            raise RuntimeError(f"{mutant.name} could not be tried:\n{mutant.diff}")
        status = STATUSES.get(end, "killed")
        last = items[int.from_bytes(self._board[:], "big")].nodeid
        if status in ("survived", "stopped"):
            return Verdict(mutant.name, mutant.key, status, "", seconds)
        if reach[last].seconds > QUICK_SECONDS:
            return Verdict(mutant.name, mutant.key, status, last, seconds)
        for recent in (self._recent[mutant.place], self._recent[mutant.module]):
            recent[:] = [last, *(test for test in recent if test != last)][:RECENT_MAX]
        return Verdict(mutant.name, mutant.key, status, last, seconds)

    def _tests(self, mutant: Mutant, items: Sequence[pytest.Item], reach: dict[str, Reach]) -> int:
        apply(mutant)
        for number, (item, following) in enumerate(pairwise([*items, None])):
            self._board[:] = number.to_bytes(8, "big")
            limit(1 + 10 * reach[item.nodeid].seconds)
            if not self.passes(item, following):
                return KILLED
            if following is not None and time.process_time() > self._seconds:
                return STOPPED
        return SURVIVED
