"""A mutant takes the place of its function in one process, and the tests say what they notice."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from pathlib import Path
from textwrap import dedent

import pytest

from mutation.mutants import reached_by

SOURCE = """
    class Counter:
        def __init__(self):
            self.value = 0

        def up(self, by=1):
            self.value += by
            return self.value

    def until(limit):
        counter = Counter()
        while counter.value < limit:
            counter.up()
        return counter.value

    def unused():
        return 1
"""
TESTS = """
    from counting.counter import Counter, until

    def test_up():
        assert Counter().up() == 1

    def test_until():
        assert until(3) == 3
"""
TRIAL = """
    import json, sys
    from pathlib import Path
    import pytest
    from mutation.mutants import Mutant
    from mutation.reach import Reach
    from mutation.trial import Trial

    class Known:
        def of(self, items, passes):
            lines = {"test_up": [7, 8], "test_until": [7, 8, 11, 12, 13, 14]}
            return {i.nodeid: Reach(0.01, {"counting/counter.py": lines[i.name]}) for i in items}

    root = Path(sys.argv[1])
    sys.path.insert(0, str(root))
    def mutant(owner, function, number, changed, line):
        lines = frozenset({line})
        return Mutant("counting/counter.py", owner, function, number, "", changed, lines)

    UNTIL = "def until(limit):\\n    counter = Counter()\\n"
    made = [
        mutant("Counter", "up", 1, "    def up(self, by=1):\\n        self.value += by\\n", 8),
        mutant("Counter", "up", 2, "    def up(self, by=2):\\n        self.value += by\\n"
               "        return 1 if self.value == 2 else self.value\\n", 7),
        mutant("", "until", 1, UNTIL + "    while counter.value < limit: pass\\n", 12),
        mutant("", "until", 2, UNTIL + "    while counter.value != limit: counter.up()\\n"
               "    return counter.value\\n", 12),
        mutant("", "unused", 1, "def unused(): return 2", 17),
        mutant("", "until", 3, UNTIL + "    return limit\\n", 11),
    ]
    said = {"patient": [], "hasty": []}
    options = ["-q", "-s", "-n0", "--tb=no", "-pno:cacheprovider", f"--rootdir={root}",
               f"-c{root}/none.toml", str(root / "test_counter.py")]
    pytest.main(options, plugins=[Trial(made, Known(), said["patient"].append, seconds=5)])
    pytest.main(options, plugins=[Trial(made[1:2], Known(), said["hasty"].append, seconds=0)])
    told = {how: {v.name: [v.status, v.by] for v in found} for how, found in said.items()}
    (root / "said.json").write_text(json.dumps(told))
"""


def test_the_first_test_that_fails_kills(tmp_path: Path) -> None:
    said = tried(tmp_path)
    assert said["patient"] == {
        "counting.counter.Counter.up#1": ["killed", "test_counter.py::test_up"],
        "counting.counter.Counter.up#2": ["killed", "test_counter.py::test_until"],
        "counting.counter.until#1": ["timeout", "test_counter.py::test_until"],
        "counting.counter.until#2": ["survived", ""],
        "counting.counter.unused#1": ["no tests", ""],
        "counting.counter.until#3": ["survived", ""],
    }
    # Its first test was over when there was no time for the second.
    assert said["hasty"] == {"counting.counter.Counter.up#2": ["stopped", ""]}


def tried(folder: Path) -> dict[str, dict[str, list[str]]]:
    """Return status and test of each mutant of the counter."""
    (folder / "counting").mkdir()
    (folder / "none.toml").touch()
    for file, text in (("counting/counter.py", SOURCE), ("test_counter.py", TESTS)):
        (folder / file).write_text(dedent(text), "utf-8")
    done = subprocess.run(
        [sys.executable, "-c", dedent(TRIAL), str(folder)],
        cwd=Path(__file__).resolve().parents[1], capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    found: dict[str, dict[str, list[str]]] = json.loads((folder / "said.json").read_text("utf-8"))
    return found


CODE = ast.parse(
    dedent("""
    def f(a, b=1):
        if (a and
                b):
            return (
                a
            )
        match b:
            case 1:
                return 2
        return 3
""")
)


@pytest.mark.parametrize(
    ("line", "lines"),
    [
        (2, range(3, 12)), (3, {3, 4}), (4, {3, 4}), (6, {5, 6, 7}), (9, {8}), (10, {10}),
        (11, {11}),
    ],
    ids=str,
)  # fmt: skip
def test_a_statement_is_reached_where_it_begins(line: int, lines: set[int]) -> None:
    assert reached_by(CODE, line) == frozenset(lines)
