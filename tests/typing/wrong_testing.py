"""Tests of one's own handlers that are wrong; marked as in ``wrong.py``."""

from __future__ import annotations

from models import Note

from runfold import Context, SyncContext
from runfold.testing import context


async def read(note: Note, ctx: Context) -> int:
    return len(note.text)


def send(note: Note, ctx: SyncContext) -> int:
    return len(note.text)


async def of_contexts() -> None:
    await read(Note("x"), context(sync=True))  # wrong: a context of the other kind
    send(Note("x"), context())  # wrong: a context of the other kind
    context(deps=1).emit()  # wrong: an emit of nothing
    context(attempts=2)  # wrong: no such option
