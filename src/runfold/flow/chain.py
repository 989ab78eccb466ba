"""Causal chains: what came before an emit because it caused it, and the order that follows.

Every emit of a run has a *link*. Links share their past, so a loop of 100,000 turns costs one
small object a turn. Two orders come out of them and neither knows of time: whether one emit
is in the past of another, and the order of ``collect``.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TypeVar

END_ORDINAL = 1 << 40
"""The ordinal of a completion or failure: behind every emit of its attempt."""


class Link:
    """One emit in causal chains: made by a step, at an ordinal, because of ``past``."""

    __slots__ = ("depth", "ordinal", "past", "step")

    def __init__(self, past: Past, step: int, ordinal: int) -> None:
        self.past = past
        """Its causes. All that one activation gave has the same object here."""
        self.step = step
        """The index of the step that made it."""
        self.ordinal = ordinal
        if past is None:
            self.depth = 0
        elif isinstance(past, Link):
            self.depth = past.depth + 1
        else:
            self.depth = max(link.depth for link in past) + 1 if past else 0


Past = Link | tuple[Link, ...] | None
_T = TypeVar("_T")


def is_past(earlier: Link, later: Link) -> bool:
    """Return whether ``earlier`` is one of the causes of ``later``, near or far.

    Looks only at links deeper than ``earlier``: next to nothing along a chain.
    """
    found: set[int] = set()
    stack = list(_causes(later))
    while stack:
        link = stack.pop()
        if link is earlier:
            return True
        if link.depth > earlier.depth and id(link) not in found:
            found.add(id(link))
            stack.extend(_causes(link))
    return False


def _causes(link: Link) -> Sequence[Link]:
    past = link.past
    if past is None:
        return ()
    return (past,) if isinstance(past, Link) else past


def in_causal_order(items: Sequence[tuple[Link, _T]]) -> list[_T]:
    """Return the items in order of their chains from the entry, then ordinals, then steps.

    An activation comes after all its causes, so the turns of a loop are in order; what it gave
    comes before what that led to. O(n) over the items and their past, apart from sorting
    siblings.
    """
    values: dict[int, list[_T]] = {}
    for link, value in items:
        values.setdefault(id(link), []).append(value)
    activations = _activations(link for link, _ in items)
    waiting: dict[int, list[_Given]] = {}
    for given in activations:
        for cause in given.causes:
            waiting.setdefault(id(cause), []).append(given)
    ordered: list[_T] = []
    stack: list[_Given | Link] = _sorted([given for given in activations if not given.causes])
    while stack:
        top = stack.pop()
        if isinstance(top, _Given):
            top.links.sort(key=lambda link: link.ordinal)
            for link in top.links:
                ordered.extend(values.get(id(link), ()))
            stack.extend(reversed(top.links))
        else:
            stack.extend(_sorted(_freed(waiting.get(id(top), ()))))
    return ordered


class _Given:
    """What one activation gave, as far as something in question came of it."""

    __slots__ = ("causes", "links", "open", "step")

    def __init__(self, link: Link) -> None:
        self.step = link.step
        self.links: list[Link] = []
        self.causes = list(dict.fromkeys(_causes(link)))
        self.open = len(self.causes)
        """How many of its causes have not come up yet."""


def _activations(links: Iterable[Link]) -> list[_Given]:
    """Return what gave ``links``, and everything in their past, by activation."""
    found: dict[tuple[int, int], _Given] = {}
    seen: set[int] = set()
    stack = list(links)
    while stack:
        link = stack.pop()
        if id(link) in seen:
            continue
        seen.add(id(link))
        place = (id(link.past), link.step)
        given = found.get(place)
        if given is None:
            given = found[place] = _Given(link)
            stack.extend(given.causes)
        given.links.append(link)
    return list(found.values())


def _freed(waiting: Iterable[_Given]) -> list[_Given]:
    """Return those for which the cause that has come up now was the last."""
    freed = []
    for given in waiting:
        given.open -= 1
        if not given.open:
            freed.append(given)
    return freed


def _sorted(activations: list[_Given]) -> list[_Given | Link]:
    """Return them as a stack: the first in order of steps is on top."""
    return sorted(activations, key=lambda given: given.step, reverse=True)
