"""The command: ``uv run --group mutation python -m mutation`` in ``tests``.

Changes the code of ``src/runfold/kernel`` and ``src/runfold/flow`` in one place at a time and
runs the tests that reach it (mutmut does, set up in ``pyproject.toml``). What was tried before is
kept in ``mutants/`` beside ``src`` and is not tried again while neither has changed.
"""

from __future__ import annotations

import argparse
import json
import random
import subprocess
import sys
from pathlib import Path

from mutation.report import mutants, summary, table

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / "mutants"
PILOT = "runfold.kernel.registry*"
"""Few mutants: by trying them the names of all become known."""


def main(arguments: list[str]) -> int:
    """Run it and print the table; return 1 when mutmut could not."""
    parser = argparse.ArgumentParser(prog="python -m mutation", description=__doc__)
    parser.add_argument("name", nargs="*", help="mutants, with *: runfold.flow.decide*; or all")
    parser.add_argument("--sample", type=int, help="try so many of them, drawn at random")
    parser.add_argument("--seed", type=int, default=1, help="of the sample (default 1)")
    parser.add_argument("--children", type=int, default=1, help="side by side (default 1)")
    parser.add_argument("--json", type=Path, help="write a report with the diff of each survivor")
    options = parser.parse_args(arguments)
    names, sample = list(options.name), None
    if options.sample is not None:
        if names:
            parser.error("a sample is of all mutants: name none, or leave --sample out")
        if status := _run([PILOT], options.children):
            return status
        known = sorted(_known())
        names = sample = random.Random(options.seed).sample(known, min(options.sample, len(known)))
    if status := _run(names, options.children):
        return status
    found = list(mutants(FOLDER, None if sample is None else set(sample)))
    print(table(found))
    if options.json is not None:
        options.json.write_text(json.dumps(summary(found, _diff), indent=1), "utf-8")
    return 0


def _known() -> list[str]:
    metas = FOLDER.rglob("*.py.meta")
    codes = [json.loads(meta.read_text("utf-8"))["exit_code_by_key"] for meta in metas]
    return [name for by_name in codes for name in by_name]


def _run(names: list[str], children: int) -> int:
    command = [sys.executable, "-m", "mutmut", "run", "--max-children", str(children), *names]
    return subprocess.run(command, cwd=ROOT, check=False).returncode


def _diff(name: str, path: str) -> str:
    from mutmut.mutation.diff_apply import get_diff_for_mutant

    with_file: str = get_diff_for_mutant(name, path=ROOT / path)
    return with_file


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
