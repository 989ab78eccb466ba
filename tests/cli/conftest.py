"""Commands run in a folder of their own, without anybody's configuration."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from cli.shell import Shell
from runfold.cli import main


@pytest.fixture
def shell(tmp_path: Path) -> Shell:
    return Shell(tmp_path)


@pytest.fixture
def runfold(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Result]:
    """Call a command inside this process, in a fresh folder."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("RUNFOLD_URL", raising=False)

    def call(*arguments: str, given: str | None = None) -> Result:
        return CliRunner().invoke(main, arguments, input=given, prog_name="runfold")

    return call
