"""What the machine of ``contract_machine`` draws: queues, rows, and the limits that may hold."""

from __future__ import annotations

from hypothesis import strategies as st

from runfold.ports import Limit, Row
from runfold.testing.contract_scene import row

PER = 10.0
"""The window of every rate."""

QUEUES = st.sampled_from(["q", "q", "r"])
STEPS = st.sampled_from(["step", "step", "other"])
KEYS = st.sampled_from(["a", "b", "c", None])
PRIORITIES = st.sampled_from([5, 1, 9])
TARGETS = st.sampled_from([(("flow", "step"), ("flow", "other")), (("flow", "step"),)])
LIMITS = [
    Limit("queue:q#0", "concurrency", 1, None, keyed=True),
    Limit("queue:q#1", "concurrency", 3, None, keyed=False),
    Limit("queue:q#2", "rate", 3, PER, keyed=False),
    Limit("queue:r#0", "rate", 1, PER, keyed=True),
    Limit("queue:r#1", "concurrency", 3, None, keyed=False),
    Limit("step:flow/step#0", "concurrency", 2, None, keyed=False),
    Limit("step:flow/step#1", "rate", 2, PER, keyed=False),
]
"""With the numbers that they have at first; a changed one has one less, or one more."""
SCOPES = sorted({limit.id.partition("#")[0] for limit in LIMITS})
BUCKETS = ["queue:q", "queue:q=a", "queue:r=b", "queue:q#0=a", "step:flow/step#0"]


@st.composite
def settings_of(draw: st.DrawFn, scope: str) -> tuple[Limit, ...]:
    """Return some of the limits of ``scope``."""
    possible = [limit for limit in LIMITS if limit.id.startswith(f"{scope}#")]
    chosen = [limit for limit in possible if draw(st.sampled_from([True, True, False]))]
    return tuple(
        limit._replace(max=max(1, limit.max + draw(st.sampled_from([0, -1, 1]))))
        for limit in chosen
    )


@st.composite
def rows(draw: st.DrawFn, kind: str | None = None) -> Row:
    """Return a row as flows make them: its limits follow from its queue, step and key."""
    queue, step, key = draw(QUEUES), draw(STEPS), draw(KEYS)
    limits = []
    if key is not None:
        limits.append(f"queue:{queue}#0={key}")
    if step == "step":
        limits += ["step:flow/step#0", "step:flow/step#1"]
    delay = draw(st.sampled_from([1, 5])) if kind else None
    return row(
        kind=kind, step=step, queue=queue, key=key if limits else None, delay=delay,
        priority=draw(PRIORITIES), limits=tuple(limits),
    )  # fmt: skip
