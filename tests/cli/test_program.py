"""The program itself, and ``runfold migrate``."""

from __future__ import annotations

import json
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path

from click.testing import Result
from sqlalchemy.engine import make_url

from cli.shell import Shell

Call = Callable[..., Result]


def test_python_m_is_the_same_program(shell: Shell) -> None:
    done = shell.run("--version")
    assert (done.returncode, done.stdout) == (0, f"runfold {version('runfold')}\n")


def test_help_names_every_command(runfold: Call) -> None:
    said = runfold("--help").stdout
    missing = [
        name
        for name in ("demo", "dispatcher", "migrate", "runs", "start", "worker")
        if f"\n  {name} " not in said
    ]
    assert missing == []


def test_migrate_sets_up_a_database(runfold: Call) -> None:
    first = runfold("migrate", "--url", "sqlite:///new.db")
    second = runfold("migrate", "--url", "sqlite:///new.db", "--json")
    assert first.stdout.startswith("up to date: default: ")
    assert list(json.loads(second.stdout)["namespaces"]) == ["default"]
    assert Path("new.db").is_file()


def test_migrate_sets_up_postgresql(runfold: Call, empty_postgres_url: str) -> None:
    migrated = runfold("migrate", "--url", empty_postgres_url)
    listed = runfold("runs", "ls", "--url", empty_postgres_url, "--json")
    assert migrated.exit_code == 0
    assert json.loads(listed.stdout) == {"items": [], "next": None}


def test_migrate_does_not_print_a_password(runfold: Call, empty_postgres_url: str) -> None:
    with_password = make_url(empty_postgres_url).set(password="secret").render_as_string(False)
    migrated = runfold("migrate", "--url", with_password, "--json")
    assert "secret" in with_password
    assert "secret" not in migrated.stdout


def test_a_database_that_is_away_is_one_line(runfold: Call) -> None:
    result = runfold("runs", "ls", "--url", "postgresql://nobody@127.0.0.1:1/none")
    assert result.exit_code == 1
    assert result.stderr.startswith("Error: ")
    assert len(result.stderr.splitlines()) == 1
