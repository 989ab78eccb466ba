"""What the runs of a flow did, ever and lately, out of a view."""

from __future__ import annotations

import pytest

from runfold import Flow, InvalidInput, PermanentError, Runfold, ViewNotReady
from scenarios.scene import scenario

flow: Flow[int, str] = Flow("counted", input=int)


@flow.entry(retry=1)
async def work(n: int) -> str:
    if n == 0:
        message = "no"
        raise PermanentError(message)
    return "yes"


@scenario
async def test_counts_and_percentiles(url: str) -> None:
    async with Runfold(url, flows=[flow]) as rf:
        await rf.run_until_idle()
        before = await rf.flows.stats(flow)
        assert (before.started, before.open, before.lately.p50) == (0, 0, None)
        await rf.start_many(flow, [1, 1, 1, 0])
        later = await rf.start(flow, 1, delay=3600)
        gone = await rf.start(flow, 1, delay=3600)
        await gone.cancel()
        await rf.run_until_idle()
        stats = await rf.flows.stats("counted", minutes=5)
        assert (stats.started, stats.completed, stats.failed, stats.cancelled) == (6, 3, 1, 1)
        assert stats.open == 1
        assert stats.lately.completed == 3
        assert stats.lately.p50 is not None
        assert stats.lately.p99 is not None
        assert stats.lately.p50 <= stats.lately.p99
        assert await later.status() == "scheduled"
        for minutes in (0, 10_081, 1.5, True):
            with pytest.raises(InvalidInput, match="expected 1 to"):
                await rf.flows.stats(flow, minutes=minutes)  # type: ignore[arg-type]


@scenario
async def test_nobody_keeps_views(url: str) -> None:
    async with Runfold(url, flows=[flow], namespace="unseen").connect() as rf:
        with pytest.raises(ViewNotReady, match="projector"):
            await rf.flows.stats(flow)


def test_the_blocking_faces(tmp_path_factory: pytest.TempPathFactory) -> None:
    file = tmp_path_factory.mktemp("stats") / "runfold.db"
    with Runfold(f"sqlite:///{file}", flows=[flow]).sync as rf:
        rf.start(flow, 1).result(timeout=10)
        rf.run_until_idle()
        assert rf.flows.stats(flow).completed == 1
        assert rf.runs.replay(flow).same == 1
        assert rf.view("flow_rates").count(flow="counted") == 2
        assert [row.flow for row in rf.view("definitions").list().items] == ["counted"]
        assert rf.view("runs").get("", 1) is None
        assert {one.state for one in rf.projections.status()} == {"live"}
        rf.projections.rebuild("steps")
        assert rf.projections.verify("steps").is_equal
        assert not rf.projections.resume("steps")
