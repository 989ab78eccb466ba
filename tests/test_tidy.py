"""The rules of the house, kept by reading the source; and the reader, kept by bad examples."""

from __future__ import annotations

import pytest

from tidy import hosts, imports, manners, purity, sizes, tables
from tidy.source import Check, Source, sources

OF_THE_PACKAGE: dict[str, Check] = {
    "layers import inward only": imports.check_layers,
    "pure layers do not wait": purity.check_no_waiting,
    "pure layers import nothing impure": purity.check_no_impure_import,
    "pure layers call nothing impure": purity.check_no_impure_call,
    "a function is short": sizes.check_function_lines,
    "a function takes few by position": sizes.check_positional,
    "a function is flat": sizes.check_nesting,
    "a module offers few names": sizes.check_public_names,
    "public names have docstrings": manners.check_public_docstrings,
    "tasks start in one place": manners.check_create_task,
    "nothing swallows every exception": manners.check_broad_except,
    "loops have a bound": manners.check_forever,
}
OF_PACKAGE_AND_MIGRATIONS: dict[str, Check] = {
    "third parties have one home": imports.check_homes,
}
OF_ALL: dict[str, Check] = {
    "a file is short": sizes.check_file_lines,
    "a line is short": sizes.check_line_columns,
    "a module name says something": manners.check_module_name,
    "a module has a docstring": manners.check_module_docstring,
}


def findings(check: Check, *folders: str) -> str:
    return "\n".join(str(found) for source in sources(*folders) for found in check(source))


@pytest.mark.parametrize("check", OF_THE_PACKAGE.values(), ids=OF_THE_PACKAGE.keys())
def test_the_package_keeps_its_rules(check: Check) -> None:
    assert findings(check, "src") == ""


@pytest.mark.parametrize(
    "check", OF_PACKAGE_AND_MIGRATIONS.values(), ids=OF_PACKAGE_AND_MIGRATIONS.keys()
)
def test_package_and_migrations_keep_their_rules(check: Check) -> None:
    assert findings(check, "src", "migrations") == ""


@pytest.mark.parametrize("check", OF_ALL.values(), ids=OF_ALL.keys())
def test_all_source_keeps_its_rules(check: Check) -> None:
    assert findings(check, "src", "tests", "migrations", "benchmarks") == ""


@pytest.mark.parametrize("name", tables.ONE_FILE)
def test_a_driver_is_imported_by_at_most_one_file(name: str) -> None:
    assert len(imports.files_importing(name, sources("src"))) <= 1


def test_the_tree_names_no_machine_and_no_index() -> None:
    found = [
        str(f) for path, text in hosts.tracked_texts() for f in hosts.private_names(path, text)
    ]
    assert found == []


DOC = '"""What it is for."""\n'
DEEP = """
def f(x):
    if x:
        for y in x:
            with y:
                if y:
                    while y:
                        y.stop()
"""
CHAIN = """
def f(x):
    if x == 1:
        return 1
    elif x == 2:
        return 2
    elif x == 3:
        return 3
    elif x == 4:
        return 4
    elif x == 5:
        return 5
    else:
        return 6
"""
LONG = "def f():\n" + "    g()\n" * 60
DOCUMENTED = 'def f():\n    """' + "Line.\n" * 90 + '    """\n' + "    g()\n" * 50

BAD = [
    # check, path, text, line of the finding
    (imports.check_layers, "kernel/fold.py", "from runfold.flow import graph", 1),
    (imports.check_layers, "kernel/fold.py", "from ..flow import graph", 1),
    (imports.check_layers, "kernel/fold.py", "from .. import flow", 1),
    (imports.check_layers, "flow/run.py", "\nimport runfold.projections.runs", 2),
    (imports.check_layers, "flow/run.py", "from runfold import Flow", 1),
    (imports.check_layers, "runtime/worker.py", "from runfold.store import memory", 1),
    (imports.check_layers, "runtime/worker.py", "from runfold.server import runs", 1),
    (imports.check_layers, "store/memory.py", "from runfold.server import api", 1),
    (imports.check_layers, "store/memory.py", "from runfold.runtime import worker", 1),
    (imports.check_layers, "server/api.py", "from runfold.store import memory", 1),
    (imports.check_layers, "server/api.py", "def f():\n    import runfold.cli", 2),
    (imports.check_layers, "cli/runs.py", "from runfold.store.sql import claim", 1),
    (imports.check_layers, "app.py", "from runfold.testing import Simulation", 1),
    (imports.check_layers, "shed/tool.py", "", 1),
    (imports.check_homes, "flow/run.py", "import sqlalchemy", 1),
    (imports.check_homes, "store/memory.py", "import sqlite3", 1),
    (imports.check_homes, "runtime/worker.py", "from eventsourcing.domain import Aggregate", 1),
    (imports.check_homes, "server/api.py", "import click", 1),
    (imports.check_homes, "app.py", "import pytest", 1),
    (imports.check_homes, "app.py", "import requests", 1),
    (purity.check_no_waiting, "flow/run.py", "async def f(): ...", 1),
    (purity.check_no_impure_import, "kernel/fold.py", "import time", 1),
    (purity.check_no_impure_import, "kernel/fold.py", "from os import environ", 1),
    (purity.check_no_impure_import, "flow/run.py", "from uuid import uuid4", 1),
    (purity.check_no_impure_call, "flow/run.py", "x = datetime.now(UTC)", 1),
    (purity.check_no_impure_call, "flow/run.py", "import uuid\nx = uuid.uuid4()", 2),
    (purity.check_no_impure_call, "projections/runs.py", "print(1)", 1),
    (sizes.check_file_lines, "flow/run.py", "x = 1\n" * 401, 401),
    (sizes.check_line_columns, "flow/run.py", "\nx = '" + "x" * 100 + "'", 2),
    (sizes.check_function_lines, "flow/run.py", LONG, 1),
    (sizes.check_positional, "flow/run.py", "def f(a, b, c, d, e, f, g, h): ...", 1),
    (sizes.check_nesting, "flow/run.py", DEEP, 7),
    (sizes.check_public_names, "flow/run.py", "\n".join(f"X{n} = {n}" for n in range(13)), 1),
    (manners.check_module_name, "flow/utils.py", "", 1),
    (manners.check_module_name, "flow/run_helpers.py", "", 1),
    (manners.check_module_name, "common/run.py", "", 1),
    (manners.check_module_docstring, "flow/run.py", "x = 1", 1),
    (manners.check_public_docstrings, "flow/run.py", "def f(): ...", 1),
    (manners.check_public_docstrings, "flow/run.py", "\nclass F: ...", 2),
    (manners.check_create_task, "runtime/worker.py", "asyncio.create_task(f())", 1),
    (manners.check_create_task, "runtime/worker.py", "tasks.create_task(f())", 1),
    (manners.check_broad_except, "flow/run.py", "try: f()\nexcept Exception: pass", 2),
    (manners.check_broad_except, "flow/run.py", "try: f()\nexcept: pass", 2),
    (manners.check_broad_except, "flow/run.py", "try: f()\nexcept (OSError, Exception): g()", 2),
    (manners.check_forever, "flow/run.py", "while True: f()", 1),
]

GOOD = [
    (imports.check_layers, "flow/run.py", "from ..kernel.fold import fold\nfrom . import graph"),
    (imports.check_layers, "runtime/worker.py", "from runfold.ports import EventLog"),
    (imports.check_layers, "cli/runs.py", "from runfold import Runfold"),
    (imports.check_layers, "__init__.py", "from runfold.app import Runfold"),
    (imports.check_homes, "store/sql/claim.py", "from sqlalchemy import select\nimport sqlite3"),
    (imports.check_homes, "store/codec.py", "from eventsourcing.persistence import Mapper"),
    (imports.check_homes, "flow/run.py", "import json\nfrom pydantic import BaseModel"),
    (purity.check_no_waiting, "runtime/worker.py", "async def f(): ..."),
    (purity.check_no_impure_import, "runtime/worker.py", "import time"),
    (purity.check_no_impure_import, "flow/run.py", "from datetime import datetime\nimport uuid"),
    (purity.check_no_impure_call, "flow/run.py", "def f(command): return command.now"),
    (sizes.check_function_lines, "flow/run.py", DOCUMENTED),
    (sizes.check_positional, "flow/run.py", "def f(self, a, b, c, d, e, f, g, *, h): ..."),
    (sizes.check_nesting, "flow/run.py", CHAIN),
    (sizes.check_public_names, "flow/run.py", "\n".join(f"_x{n} = {n}" for n in range(20))),
    (sizes.check_public_names, "flow/events.py", "\n".join(f"X{n} = {n}" for n in range(20))),
    (manners.check_public_docstrings, "flow/run.py", "@overload\ndef f(): ...\ndef _g(): ..."),
    (manners.check_create_task, "runtime/service.py", "tasks.create_task(f())"),
    (manners.check_broad_except, "runtime/executor.py", "try: f()\nexcept Exception: pass"),
    (manners.check_broad_except, "store/memory.py", "try: f()\nexcept BaseException:\n    raise"),
    (manners.check_forever, "runtime/service.py", "while True: f()"),
]


@pytest.mark.parametrize(("check", "path", "text", "line"), BAD)
def test_a_bad_example_is_found_at_its_line(check: Check, path: str, text: str, line: int) -> None:
    found = list(check(Source(f"src/runfold/{path}", text)))
    assert [(f.path, f.line) for f in found] == [(f"src/runfold/{path}", line)]


@pytest.mark.parametrize(("check", "path", "text"), GOOD)
def test_a_good_example_passes(check: Check, path: str, text: str) -> None:
    assert list(check(Source(f"src/runfold/{path}", DOC + text))) == []


def test_every_check_has_a_bad_example() -> None:
    checks = {*OF_THE_PACKAGE.values(), *OF_PACKAGE_AND_MIGRATIONS.values(), *OF_ALL.values()}
    assert checks == {check for check, *_ in BAD}


@pytest.mark.parametrize(
    "text",
    [
        "see /" + "work/notes/a.txt",
        "cd /" + "home/ann/x",
        "in /" + "tmp/pip-build/a",
        "https://py" + "pi.org/simple",
        "http://git" + ".corp/x",
    ],
)
def test_a_private_name_is_found(text: str) -> None:
    assert [found.line for found in hosts.private_names("a.md", "fine\n" + text)] == [2]


def test_a_finding_reads_as_file_and_line() -> None:
    source = Source("src/runfold/kernel/fold.py", "\nimport time")
    assert [str(found) for found in purity.check_no_impure_import(source)] == [
        "src/runfold/kernel/fold.py:2: pure layer kernel imports a clock: time"
    ]
