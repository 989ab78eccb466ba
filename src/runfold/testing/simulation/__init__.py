"""The engine in virtual time: see ``simulation``."""

from runfold.testing.simulation.calls import Call
from runfold.testing.simulation.faults import Fault, Faults
from runfold.testing.simulation.goal import Stuck
from runfold.testing.simulation.hanging import Hung
from runfold.testing.simulation.real_world import RealWorld
from runfold.testing.simulation.run import SimulatedRun
from runfold.testing.simulation.simulation import Simulation
from runfold.testing.simulation.stubs import Stub, stub

__all__ = [
    "Call",
    "Fault",
    "Faults",
    "Hung",
    "RealWorld",
    "SimulatedRun",
    "Simulation",
    "Stub",
    "Stuck",
    "stub",
]
