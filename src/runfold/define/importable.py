"""Whether another process finds a function by its name."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable
from typing import Any

from runfold.errors import InvalidDefinition


def address_of(fn: Callable[..., Any]) -> tuple[str, str]:
    """Return module and qualified name of ``fn``, by which ``find`` finds it."""
    return getattr(fn, "__module__", "") or "", getattr(fn, "__qualname__", "") or ""


def find(module: str, name: str) -> Any:
    """Return the function at this address; a job stands for its function."""
    found: Any = sys.modules.get(module) or importlib.import_module(module)
    for part in name.split("."):
        found = getattr(found, part)
    return getattr(found, "fn", found)


def check_importable(fn: Callable[..., Any], place: str) -> None:
    """Raise ``InvalidDefinition`` when a process of its own could not find ``fn``.

    At the time of the check the module has been imported, so its names are known.
    """
    module, name = address_of(fn)
    cure = "move it to the top of a module, under the name it is defined with"
    if not module or not name or "<" in name:
        raise InvalidDefinition(f"{place} runs with process=True and cannot be imported; {cure}")
    try:
        found = find(module, name)
    except (ImportError, AttributeError) as error:
        raise InvalidDefinition(
            f"{place} runs with process=True and is not found as {module}.{name}: {error}; {cure}"
        ) from error
    if found is not fn:
        raise InvalidDefinition(
            f"{place} runs with process=True, but {module}.{name} is {found!r}, not this "
            f"function; {cure}"
        )
