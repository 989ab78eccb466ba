"""Folding a page of events into the rows of one projection.

Nothing waits here: when handlers need rows that are not in memory, the page is looked
through to its end for all the keys that it needs, and folded on from the same event once
they are there. An event that a handler cannot fold is a poison: what is before it counts,
nothing of it does.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from runfold.projections.logged import Logged
from runfold.projections.projection import Projection
from runfold.projections.rows import Missing, Sheet


class Poison(Exception):
    """A handler raised; the projection stays before this event."""

    def __init__(self, projection: Projection[Any], logged: Logged[Any], error: Exception) -> None:
        self.position, self.type = logged.recorded.position, logged.topic
        self.error = error
        super().__init__(
            f"projection {projection.name!r} cannot fold event {self.position} ({self.type}): "
            f"{type(error).__name__}: {error}"
        )


def fold(
    projection: Projection[Any], sheet: Sheet[Any], page: Sequence[Logged[Any]], start: int = 0
) -> int:
    """Fold ``page[start:]``; return how much of the page is folded.

    Less than its length: ``sheet.missing`` are the keys to fetch before going on from there.
    Raises ``Poison``; everything before that event is folded.
    """
    if not sheet.is_careful:
        return _fold_in_place(projection, sheet, page, start)
    handlers = projection.handlers
    for place in range(start, len(page)):
        logged = page[place]
        wanted = handlers.get(logged.topic)
        if wanted is None:
            continue
        try:
            _handle(wanted, sheet, logged)
        except Missing:
            sheet.undo()
            _look_ahead(projection, sheet, page, place + 1)
            return place
        except Exception as error:
            sheet.undo()
            raise Poison(projection, logged, error) from error
        sheet.keep()
    return len(page)


def _fold_in_place(
    projection: Projection[Any], sheet: Sheet[Any], page: Sequence[Logged[Any]], start: int
) -> int:
    """Fold with the one handler that each type of event has, and undo nothing."""
    handlers, place = projection.handlers, start
    try:
        for place in range(start, len(page)):
            logged = page[place]
            wanted = handlers.get(logged.topic)
            if wanted is not None:
                wanted[0].fn(sheet, logged)
    except Missing:
        _look_ahead(projection, sheet.ahead(), page, place + 1)
        return place
    except Exception as error:
        raise Poison(projection, page[place], error) from error
    return len(page)


def _look_ahead(
    projection: Projection[Any], sheet: Sheet[Any], page: Sequence[Logged[Any]], start: int
) -> None:
    """Note the keys that the rest of the page asks for, as far as that shows already.

    What its handlers do meanwhile stands until the end, so that a row which one event makes is
    not asked for by the next; then all of it is undone.
    """
    for place in range(start, len(page)):
        wanted = projection.handlers.get(page[place].topic)
        if wanted is None:
            continue
        mark = sheet.mark
        try:
            _handle(wanted, sheet, page[place])
        except (Missing, Exception):
            # What fails for want of a row before it may be well when it is its turn.
            sheet.undo(mark)
    sheet.undo()


def _handle(wanted: Sequence[Any], sheet: Sheet[Any], logged: Logged[Any]) -> None:
    for handler, flows, is_typed in wanted:
        if flows is None or logged.flow in flows:
            handler(sheet, logged if is_typed else logged.shown())
