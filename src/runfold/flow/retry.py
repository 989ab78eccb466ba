"""How long to wait before the next attempt: exponential, capped, spread without chance."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

from pydantic.alias_generators import to_camel

from runfold.flow.definition import RetryPolicy


def backoff(policy: RetryPolicy, attempt: int, seed: str) -> float:
    """Return the seconds to wait after the failed ``attempt`` (1 for the first).

    ``base * factor ** (attempt - 1)``, up to ``cap``, off by at most the share ``jitter`` to
    either side and never above ``cap``. The same ``seed`` gives the same delay: it is decided
    once, and a refold decides it again alike.
    """
    try:
        delay = min(policy.cap, policy.base * policy.factor ** max(0, attempt - 1))
    except OverflowError:
        delay = policy.cap
    return max(0.0, min(policy.cap, delay * (1 + policy.jitter * _spread(seed))))


def _spread(seed: str) -> float:
    """Return a number in [-1, 1) that depends on nothing but ``seed``."""
    digest = hashlib.sha256(seed.encode()).digest()
    return int.from_bytes(digest[:7], "big") / (1 << 55) - 1


def never_of(run: Mapping[str, Any] | None) -> tuple[str, ...]:
    """Return the names of the exceptions after which a run's start wants no further attempt."""
    said = (run or {}).get("never")
    return tuple(name for name in said if isinstance(name, str)) if isinstance(said, list) else ()


def policy_of(step: RetryPolicy, run: Mapping[str, Any] | None) -> RetryPolicy:
    """Return the policy of a step with what its run's start says instead.

    What is no number there changes nothing: it is history, not a request.
    """
    if not run:
        return step
    said = {
        name: value
        for name in RetryPolicy.model_fields
        if isinstance(value := run.get(name, run.get(to_camel(name))), int | float)
    }
    return step.model_copy(update=said)
