"""Every benchmark runs, at a tiny size; what it measures is read by people."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[1]


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "benchmarks", *arguments],
        cwd=ROOT,
        capture_output=True,
        check=False,
        text=True,
        timeout=120,
    )


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    file = tmp_path_factory.mktemp("benchmarks") / "report.json"
    done = run("--on", "sqlite-full", "--repeat", "1", "--scale", "0.01", "--json", str(file))
    assert done.returncode == 0, done.stderr
    return {"table": done.stdout, **json.loads(file.read_text("utf-8"))}


@pytest.mark.parametrize(
    "figure",
    [
        "append", "fold", "decode and fold", "read, decode and fold", "dispatch",
        "jobs: drain", "jobs: drain, no projector", "jobs: drain, processor",
        "jobs: start, 8 concurrent", "jobs: start_many",
        "flows", "flows: processor",
        "submit to start, p50", "submit to start, p99", "idle flow, p50",
        "log bytes", "log and views, bytes", "events",
        "rebuild", "verify",
    ],
)  # fmt: skip
def test_a_figure_is_measured(report: dict[str, Any], figure: str) -> None:
    (result,) = (result for result in report["results"] if result["figure"] == figure)
    assert result["database"] == "sqlite-full"
    assert result["min"] <= result["median"] <= result["max"]
    assert result["median"] > 0
    assert f"  {figure}  " in report["table"]


def test_the_report_names_the_machine(report: dict[str, Any]) -> None:
    assert {"processor", "load", "fsync", "python", "sqlite"} <= report["machine"].keys()


def test_an_unknown_name_is_refused() -> None:
    done = run("nothing")
    assert done.returncode == 2
    assert "no benchmark is called nothing" in done.stderr
