"""What a mutation run found is kept, counted and shown, by file."""

from __future__ import annotations

from pathlib import Path

from mutation.mutants import Mutant
from mutation.report import Verdicts, summary, table
from mutation.trial import Verdict


def mutant(path: str, number: int) -> Mutant:
    texts = "def f():\n    return 1\n", f"def f():\n    return -{number}\n"
    return Mutant(path, "", "f", number, *texts, frozenset({2}))


ONE, TWO, THREE, FOUR = (mutant("a.py", number) for number in range(1, 5))
FIVE, SIX = mutant("deep/b.py", 1), mutant("deep/b.py", 2)
ALL = [ONE, TWO, THREE, FOUR, FIVE, SIX]


def kept(folder: Path) -> Verdicts:
    verdicts = Verdicts(folder / "verdicts.jsonl")
    said = {ONE: "killed", TWO: "survived", FOUR: "timeout", FIVE: "no tests", SIX: "stopped"}
    for mutant, status in said.items():
        verdicts.add(Verdict(mutant.name, mutant.key, status))
    return verdicts


def test_what_was_tried_is_counted_by_file(tmp_path: Path) -> None:
    found = list(kept(tmp_path).of(ALL))
    assert table(found) == (
        "file       mutants  killed  survived  stopped  no tests   score\n"
        "a.py             3       2         1        0         0  66.7 %\n"
        "deep/b.py        2       0         0        1         1   0.0 %\n"
        "all              5       2         1        1         1  40.0 %"
    )
    told = summary(found)
    assert (told["mutants"], told["killed"], told["survived"]) == (5, 2, 1)
    assert [one["name"] for one in told["left"]] == ["a.f#2", "deep.b.f#1", "deep.b.f#2"]
    assert told["left"][0]["diff"].splitlines()[-2:] == ["-    return 1", "+    return -2"]


def test_nothing_tried_has_no_score() -> None:
    assert table([]).endswith("all         0       0         0        0         0      -")


def test_what_was_killed_is_not_tried_again_and_what_survived_is(tmp_path: Path) -> None:
    kept(tmp_path)
    again = Verdicts(tmp_path / "verdicts.jsonl")
    assert again.left(ALL) == [TWO, THREE, FIVE, SIX]
    again.add(Verdict(TWO.name, TWO.key, "killed"))
    assert Verdicts(tmp_path / "verdicts.jsonl").left(ALL) == [THREE, FIVE, SIX]


def test_a_changed_function_is_tried_anew(tmp_path: Path) -> None:
    verdicts = kept(tmp_path)
    changed = Mutant("a.py", "", "f", 1, "def f():\n    return 2\n", ONE.changed, ONE.lines)
    assert verdicts.left([changed]) == [changed]
