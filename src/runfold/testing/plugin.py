"""The pytest plugin: the fixture ``simulation``, and a seed that can be repeated.

Registered by entry point in every project that has Runfold installed, so importing it costs
nothing: the engine is loaded by the first test that asks for a simulation.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Generator, Iterator
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from runfold.testing import Simulation

_SEED = pytest.StashKey[int]()
_USED = pytest.StashKey[list[Any]]()
FAULTS_MAX = 50
"""How many faults of each simulation a report lists."""


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add ``--runfold-seed``."""
    group = parser.getgroup("runfold")
    group.addoption(
        "--runfold-seed",
        type=int,
        default=None,
        metavar="N",
        help="the seed of the fixture `simulation`; a failing test names its own",
    )


def pytest_configure(config: pytest.Config) -> None:
    """Choose the seed of this run, the same in every worker of pytest-xdist."""
    given = config.getoption("--runfold-seed")
    if given is None:
        workerinput = getattr(config, "workerinput", None)
        given = (workerinput or {}).get("runfold_seed")
    config.stash[_SEED] = random.SystemRandom().getrandbits(32) if given is None else given


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Any) -> None:
    """Tell a worker of pytest-xdist the seed of this run."""
    node.workerinput["runfold_seed"] = node.config.stash[_SEED]


@pytest.fixture
def simulation(request: pytest.FixtureRequest) -> Iterator[Callable[..., Simulation]]:
    """A function that returns a simulation, entered, and left when the test ends.

    It takes what ``Simulation`` takes. ``seed`` defaults to that of the test run, which is
    named when the test fails; ``faults`` to ``Faults.default()``.
    """
    from runfold.testing import Faults, Simulation

    used = request.node.stash.setdefault(_USED, [])
    with ExitStack() as stack:

        def enter(*targets: Any, **options: Any) -> Simulation:
            options.setdefault("seed", request.config.stash[_SEED])
            options.setdefault("faults", Faults.default())
            sim = stack.enter_context(Simulation(*targets, **options))
            used.append(sim)
            return sim

        yield enter


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, Any, Any]:
    """Name the seed, and what went wrong, of a test that failed."""
    report: Any = yield
    used = item.stash.get(_USED, [])
    if report.failed and used:  # The test itself, or a fixture around it.
        lines = [f'pytest "{item.nodeid}" --runfold-seed {item.config.stash[_SEED]}', ""]
        for sim in used:
            faults = sim.faults
            lines.append(f"a simulation of seed {sim.seed}, at {sim.now}; faults: {len(faults)}")
            lines += [f"    {fault}" for fault in faults[:FAULTS_MAX]]
        report.sections.append(("simulation: repeat it with", "\n".join(lines)))
    return report
