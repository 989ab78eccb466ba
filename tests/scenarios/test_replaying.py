"""Recorded runs, in a log and in files, against flows that have changed."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

from runfold import Context, Flow, InvalidInput, Runfold
from runfold.testing import Diverges, Same, histories, replay
from scenarios.scene import chain, finished, scenario


class Order(BaseModel):
    number: int
    customer: str = ""


def ordering(*, strict: bool = False, more: bool = False) -> Flow[Any, Any]:
    """Return a flow, as it was, or as it is today."""
    flow: Flow[Any, Any] = Flow("ordering")

    class Strict(BaseModel):
        number: int
        address: str

    async def order(data: Any, ctx: Context) -> None:
        ctx.emit("ordered", data)

    async def ship(data: Any) -> str:
        return "shipped"

    async def bill(data: Any) -> str:
        return "billed"

    ship.__annotations__["data"] = Strict if strict else Order
    flow.entry(emits=["ordered"])(order)
    flow.step(subscribes="ordered")(ship)
    if more:
        flow.step(subscribes="ordered")(bill)
    return flow


@scenario
async def test_recorded_runs_against_other_code(url: str) -> None:
    store = Runfold(url, flows=[ordering(), chain()])
    async with store as rf:
        runs = [await finished(rf, "ordering", {"number": n}) for n in range(3)]
        await finished(rf, "chain", 1)
        same = await rf.runs.replay()
        assert (same.same, same.diverged, same.unknown) == (4, 0, 0)
        assert str(same) == "4 runs: 4 same, 0 diverge, 0 unknown"
        histories = [(await run.export()).history for run in runs]
    assert replay(histories[0], ordering()) == Same()
    verdict = replay(histories[0], ordering(strict=True))
    assert isinstance(verdict, Diverges)
    assert (verdict.type, verdict.step) == ("step.started", "ship")
    assert "address" in verdict.what


@scenario
async def test_a_report_groups_what_is_probably_one_change(shared_url: str, tmp_path: Path) -> None:
    async with Runfold(shared_url, flows=[ordering(), chain()]) as rf:
        runs = [await finished(rf, "ordering", {"number": n}) for n in range(3)]
        await finished(rf, "chain", 1)
    today = Runfold(shared_url, flows=[ordering(more=True)])
    async with today.connect() as rf:
        report = await rf.runs.replay()
        assert (report.same, report.diverged, report.unknown) == (0, 3, 1)
        (what, ones), (other, _) = report.groups()
        assert what == "ordering: flow.completed: today's code does not decide this"
        assert {one.run_id for one in ones} == {run.id for run in runs}
        assert other == "chain: unknown, no flow or job of this name is here"
        assert "### 3 x ordering: flow.completed" in report.markdown()
        assert report.json()["groups"][0]["count"] == 3
        late = datetime.now(UTC) + timedelta(days=1)
        assert len((await rf.runs.replay(since=late)).replayed) == 0
        assert len((await rf.runs.replay("ordering", until=late)).replayed) == 3


@scenario
async def test_files_are_cases(shared_url: str, tmp_path: Path) -> None:
    async with Runfold(shared_url, flows=[ordering()]) as rf:
        run = await finished(rf, "ordering", {"number": 7})
        (await run.export()).save(tmp_path / "seven.capsule")
    (case,) = histories(tmp_path)
    assert str(case) == "seven"
    assert replay(case, ordering()) == Same()
    report = Runfold(flows=[ordering(more=True)]).runs.replay_capsules({"seven": case.capsule})
    assert report.diverged == 1


@scenario
async def test_what_was_redacted_is_not_held_against_the_code(
    shared_url: str, tmp_path: Path
) -> None:
    async with Runfold(shared_url, flows=[ordering()]) as rf:
        run = await finished(rf, "ordering", {"number": 7})
        capsule = await run.export(redact=["input.number", "payload.number"])
    assert replay(capsule, ordering()) == Same()


def test_a_folder_without_histories_is_no_test(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match=r"there is no \*.capsule"):
        histories(tmp_path)
