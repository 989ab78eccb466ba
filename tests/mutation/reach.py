"""Which lines each test runs, and how long it takes: seen once for each, and kept.

Each test runs in a process of its own, so nothing that another one left in a cache hides a
line from it. Kept is what is still so: of the tests of a file as long as it is the same, and
everything that is no test, too.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from mutation.forks import fork

if TYPE_CHECKING:
    from coverage import Coverage  # Of the group `mutation`: without it all else is of use.


@dataclass(frozen=True)
class Reach:
    """What one test runs."""

    seconds: float
    """Of processor time."""
    lines: dict[str, list[int]]
    """By path from ``src``."""


class Reaches:
    """The reach of tests, by their ids; kept in ``file``."""

    def __init__(self, root: Path, file: Path, folders: tuple[str, ...]) -> None:
        self._root, self._file = root, file
        self._source = root / "src"
        self._include = [str(self._source / folder / "*") for folder in folders]
        self._known: dict[str, dict[str, Reach]] = {}
        self._hashes: dict[str, str] = {}
        self._rest = _hash(sorted([*self._source.rglob("*.py"), *_aids(root / "tests")]))
        if file.exists():
            self._load(json.loads(file.read_text("utf-8")))

    def of(
        self, items: Iterable[pytest.Item], passes: Callable[[pytest.Item], bool]
    ) -> dict[str, Reach]:
        """Return what each of ``items`` reaches; those that are not known run for it.

        A test that fails where nothing is changed could tell nothing: ``ValueError``.
        """
        self._watch = _coverage(self._include)
        found: dict[str, Reach] = {}
        for item in items:
            file = str(item.path.relative_to(self._root))
            if self._hashes.get(file) != (now := _hash([item.path])):
                self._hashes[file], self._known[file] = now, {}
            known = self._known[file]
            if item.nodeid not in known:
                known[item.nodeid] = self._seen(item, passes)
            found[item.nodeid] = known[item.nodeid]
        self._save()
        return found

    def _seen(self, item: pytest.Item, passes: Callable[[pytest.Item], bool]) -> Reach:
        told = self._file.with_suffix(".one")
        if status := fork(lambda: self._watched(item, passes, told)):
            raise ValueError(f"{item.nodeid} fails where nothing is changed ({status})")
        return Reach(**json.loads(told.read_text("utf-8")))

    def _watched(self, item: pytest.Item, passes: Callable[[pytest.Item], bool], told: Path) -> int:
        began = time.process_time()
        with self._watch.collect():
            passed = passes(item)
        seconds = time.process_time() - began
        data = self._watch.get_data()
        lines = {
            Path(path).relative_to(self._source).as_posix(): sorted(data.lines(path) or [])
            for path in data.measured_files()
        }
        told.write_text(json.dumps({"seconds": seconds, "lines": lines}), "utf-8")
        return 0 if passed else 1

    def _load(self, kept: dict[str, Any]) -> None:
        if kept["rest"] != self._rest:
            return
        self._hashes = kept["hashes"]
        self._known = {
            file: {test: Reach(**reach) for test, reach in by_test.items()}
            for file, by_test in kept["known"].items()
        }

    def _save(self) -> None:
        known = {
            file: {test: asdict(reach) for test, reach in by_test.items()}
            for file, by_test in self._known.items()
        }
        kept = {"rest": self._rest, "hashes": self._hashes, "known": known}
        self._file.write_text(json.dumps(kept), "utf-8")


def _coverage(include: list[str]) -> Coverage:
    from coverage import Coverage

    watch = Coverage(data_file=None, include=include, config_file=False)
    watch.set_option("run:disable_warnings", ["no-data-collected"])  # Not every test does.
    with watch.collect():
        pass  # What it does once it does here, not in every process.
    return watch


def _aids(tests: Path) -> Iterator[Path]:
    """Yield what tests import that is no test."""
    for path in tests.rglob("*.py"):
        if "mutation" not in path.parts and not path.name.startswith("test_"):
            yield path


def _hash(paths: Iterable[Path]) -> str:
    found = hashlib.sha256()
    for path in paths:
        found.update(path.read_bytes())
    return found.hexdigest()
