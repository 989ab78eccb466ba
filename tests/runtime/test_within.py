"""The end of an attempt in its handler's transaction: what an answer that was lost may mean."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from runfold.flow.events import Log
from runfold.kernel.event import Draft
from runfold.ports import Batch, Committed
from runfold.runtime.node import Node
from runfold.runtime.within import Undone, Within
from runtime.scene import Faulty, on_memory, start

END = [Draft(Log(level="info", message="the end"))]


class Lost:
    """A transaction whose commit is never answered; ``arrives``: it is made."""

    connection: Any = None

    def __init__(self, node: Node, *, arrives: bool) -> None:
        self._node, self._arrives = node, arrives

    async def begin(self) -> None:
        pass

    async def commit(self, batch: Batch) -> Committed:
        if self._arrives:
            item = replace(batch.items[0], lease=None, frees=False)
            await self._node.store.commit(replace(batch, items=[item]))
        message = "connection lost"
        raise ConnectionError(message)

    async def rollback(self) -> None:
        pass


async def ended(node: Node, *, arrives: bool) -> None:
    stream = await start(node)
    within = Within(node.appender, node.clock, node.ids.token, lambda: None)
    await within.record(Lost(node, arrives=arrives), END, stream=stream, lease=(1, 1))


@on_memory
async def test_it_was_made(node: Node, faults: Faulty) -> None:
    await ended(node, arrives=True)


@on_memory
async def test_it_was_not_made(node: Node, faults: Faulty) -> None:
    with pytest.raises(Undone, match="connection lost"):
        await ended(node, arrives=False)


def lose_answer(faults: Faulty) -> list[Batch]:
    """Lose the first answer to an empty batch; return those that come."""
    asked: list[Batch] = []

    async def lose(batch: Batch) -> None:
        if not batch.items:
            faults.lose_answers = int(not asked)
            asked.append(batch)

    faults.before = lose
    return asked


@on_memory
async def test_it_was_made_and_the_answer_to_the_question_is_lost_as_well(
    node: Node, faults: Faulty
) -> None:
    asked = lose_answer(faults)
    await ended(node, arrives=True)
    assert len(asked) == 2


@on_memory
async def test_it_was_not_made_and_the_answer_to_the_question_is_lost_as_well(
    node: Node, faults: Faulty
) -> None:
    asked = lose_answer(faults)
    with pytest.raises(Undone, match="connection lost"):
        await ended(node, arrives=False)
    assert len(asked) == 2  # The second says "repeated": the first question was recorded.
