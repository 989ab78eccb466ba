"""The plugin as a user's project sees it: found by itself, cheap, silent until something fails."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

TESTS = """
from runfold import Flow
from runfold.testing import Faults

flow = Flow("one")

@flow.entry()
async def work(number):
    return number

def test_right(simulation):
    sim = simulation(flow)
    run = sim.start(flow, 1)
    sim.run_until_idle()
    assert run.result == 1

def test_wrong(simulation):
    sim = simulation(flow, faults=Faults(slow_step=1.0))
    run = sim.start(flow, 1)
    sim.run_until_idle()
    print("seed", sim.seed, "at", sim.now)
    assert run.result == 2
"""


def run(folder: Path, *options: str) -> str:
    (folder / "test_it.py").write_text(TESTS, "utf-8")
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *options, "test_it.py"],
        cwd=folder, capture_output=True, check=False, text=True, timeout=60,
    )  # fmt: skip
    assert done.returncode == 1, done.stdout + done.stderr
    assert "1 failed, 1 passed" in done.stdout
    return done.stdout


def test_a_failure_names_the_seed_and_what_went_wrong(tmp_path: Path) -> None:
    told = run(tmp_path, "--runfold-seed", "77")
    assert 'pytest "test_it.py::test_wrong" --runfold-seed 77' in told
    assert "a simulation of seed 77" in told
    assert "Fault(kind='slow_step', number=1" in told
    assert "seed 77 at" in told


def test_a_fixture_that_fails_names_the_seed_too(tmp_path: Path) -> None:
    (tmp_path / "test_it.py").write_text(
        """
import pytest
from runfold import Flow

flow = Flow("one")

@flow.entry()
async def work(number): ...

@pytest.fixture
def before(simulation):
    raise RuntimeError(simulation(flow, seed=5).seed)

@pytest.fixture
def behind(simulation):
    yield simulation(flow, seed=6)
    raise RuntimeError("behind")

def test_before(before): ...

def test_behind(behind): ...
""",
        "utf-8",
    )
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "test_it.py"],
        cwd=tmp_path, capture_output=True, check=False, text=True, timeout=60,
    )  # fmt: skip
    assert "1 passed, 2 errors" in done.stdout
    assert 'test_before" --runfold-seed' in done.stdout
    assert 'test_behind" --runfold-seed' in done.stdout
    assert done.stdout.count("a simulation of seed 5") == 1
    assert done.stdout.count("a simulation of seed 6") == 1


def test_a_seed_can_be_repeated(tmp_path: Path) -> None:
    first = run(tmp_path)
    seed = first.partition("--runfold-seed ")[2].split()[0]
    again = run(tmp_path, "--runfold-seed", seed)
    line = f"seed {seed} at "
    assert first.partition(line)[2].splitlines()[0] == again.partition(line)[2].splitlines()[0]


def test_all_processes_of_a_run_have_one_seed(tmp_path: Path) -> None:
    (tmp_path / "test_it.py").write_text(
        """
import os, pytest
from runfold import Flow

flow = Flow("one")

@flow.entry()
async def work(number): ...

@pytest.mark.parametrize("number", range(4))
def test_wrong(simulation, number):
    sim = simulation(flow, faults=[])
    raise AssertionError(f"seed {sim.seed} in {os.environ['PYTEST_XDIST_WORKER']} end")
""",
        "utf-8",
    )
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-n", "2", "test_it.py"],
        cwd=tmp_path, capture_output=True, check=False, text=True, timeout=120,
    )  # fmt: skip
    told = set(re.findall(r"AssertionError: seed (\d+) in (gw\d) end", done.stdout))
    assert {worker for _, worker in told} == {"gw0", "gw1"}, done.stdout + done.stderr
    (seed,) = {seed for seed, _ in told}
    assert done.stdout.count(f'test_wrong[0]" --runfold-seed {seed}') == 1


def test_importing_the_plugin_loads_no_engine() -> None:
    script = (
        "import sys, runfold.testing.plugin; "
        "print([name for name in sys.modules if name.startswith(('runfold.', 'pydantic', 'sql'))])"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, check=True, text=True, timeout=60
    )
    assert done.stdout.strip() == "['runfold.testing', 'runfold.testing.plugin']"
