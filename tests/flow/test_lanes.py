"""Dominators of small graphs: which outlets lie on every path from the entry to an outlet."""

from __future__ import annotations

import pytest

from runfold.flow.lanes import ROOT, nearest_common, paths


@pytest.mark.parametrize(
    ("edges", "masks"),
    [
        ({ROOT: [0], 0: [1], 1: [2]}, [0b001, 0b011, 0b111]),
        ({ROOT: [2], 2: [1], 1: [0]}, [0b111, 0b110, 0b100]),
        ({ROOT: [0], 0: [1, 2], 1: [3], 2: [3]}, [0b0001, 0b0011, 0b0101, 0b1001]),
        ({ROOT: [0, 1], 0: [2], 1: [2]}, [0b001, 0b010, 0b100]),
        ({ROOT: [0], 0: [1], 1: [0, 2]}, [0b001, 0b011, 0b111]),
        ({ROOT: [0], 1: [2], 2: [1, 3]}, [0b0001, 0b0010, 0b0100, 0b1000]),
        ({}, [0b01, 0b10]),
    ],
    ids=["chain", "numbered backwards", "diamond", "two ways", "loop", "unreached", "no path"],
)
def test_what_lies_on_every_path(edges: dict[int, list[int]], masks: list[int]) -> None:
    assert paths(edges, len(masks)) == masks


def test_the_nearest_that_all_have_in_common() -> None:
    masks = paths({ROOT: [0], 0: [1], 1: [2, 3], 2: [4]}, 5)
    assert nearest_common(masks, [4, 3]) == 1
    assert nearest_common(masks, [4, 2]) == 2
    assert nearest_common(masks, [0, 4]) == 0
    assert nearest_common(masks, [4]) == 4
    assert nearest_common(masks, []) is None
    assert nearest_common(paths({ROOT: [0, 1]}, 2), [0, 1]) is None
