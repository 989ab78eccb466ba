"""Finding flows and queues in folders and packages."""

from __future__ import annotations

import importlib
import os
import pkgutil
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

from runfold.define.flow import Flow
from runfold.define.queue import Queue
from runfold.errors import InvalidDefinition

Place = str | os.PathLike[str]
"""A folder, a file, or the dotted name of a package."""

MODULES_MAX = 10_000
"""How many modules one call imports at most."""


def discover(
    places: Iterable[Place] | Place,
) -> tuple[list[Flow[Any, Any]], list[Queue]]:
    """Return the flows and queues of every module in ``places``: folders or dotted packages.

    A folder's modules are imported under the names that ``import`` would find them by; the
    folder above it is added to ``sys.path`` when it is not there. Raises
    ``InvalidDefinition`` naming the file that does not import, or the files of two flows or
    queues with one name.
    """
    listed = [places] if isinstance(places, str | os.PathLike) else list(places)
    found = _Found()
    for place in listed:
        for name, file in _modules(place):
            found.add(_import(name, file))
    return list(found.flows.values()), list(found.queues.values())


class _Found:
    def __init__(self) -> None:
        self.flows: dict[str, Flow[Any, Any]] = {}
        self.queues: dict[str, Queue] = {}
        self._files: dict[int, str] = {}

    def add(self, module: ModuleType) -> None:
        for value in list(vars(module).values()):
            if isinstance(value, Flow):
                self._keep(self.flows, "flows", value, module)
            elif isinstance(value, Queue):
                self._keep(self.queues, "queues", value, module)

    def _keep(self, kept: dict[str, Any], what: str, value: Any, module: ModuleType) -> None:
        file = module.__file__ or module.__name__
        other = kept.setdefault(value.name, value)
        if other is value:
            self._files.setdefault(id(value), file)
            return
        raise InvalidDefinition(
            f"two {what} are called {value.name!r}: in {self._files[id(other)]} and in {file}; "
            "give one another name, or import one from the other"
        )


def _modules(place: Place) -> Iterator[tuple[str, Path | None]]:
    path = Path(place)
    if path.is_dir():
        yield from _of_folder(path.resolve())
    elif path.is_file():
        file = path.resolve()
        yield _dotted(_root(file.parent), file), file
    elif not isinstance(place, str) or "/" in place:
        raise InvalidDefinition(f"{str(place)!r} is no folder and no file; give one that exists")
    else:
        yield from _of_package(place)


def _of_folder(folder: Path) -> Iterator[tuple[str, Path]]:
    root = _root(folder)
    for count, file in enumerate(sorted(folder.rglob("*.py"))):
        inside = file.relative_to(folder).parts
        if count >= MODULES_MAX:
            raise InvalidDefinition(f"{folder} has more than {MODULES_MAX} modules; name a part")
        if file.name == "__main__.py" or any(part.startswith(".") for part in inside):
            continue
        yield _dotted(root, file), file


def _root(folder: Path) -> Path:
    """Return the folder on ``sys.path`` from which ``folder`` is imported."""
    entries = {Path(entry or ".").resolve() for entry in sys.path}
    top = folder
    while (top / "__init__.py").exists():
        top = top.parent
    for above in (top, *top.parents) if top != folder else folder.parents:
        if above in entries:
            return above
    root = top if top != folder else folder.parent
    sys.path.append(str(root))
    importlib.invalidate_caches()
    return root


def _dotted(root: Path, file: Path) -> str:
    parts = file.relative_to(root).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def _of_package(name: str) -> Iterator[tuple[str, None]]:
    package = _import(name, None)
    yield name, None
    paths = getattr(package, "__path__", None)
    for count, found in enumerate(pkgutil.walk_packages(paths or (), prefix=f"{name}.")):
        if count >= MODULES_MAX:
            raise InvalidDefinition(f"{name} has more than {MODULES_MAX} modules; name a part")
        if not found.name.endswith(".__main__"):
            yield found.name, None


def _import(name: str, file: Path | None) -> ModuleType:
    where = str(file) if file else f"module {name!r}"
    try:
        module = importlib.import_module(name)
    except InvalidDefinition as error:
        raise InvalidDefinition(f"{where}: {error}", details=error.details) from error
    except (Exception, SystemExit) as error:
        raise InvalidDefinition(
            f"{where} does not import: {type(error).__name__}: {error}"
        ) from error
    if file is not None and module.__file__ and Path(module.__file__).resolve() != file:
        raise InvalidDefinition(
            f"{file} would be imported as {name!r}, which is {module.__file__}; rename its folder"
        )
    return module
