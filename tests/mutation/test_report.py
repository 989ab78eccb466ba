"""What a mutation run found is counted and shown, by file."""

from __future__ import annotations

import json
from pathlib import Path

from mutation.report import Mutant, mutants, summary, table

KILLED, SURVIVED, UNREACHED, SLOW, UNTRIED = 1, 0, 33, 36, None


def keep(folder: Path, file: str, **codes: int | None) -> None:
    meta = folder / f"{file}.meta"
    meta.parent.mkdir(parents=True, exist_ok=True)
    meta.write_text(json.dumps({"exit_code_by_key": codes}), "utf-8")


def test_what_was_tried_is_read_and_counted(tmp_path: Path) -> None:
    keep(tmp_path, "src/a.py", one=KILLED, two=SURVIVED, three=UNTRIED, four=SLOW)
    keep(tmp_path, "src/deep/b.py", five=UNREACHED)
    found = list(mutants(tmp_path))
    assert found == [
        Mutant("one", "src/a.py", "killed"),
        Mutant("two", "src/a.py", "survived"),
        Mutant("four", "src/a.py", "timeout"),
        Mutant("five", "src/deep/b.py", "no tests"),
    ]
    assert table(found) == (
        "file           mutants  killed  survived  no tests   score\n"
        "src/a.py             3       2         1         0  66.7 %\n"
        "src/deep/b.py        1       0         0         1   0.0 %\n"
        "all                  4       2         1         1  50.0 %"
    )
    told = summary(found, lambda name, path: f"-{path}\n+{name}")
    assert (told["mutants"], told["killed"], told["survived"]) == (4, 2, 1)
    assert [one["diff"] for one in told["left"]] == ["-src/a.py\n+two", "-src/deep/b.py\n+five"]


def test_a_sample_counts_alone(tmp_path: Path) -> None:
    keep(tmp_path, "src/a.py", one=KILLED, two=SURVIVED)
    assert [mutant.name for mutant in mutants(tmp_path, {"two", "three"})] == ["two"]
    assert table([]).endswith("all         0       0         0         0      -")
