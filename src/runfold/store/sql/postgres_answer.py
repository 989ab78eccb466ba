"""What ``runfold.commit`` answers, as ports: outcomes and leased jobs.

A batch that is sent again is answered from its row in ``batches``: what was refused stands
there, the place of everything else follows from the position of its first event.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from runfold.ports import Batch, Committed, Job, Outcome, Refusal, Served
from runfold.store.sql.postgres_arguments import PRIORITIES

_JOB = (
    "j_id", "j_stream", "j_run", "j_flow", "j_step", "j_activation", "j_attempt", "j_queue",
    "j_priority", "j_key", "j_inputs",
)  # fmt: skip


def committed(batch: Batch, row: Mapping[str, Any]) -> Committed:
    """Return the answer to a batch that was recorded now."""
    return Committed(
        _outcomes(batch, row) if batch.items else [],
        _jobs(row) if row["j_id"] else [],
        row["ts"],
        row["first_position"],
        served=_served(row) if batch.claims else (),
    )


def _served(row: Mapping[str, Any]) -> list[Served]:
    floors, told = row["s_floors"], list[Served]()
    for n, wait in enumerate(row["s_wait"]):
        is_member = wait is None or wait >= 0
        at = tuple(floors[n * PRIORITIES : (n + 1) * PRIORITIES])
        told.append(Served(at, wait if is_member else None, is_member))
    return told


def _outcomes(batch: Batch, row: Mapping[str, Any]) -> list[Outcome]:
    answered = zip(
        batch.items, row["refusals"], row["streams"], row["firsts"], row["bases"], strict=True
    )
    return [
        _refused(refusal, stream)
        if refusal
        else Outcome(None, stream, first, base + 1)
        if item.events
        else Outcome(None, stream)
        for item, refusal, stream, first, base in answered
    ]


def _refused(refusal: int, stream: int) -> Outcome:
    return Outcome(Refusal(refusal), stream if refusal == Refusal.EXISTS else 0)


def _jobs(row: Mapping[str, Any]) -> list[Job]:
    first, ts = row["j_first"], row["ts"]
    columns = zip(*(row[name] for name in _JOB), strict=True)
    versions = row["j_version"]
    return [Job(*(*job, first + n, versions[n], ts)) for n, job in enumerate(columns)]


def first_positions(batch: Batch, row: Mapping[str, Any]) -> list[int]:
    """Return where each item of a repeated batch began, 0 for one that recorded nothing."""
    refused = _refusals(row)
    position: int = row["first_position"]
    positions = []
    for n, item in enumerate(batch.items):
        count = 0 if n in refused else len(item.events)
        positions.append(position if count else 0)
        position += count
    return positions


def repeated(
    batch: Batch, row: Mapping[str, Any], places: Mapping[int, tuple[int, int]]
) -> Committed:
    """Return the answer to a batch that had been committed before.

    ``places`` has stream and version of the events at ``first_positions``.
    """
    refused = _refusals(row)
    outcomes = []
    for n, (item, position) in enumerate(
        zip(batch.items, first_positions(batch, row), strict=True)
    ):
        if n in refused:
            outcomes.append(_refused(*refused[n]))
        elif position:
            stream, version = places.get(position, (item.stream or position, 0))
            outcomes.append(Outcome(None, stream, position, version))
        else:
            outcomes.append(Outcome(None, item.stream))
    return Committed(outcomes, [], row["ts"], row["first_position"], repeated=True)


def _refusals(row: Mapping[str, Any]) -> dict[int, tuple[int, int]]:
    stored = json.loads(row["outcomes"] or "[]")
    return {item: (refusal, stream) for item, refusal, stream in stored}
