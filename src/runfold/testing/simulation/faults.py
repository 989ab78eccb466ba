"""What goes wrong in a simulation: how often, decided by the seed, recorded one by one.

Each kind of fault has its own opportunities, counted from 1: a commit, a turn, a call of a
handler. Whether one is taken, and how badly it hits, comes from the seed and the kind alone.
What happened is a list of ``Fault``s, and such a list can be played again: whole, or with
single faults left out.
"""

from __future__ import annotations

from collections import Counter, defaultdict, deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from random import Random
from typing import Self

from runfold.testing.simulation.seeds import stream


@dataclass(frozen=True, kw_only=True, slots=True)
class Faults:
    """How likely each fault is at each of its opportunities, 0.0 to 1.0; all default to 0.

    A process that dies begins again after 0.01 to 20 seconds, with nothing in its memory. No
    fault takes a step's last attempt, unless ``spare_last_attempt`` is False: a step would fail
    for good, and that is no bug.
    """

    crash_worker: float = 0.0
    """The process dies around the call of a handler: before, during, or when it has returned."""
    crash_commit: float = 0.0
    """The process dies before a commit, or after it and before the answer."""
    crash_dispatcher: float = 0.0
    """The process dies between two turns of its dispatcher."""
    freeze_dispatcher: float = 0.0
    """The process stands still between two turns of its dispatcher: for up to two leases."""
    repeat_delivery: float = 0.0
    """The dispatcher forgets what it has folded and reads the log again from its cursor."""
    end_lease: float = 0.0
    """The lease of the process ends while a handler runs: others take its jobs, it goes on."""
    slow_step: float = 0.0
    """A handler is called up to 20 seconds late."""
    slow_store: float = 0.0
    """A call of the store takes up to a second."""
    fail_store: float = 0.0
    """The store cannot be reached for one call."""
    lose_answer: float = 0.0
    """A commit is made, and its answer lost."""
    conflict: float = 0.0
    """A batch of several items is rolled back whole."""
    lose_ring: float = 0.0
    """A process is not told that something was appended."""
    delay_ring: float = 0.0
    """A process is told up to 5 seconds late."""
    repeat_ring: float = 0.0
    """A process is told twice."""
    jump_clock: float = 0.0
    """The clock of the store jumps, after a commit: at most 2 minutes back, 10 ahead."""
    restart_all: float = 0.0
    """All processes die at once, after a commit."""
    spare_last_attempt: bool = True

    def __post_init__(self) -> None:
        for kind in KINDS:
            chance = getattr(self, kind)
            is_number = isinstance(chance, int | float) and not isinstance(chance, bool)
            if not (is_number and 0 <= chance <= 1):
                raise ValueError(f"{kind} is {chance!r}, expected a probability from 0 to 1")
        if self.spare_last_attempt not in (True, False):
            raise ValueError(f"spare_last_attempt is {self.spare_last_attempt!r}, expected a bool")

    @classmethod
    def none(cls) -> Self:
        """Return a plan in which nothing goes wrong."""
        return cls()

    @classmethod
    def default(cls) -> Self:
        """Return a plan in which everything goes wrong now and then, but for the clock: a jump
        can pass a deadline, which no other fault does so lightly."""
        return cls(
            crash_worker=0.03, crash_commit=0.01, crash_dispatcher=0.005,
            freeze_dispatcher=0.005, repeat_delivery=0.01, end_lease=0.01, slow_step=0.05,
            slow_store=0.03, fail_store=0.01, lose_answer=0.02, conflict=0.02,
            lose_ring=0.1, delay_ring=0.1, repeat_ring=0.1, restart_all=0.002,
        )  # fmt: skip


KINDS = tuple(one.name for one in fields(Faults) if one.name != "spare_last_attempt")


@dataclass(frozen=True, slots=True)
class Fault:
    """One fault that happened: the ``number``-th opportunity of its ``kind`` was taken.

    ``amount``, in [0, 1), says how badly. ``at`` (seconds since the beginning) and ``process``
    are for people: they play no part when it is played again.
    """

    kind: str
    number: int
    amount: float
    at: float = field(default=0.0, compare=False)
    process: str = field(default="", compare=False)

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise ValueError(f"kind is {self.kind!r}, expected one of {', '.join(KINDS)}")


class Chaos:
    """Decides at each opportunity whether it is taken."""

    def __init__(
        self, seed: int, faults: Faults | Sequence[Fault], *, now: Callable[[], float]
    ) -> None:
        self.happened: list[Fault] = []
        self.is_on = False
        """False while nothing may go wrong at all."""
        self._now = now
        plan = faults if isinstance(faults, Faults) else Faults.none()
        self.spare_last_attempt = plan.spare_last_attempt
        self._chances = {kind: getattr(plan, kind) for kind in KINDS}
        self._given = {} if isinstance(faults, Faults) else _given(faults)
        self._counts: Counter[str] = Counter()
        self._asked: dict[str, deque[float]] = defaultdict(deque)
        self._streams: dict[str, Random] = {kind: stream(seed, f"fault {kind}") for kind in KINDS}
        self._is_possible = bool(self._given) or any(self._chances.values())

    def begin(self) -> None:
        """Let things go wrong from now on."""
        self.is_on = self._is_possible

    def ask(self, kind: str, amount: float) -> None:
        """Take the next opportunity of ``kind``."""
        if kind not in KINDS:
            raise ValueError(f"there is no fault {kind!r}; there are {', '.join(KINDS)}")
        self._asked[kind].append(amount)
        self.is_on = self._is_possible = True

    def hits(
        self, kind: str, process: str, *, unless: Callable[[], bool] | None = None
    ) -> float | None:
        """Return the amount if this opportunity is taken, else None.

        ``unless``: asked only then; True: it is let pass.
        """
        if not self.is_on:
            return None
        self._counts[kind] += 1
        asked = self._asked[kind]
        amount = asked[0] if asked else self._decided(kind)
        if amount is None or (not asked and unless is not None and unless()):
            return None
        if asked:
            asked.popleft()
        fault = Fault(kind, self._counts[kind], amount, self._now(), process)
        self.happened.append(fault)
        return amount

    def _decided(self, kind: str) -> float | None:
        chance, random = self._chances[kind], self._streams[kind]
        if self._given:
            return self._given.get((kind, self._counts[kind]))
        return random.random() if chance and random.random() < chance else None


def spread(amount: float, least: float, most: float) -> float:
    """Return a span between ``least`` and ``most``, each order of magnitude as likely."""
    return least * float((most / least) ** amount)


def _given(faults: Sequence[Fault]) -> Mapping[tuple[str, int], float]:
    return {(fault.kind, fault.number): fault.amount for fault in faults}
