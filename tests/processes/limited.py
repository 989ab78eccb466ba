"""Jobs with limits for processes of the engine, and what the log says about how they were kept.

Each handler tells a file when it enters and when it leaves, so that one which goes on after its
timeout is seen.
"""

from __future__ import annotations

import os
import time
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import TypedDict

from runfold import Concurrency, LogEvent, Queue, RateLimit, Retry, SyncContext

MOST, STARTS, PER = 2, 4, 1.0
"""At once; and in any ``PER`` seconds: of the whole queue ``mail``, of each key of ``letters``."""
TIMEOUT, OVERRUN = 0.05, 0.2
ENDS = {"step.completed", "step.errored", "step.stalled", "step.released"}


class Letter(TypedDict):
    """To whom, and which one."""

    to: str
    n: int


PATIENT = Retry(10, base=0.05, jitter=0)
mail = Queue("mail", concurrency=MOST, limits=[RateLimit(STARTS, PER)], retry=PATIENT)
letters = Queue(
    "letters", limits=[Concurrency(MOST, key="to"), RateLimit(STARTS, PER, key="to")],
    retry=PATIENT,
)  # fmt: skip


@mail.job(timeout=TIMEOUT)
def send(letter: Letter, ctx: SyncContext) -> int:
    return _visit(letter, ctx)


@letters.job(timeout=TIMEOUT)
def post(letter: Letter, ctx: SyncContext) -> int:
    return _visit(letter, ctx)


def _visit(letter: Letter, ctx: SyncContext) -> int:
    _tell(f"+ {letter['to']}")
    if letter["n"] % 4 == 0 and ctx.attempt == 1:
        time.sleep(OVERRUN)  # A thread that nobody can stop.
    _tell(f"- {letter['to']}")
    return letter["n"]


def _tell(line: str) -> None:
    file = os.open(os.environ["FLOOR"], os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    os.write(file, f"{line}\n".encode())
    os.close(file)


def most_inside(floor: Path, *, by_key: bool) -> int:
    """Return how many handlers were inside at once, of one key at most."""
    inside: dict[str, int] = defaultdict(int)
    most = 0
    for line in floor.read_text("utf-8").splitlines():
        what, key = line.split()
        key = key if by_key else ""
        inside[key] += 1 if what == "+" else -1
        most = max(most, inside[key])
    return most


def most_leased(events: Sequence[LogEvent]) -> int:
    """Return how many attempts were open at once, of one key at most."""
    leased: dict[str | None, int] = defaultdict(int)
    most = 0
    for event in events:
        if event.type == "step.started":
            leased[event.data.get("key")] += 1
        elif event.type in ENDS:
            leased[event.data.get("key")] -= 1
        most = max(most, *leased.values(), 0)
    return most


def shortest_window(events: Sequence[LogEvent]) -> float:
    """Return the shortest span, in seconds, in which more than ``STARTS`` of a key began."""
    starts: dict[str | None, list[float]] = defaultdict(list)
    for event in events:
        if event.type == "step.started":
            starts[event.data.get("key")].append(event.ts.timestamp())
    return min(
        later - first
        for moments in starts.values()
        for first, later in zip(moments, moments[STARTS:], strict=False)
    )
