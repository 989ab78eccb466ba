"""What Runfold ships for tests: the simulation, contexts for single handlers, and the contract
suite that every store inherits.

Nothing here is imported by the engine, and nothing of it is imported before it is asked for.
"""

import sys
from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from runfold.flow.replay import Diverges as Diverges
    from runfold.flow.replay import Same as Same
    from runfold.flow.replay import Unknown as Unknown
    from runfold.testing.determinism import NotDeterministic as NotDeterministic
    from runfold.testing.determinism import Outcome as Outcome
    from runfold.testing.determinism import assert_deterministic as assert_deterministic
    from runfold.testing.determinism import effect as effect
    from runfold.testing.handling import HandlerContext as HandlerContext
    from runfold.testing.handling import SyncHandlerContext as SyncHandlerContext
    from runfold.testing.handling import context as context
    from runfold.testing.recorded import History as History
    from runfold.testing.recorded import histories as histories
    from runfold.testing.recorded import replay as replay
    from runfold.testing.simulation import Call as Call
    from runfold.testing.simulation import Fault as Fault
    from runfold.testing.simulation import Faults as Faults
    from runfold.testing.simulation import Hung as Hung
    from runfold.testing.simulation import RealWorld as RealWorld
    from runfold.testing.simulation import SimulatedRun as SimulatedRun
    from runfold.testing.simulation import Simulation as Simulation
    from runfold.testing.simulation import Stub as Stub
    from runfold.testing.simulation import Stuck as Stuck
    from runfold.testing.simulation import stub as stub

_HOMES = {
    "runfold.testing.handling": ("HandlerContext", "SyncHandlerContext", "context"),
    "runfold.flow.replay": ("Diverges", "Same", "Unknown"),
    "runfold.testing.determinism": (
        "NotDeterministic", "Outcome", "assert_deterministic", "effect",
    ),
    "runfold.testing.recorded": ("History", "histories", "replay"),
    "runfold.testing.simulation": (
        "Call", "Fault", "Faults", "Hung", "RealWorld", "SimulatedRun", "Simulation", "Stub",
        "Stuck", "stub",
    ),
}  # fmt: skip
_HOME = {name: home for home, names in _HOMES.items() for name in names}

__all__ = sorted(_HOME)  # noqa: PLE0605 - as the table says


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    found = globals()[name] = getattr(import_module(_HOME[name]), name)
    return found


def __dir__() -> list[str]:
    return [*globals(), *__all__]


if "pytest" in sys.modules:
    # A failing contract shows its values, as a test of one's own does.
    sys.modules["pytest"].register_assert_rewrite(
        *(
            f"{__name__}.machine{part}"
            for part in ("", "_engine", "_model", "_play", "_users", "_workers")
        ),
        *(
            f"{__name__}.contract_{part}"
            for part in (
                "batches",
                "claims",
                "closures",
                "guards",
                "lanes",
                "limits",
                "log",
                "machine",
                "members",
                "model",
                "queues",
                "rates",
                "readers",
                "rows",
                "scene",
            )
        ),
    )
