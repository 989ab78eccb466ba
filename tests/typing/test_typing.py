"""Type checkers accept ``right*.py`` and refuse each marked line of ``wrong*.py``."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

HERE = Path(__file__).parent
BIN = Path(sys.executable).parent

Places = set[tuple[str, int]]


@cache
def mypy() -> Places:
    """Where mypy finds errors."""
    files = sorted(file.name for file in HERE.glob("*.py") if not file.name.startswith("test_"))
    done = _run("mypy", "--config-file", "mypy.ini", "--no-error-summary", *files)
    assert done.returncode in (0, 1), done.stdout + done.stderr
    return {
        (found["file"], int(found["line"]))
        for line in done.stdout.splitlines()
        if (found := re.match(r"(?P<file>[\w.]+):(?P<line>\d+): error:", line))
    }


@cache
def pyright() -> Places:
    """Where pyright finds errors (through basedpyright, which brings its own Node)."""
    done = _run("basedpyright", "-p", ".", "--outputjson", "--pythonpath", sys.executable)
    assert done.returncode in (0, 1), done.stdout + done.stderr
    return {
        (Path(found["file"]).name, found["range"]["start"]["line"] + 1)
        for found in json.loads(done.stdout)["generalDiagnostics"]
        if found["severity"] == "error"
    }


def _run(program: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [BIN / program, *arguments], cwd=HERE, capture_output=True, text=True, timeout=300
    )


def _marked(file: str) -> Places:
    lines = (HERE / file).read_text("utf-8").splitlines()
    return {(file, number) for number, line in enumerate(lines, 1) if "  # wrong:" in line}


CHECKERS = pytest.mark.parametrize("checker", [mypy, pyright], ids=["mypy", "pyright"])


@CHECKERS
@pytest.mark.parametrize("file", ["right.py", "right_app.py", "right_testing.py"])
def test_a_right_program_is_accepted(checker, file: str) -> None:
    assert {place for place in checker() if place[0] == file} == set()


@CHECKERS
@pytest.mark.parametrize("file", ["wrong.py", "wrong_app.py", "wrong_testing.py"])
def test_each_wrong_line_is_refused_and_no_other(checker, file: str) -> None:
    assert {place for place in checker() if place[0] == file} == _marked(file)
