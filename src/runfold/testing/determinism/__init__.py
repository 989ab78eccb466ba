"""Is the outcome of a flow the same whatever happens when? Explored, shrunk, explained."""

from runfold.testing.determinism.effects import effect
from runfold.testing.determinism.explore import assert_deterministic
from runfold.testing.determinism.outcome import Outcome
from runfold.testing.determinism.report import NotDeterministic

__all__ = ["NotDeterministic", "Outcome", "assert_deterministic", "effect"]
