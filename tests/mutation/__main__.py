"""The command: ``uv run --group mutation python -m mutation`` in ``tests``.

Changes the code of ``src/runfold/kernel`` and ``src/runfold/flow`` in one place at a time, and
runs the tests that reach it until one fails. What was killed is kept in ``mutants/``, beside
``src``, and is not tried again while its function is the same; what survived is tried again.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from pathlib import Path

import pytest

from mutation.mutants import mutants
from mutation.reach import Reaches
from mutation.report import Verdicts, summary, table
from mutation.trial import Trial, Verdict

ROOT = Path(__file__).resolve().parents[2]
KEPT = ROOT / "mutants"
FOLDERS = ("runfold/kernel", "runfold/flow")
TESTS = (
    "tests/kernel", "tests/flow", "tests/golden", "tests/define", "tests/projections",
    "tests/testing", "tests/store/test_codec.py",
)  # fmt: skip
OPTIONS = (
    "--quiet", "--numprocesses=0", "--capture=no", "--tb=no", "--assert=plain",
    "-pno:cacheprovider", "--hypothesis-profile=mutation",
    # They run the whole engine: one plants errors by chance, the other waits for what never comes.
    f"--ignore={ROOT}/tests/testing/test_machine.py",
    f"--ignore={ROOT}/tests/define/test_classes.py",
)  # fmt: skip


def main(arguments: list[str]) -> int:
    """Run it and print the table; return 1 when the tests could not be run."""
    parser = argparse.ArgumentParser(prog="python -m mutation", description=__doc__)
    parser.add_argument("name", nargs="*", help="of a module, function or mutant; default: all")
    parser.add_argument(
        "--seconds", type=float, default=2.0,
        help="of processor time for the tests of one mutant, the quickest first (default 2)",
    )  # fmt: skip
    parser.add_argument("--json", type=Path, help="write a report with the diff of each survivor")
    options = parser.parse_args(arguments)
    os.chdir(ROOT)  # mutmut wants to see a source tree.
    KEPT.mkdir(exist_ok=True)
    verdicts = Verdicts(KEPT / "verdicts.jsonl")
    found = list(mutants(ROOT / "src", FOLDERS, options.name))
    left = verdicts.left(found)
    print(f"{len(found)} mutants, {len(left)} of them to be tried", flush=True)

    def say(verdict: Verdict) -> None:
        verdicts.add(verdict)
        if verdict.status not in ("killed", "timeout"):
            print(f"{verdict.status}: {verdict.name}", flush=True)

    reaches = Reaches(ROOT, KEPT / "reaches.json", FOLDERS)
    trial = Trial(left, reaches, say, seconds=options.seconds)
    tests = (str(ROOT / test) for test in TESTS)
    if pytest.main([f"--rootdir={ROOT}", *OPTIONS, *tests], plugins=[trial]):
        return 1
    said = list(verdicts.of(found))
    print(table(said))
    if options.json is not None:
        options.json.write_text(json.dumps(summary(said), indent=1), "utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
