"""The flows of which histories are kept: one for each way to subscribe, fail and end."""

from __future__ import annotations

from runfold.flow.definition import FlowDefinition
from runfold.testing.building import collect, each, failed, flow, join, on, step
from runfold.testing.strategies import QUICK

_ENTRY = step("s0", emits="e0 e1", retry=QUICK)

SHAPES: dict[str, tuple[FlowDefinition, int]] = {
    # name: the definition, and the seed of what its handlers do and of the order of things
    "branches": (flow(_ENTRY, step("s1", each(on("e0"), on("e1")), retry=QUICK)), 1),
    "join": (flow(_ENTRY, step("s1", join(a=on("e0"), b=on("e1")), retry=QUICK)), 6),
    "join-by": (flow(_ENTRY, step("s1", join(by="key", a=on("e0"), b=on("e1")), retry=QUICK)), 3),
    "collect": (flow(_ENTRY, step("s1", collect(on("e0"), on("e1")), retry=QUICK)), 1),
    "handled": (
        flow(_ENTRY, step("s1", each(on("e0")), retry=QUICK), step("s2", each(failed("s1")))),
        7,
    ),
    "compensated": (
        flow(
            step("s0", emits="e0", compensated=True, retry=QUICK),
            step("s1", each(on("e0")), retry=QUICK),
        ),
        7,
    ),
}
