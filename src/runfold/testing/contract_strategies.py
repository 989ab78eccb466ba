"""What the machine of ``contract_machine`` draws: queues, rows, and the limits that may hold."""

from __future__ import annotations

from hypothesis import strategies as st

from runfold.ports import Limit, Row
from runfold.testing.contract_scene import row

PER = 10.0
"""The window of every rate."""

QUEUES = st.sampled_from(["q", "r"])
KEYS = st.sampled_from([None, "a", "b", "c"])
STEPS = st.sampled_from(["step", "other"])
PRIORITIES = st.sampled_from([1, 5, 9])
TARGETS = st.sampled_from([(("flow", "step"),), (("flow", "step"), ("flow", "other"))])
LIMITS = [
    Limit("queue:q#0", "concurrency", 1, None, keyed=True),
    Limit("queue:q#1", "concurrency", 1, None, keyed=False),
    Limit("queue:q#2", "rate", 1, PER, keyed=False),
    Limit("queue:r#0", "rate", 1, PER, keyed=True),
    Limit("queue:r#1", "concurrency", 1, None, keyed=False),
    Limit("step:flow/step#0", "concurrency", 1, None, keyed=False),
    Limit("step:flow/step#1", "rate", 1, PER, keyed=False),
]
SCOPES = sorted({limit.id.partition("#")[0] for limit in LIMITS})
BUCKETS = ["queue:q", "queue:q=a", "queue:r=b", "queue:q#0=a", "step:flow/step#0"]


@st.composite
def rows(draw: st.DrawFn, kind: str | None = None) -> Row:
    """Return a row as flows make them: its limits follow from its queue, step and key."""
    queue, step, key = draw(QUEUES), draw(STEPS), draw(KEYS)
    limits = []
    if key is not None:
        limits.append(f"queue:{queue}#0={key}")
    if step == "step" and draw(st.booleans()):
        limits += ["step:flow/step#0", "step:flow/step#1"]
    delay = draw(st.sampled_from([1, 5])) if kind else None
    return row(
        kind=kind, step=step, queue=queue, key=key if limits else None, delay=delay,
        priority=draw(PRIORITIES), limits=tuple(limits),
    )  # fmt: skip
