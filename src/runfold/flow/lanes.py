"""Dominators: the outlets through which every path from the entry to an outlet passes.

A join pairs within the instances of the nearest outlet that lies on every path to all of its
sources. Sets of outlets are bit masks; the entry is on every path and has no bit.
Source: Allen and Cocke, "Graph-theoretic constructs for program control flow analysis" (1972).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

ROOT = -1
"""The entry: where every path begins."""


def paths(edges: Mapping[int, Iterable[int]], count: int) -> list[int]:
    """Return for each of ``count`` outlets the mask of those on every path to it, itself too.

    An outlet that no path reaches is dominated by itself alone.
    """
    before: list[set[int]] = [set() for _ in range(count)]
    for source, targets in edges.items():
        for target in targets:
            before[target].add(source)
    everything = (1 << count) - 1
    masks = [everything] * count
    changed = True
    while changed:
        changed = False
        for outlet in range(count):
            mask = everything
            for source in before[outlet]:
                mask &= 0 if source == ROOT else masks[source]
            mask |= 1 << outlet
            if mask != masks[outlet]:
                masks[outlet] = mask
                changed = True
    unreached = [outlet for outlet in range(count) if not _reaches(outlet, before)]
    for outlet in unreached:
        masks[outlet] = 1 << outlet
    return masks


def _reaches(outlet: int, before: list[set[int]]) -> bool:
    """Return whether some path from the entry comes to ``outlet``."""
    seen, stack = {outlet}, [outlet]
    while stack:
        for source in before[stack.pop()]:
            if source == ROOT:
                return True
            if source not in seen:
                seen.add(source)
                stack.append(source)
    return False


def nearest_common(masks: list[int], sources: Iterable[int]) -> int | None:
    """Return the nearest outlet on every path to each of ``sources``; None: only the entry."""
    shared = -1
    for source in sources:
        shared &= masks[source]
    found, rank = None, 0
    if shared < 0:
        return None
    for outlet, mask in enumerate(masks):
        # Of outlets on one path, the nearest has the most others before it.
        if shared >> outlet & 1 and mask.bit_count() > rank:
            found, rank = outlet, mask.bit_count()
    return found
