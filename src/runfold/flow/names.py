"""Names of activations and emits: what they are called whatever happened when.

An activation is named by its step and the emits that caused it, an emit by its activation
and its ordinal in the attempt. So a name is the same in every interleaving, in a replay and
in a fork; numbers (``#2``) only count schedulings.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from functools import lru_cache

FEW = 4
"""Of how many emits at most a name is remembered: that of a join, but not that of any collect."""


def activation_name(step: str, refs: Sequence[str]) -> str:
    """Return the name of the activation of ``step`` that the emits ``refs`` caused.

    The entry has no refs: its activation is called as the step is.
    """
    if not refs:
        return step
    return _name_of_few(step, *refs) if len(refs) <= FEW else _name(step, *refs)


def _name(*parts: str) -> str:
    encoded = [part.encode() for part in parts]
    text = b"".join([b"%d:%b" % (len(part), part) for part in encoded])
    return f"{parts[0]}~{hashlib.sha256(text).hexdigest()[:16]}"


@lru_cache(maxsize=4096)
def _name_of_few(*parts: str) -> str:
    # The runs of a flow are much alike.
    return _name(*parts)


def emit_name(activation: str, ordinal: int) -> str:
    """Return the name of the emit number ``ordinal`` (from 0) of an activation."""
    return f"{activation}/{ordinal}"


def result_name(activation: str) -> str:
    """Return the name under which ``after(step)`` refers to a completion."""
    return f"{activation}/result"


def failure_name(activation: str) -> str:
    """Return the name under which ``failed(step)`` refers to a failure for good."""
    return f"{activation}/failed"


def step_id(run_id: str, step: str, number: int, attempt: int) -> str:
    """Return the public id of an attempt: of activation ``number`` (from 1) of ``step``."""
    return f"{job_id(run_id, step, number)}__attempt-{attempt}"


def job_id(run_id: str, step: str, number: int, *, standalone: bool = False) -> str:
    """Return the public id of an activation, the same for all its attempts.

    ``standalone``: of a queue's job, which is known by the id of its run.
    """
    if standalone:
        return run_id
    return f"{run_id}__{step}" if number == 1 else f"{run_id}__{step}#{number}"
