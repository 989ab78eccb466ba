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

    __slots__ = ("depth", "ordinal", "past", "step", "up")

    def __init__(self, up: Link | None, past: Past, step: int, ordinal: int) -> None:
        self.up = up
        """The first of its causes, None behind the entry and behind a collect."""
        self.past = past
        """All of its causes."""
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


def in_causal_order(items: Iterable[tuple[Link, _T]]) -> list[_T]:
    """Return the items in order of their chains from the entry, then ordinals, then steps.

    What an activation gave comes before what it led to, so the turns of a loop are in order.
    O(n) over the items and their chains, apart from sorting siblings.
    """
    values: dict[int, list[_T]] = {}
    below: dict[int, list[Link]] = {}
    seen: set[int] = set()
    for item_link, value in items:
        values.setdefault(id(item_link), []).append(value)
        link: Link | None = item_link
        while link is not None and id(link) not in seen:
            seen.add(id(link))
            below.setdefault(id(link.up) if link.up is not None else 0, []).append(link)
            link = link.up
    ordered: list[_T] = []
    stack = _activations(below.get(0, []))
    while stack:
        links = stack.pop()
        for link in links:
            ordered.extend(values.get(id(link), ()))
        for link in reversed(links):
            stack.extend(_activations(below.get(id(link), [])))
    return ordered


def _activations(links: list[Link]) -> list[list[Link]]:
    """Return what one cause led to, by activation, as a stack: the first in order is on top."""
    by_step: dict[int, list[Link]] = {}
    for link in sorted(links, key=lambda link: link.ordinal):
        by_step.setdefault(link.step, []).append(link)
    return [by_step[step] for step in sorted(by_step, reverse=True)]
