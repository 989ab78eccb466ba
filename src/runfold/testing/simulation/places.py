"""Where in a program's own code something is done."""

from __future__ import annotations

import os
import sysconfig
from pathlib import Path
from types import FrameType

_LIBRARY = tuple(os.path.normcase(sysconfig.get_path(name)) for name in ("stdlib", "platstdlib"))
_PACKAGES = tuple(os.path.normcase(sysconfig.get_path(name)) for name in ("purelib", "platlib"))
_OURS = os.path.normcase(str(Path(__file__).parents[2])) + os.sep
UNKNOWN = "an unknown place"
_FROZEN = "<frozen "
"""How files of the standard library are called that are built into Python."""


def place_of(frame: FrameType | None) -> str:
    """Return file and line of the call in ``frame``, in the caller's own code if there is any."""
    found = None
    while frame is not None:
        file = os.path.normcase(frame.f_code.co_filename)
        if not file.startswith((*_LIBRARY, _OURS, _FROZEN)) or file.startswith(_PACKAGES):
            place = f"{frame.f_code.co_filename}:{frame.f_lineno}"
            if not file.startswith(_PACKAGES):
                return place
            found = found or place
        frame = frame.f_back
    return found or UNKNOWN
