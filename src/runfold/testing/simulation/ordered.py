"""``asyncio.as_completed`` over bare coroutines, begun in the order in which they are given.

Python makes a set of them first and begins them in the order of that set: by their addresses,
another one in each process. A set of tasks or futures is no such case, since those of a simulated
loop hash by number; ``asyncio.wait`` refuses coroutines by itself.
"""

from __future__ import annotations

import asyncio
from types import CodeType, FunctionType
from typing import Any

from runfold.testing.simulation.loop import VirtualLoop

_FUNCTION: Any = asyncio.as_completed
_AS_IT_IS: Any = FunctionType(
    _FUNCTION.__code__, _FUNCTION.__globals__, _FUNCTION.__name__, _FUNCTION.__defaults__
)
_AS_IT_IS.__kwdefaults__ = _FUNCTION.__kwdefaults__


def begun_in_order(fs: Any, timeout: float | None) -> Any:
    """Return what ``asyncio.as_completed`` does; in a simulation of tasks in order."""
    loop = asyncio._get_running_loop()  # noqa: SLF001 - outside of loops it is None, no error
    if isinstance(loop, VirtualLoop) and not (asyncio.isfuture(fs) or asyncio.iscoroutine(fs)):
        given = dict.fromkeys(fs)
        fs = [loop.begun(one) if asyncio.iscoroutine(one) else one for one in given]
    return _AS_IT_IS(fs, timeout=timeout)


def _stands_for_it(fs: Any, *, timeout: Any = None) -> Any:
    # It runs with the globals of asyncio, so that whoever imported the function has it as well.
    from runfold.testing.simulation.ordered import begun_in_order

    return begun_in_order(fs, timeout)


REPLACED: tuple[Any, str, CodeType] = (_FUNCTION, "__code__", _stands_for_it.__code__)
"""What is to be set while simulations run: owner, name, value."""
