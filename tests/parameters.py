"""Names of parameters: the same in every process, so that tests can be shared out among them."""

from __future__ import annotations

import re

_ADDRESS = re.compile(r" at 0x[0-9a-f]+")


def shown(value: object) -> str:
    """Return what ``repr`` says of a value, without the addresses of objects."""
    return _ADDRESS.sub("", repr(value))
