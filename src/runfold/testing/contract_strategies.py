"""What the machine of ``contract_machine`` throws dice for: rows, and the limits that may hold."""

from __future__ import annotations

from random import Random

from hypothesis import strategies as st

from runfold.ports import Limit, Row
from runfold.testing.contract_scene import row

PER = 10.0
"""The window of every rate."""
DICE = st.integers(0, 2**32 - 1).map(Random)
"""One small draw for each step of the machine, however much the step decides."""
EVERY = (("flow", "step"), ("flow", "other"))
"""The targets of a worker that serves everything."""
QUEUES = ("q", "r")
LIMITS = (
    Limit("queue:q#0", "concurrency", 1, None, keyed=True),
    Limit("queue:q#1", "concurrency", 3, None, keyed=False),
    Limit("queue:q#2", "rate", 3, PER, keyed=False),
    Limit("queue:r#0", "rate", 1, PER, keyed=True),
    Limit("queue:r#1", "concurrency", 3, None, keyed=False),
    Limit("step:flow/step#0", "concurrency", 2, None, keyed=False),
    Limit("step:flow/step#1", "rate", 2, PER, keyed=False),
)
"""With the numbers that they have at first; a changed one has one less, or some more."""
SCOPES = sorted({limit.id.partition("#")[0] for limit in LIMITS})
BUCKETS = ("queue:q", "queue:q=a", "queue:r=b", "queue:q#0=a", "step:flow/step#0")


def some_limits(dice: Random, scope: str) -> tuple[Limit, ...]:
    """Return some of the limits of ``scope``."""
    possible = [limit for limit in LIMITS if limit.id.startswith(f"{scope}#")]
    return tuple(
        limit._replace(max=max(1, limit.max + dice.choice([0, 0, -1, 2])))
        for limit in possible
        if dice.random() < 0.5
    )


def some_row(dice: Random, kind: str | None = None) -> Row:
    """Return a row as flows make them: its limits follow from its queue, step and key."""
    queue = dice.choice("qqr")
    step = dice.choice(["step", "step", "other"])
    key = dice.choice(["a", "b", "c", None])
    limits = [] if key is None else [f"queue:{queue}#0={key}"]
    if step == "step" and dice.random() < 0.8:
        limits += ["step:flow/step#0", "step:flow/step#1"]
    return row(
        kind=kind, step=step, queue=queue, key=key, delay=dice.choice([1, 5]) if kind else None,
        priority=dice.choice([5, 5, 5, 1, 9]), limits=tuple(limits),
    )  # fmt: skip
