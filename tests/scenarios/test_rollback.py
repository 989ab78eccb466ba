"""Rows that were live before are put back: after a rebuild, and after a version that was wrong."""

from __future__ import annotations

import pytest

from runfold import Runfold, ViewNotReady
from runfold.runtime import ownership
from scenarios.scene import scenario
from scenarios.test_views import orders, sell, sold


async def _builds(rf: Runfold) -> list[tuple[int, int, str]]:
    return [(one.version, one.build, one.state) for one in await rf.projections.status()
            if one.name == "orders"]  # fmt: skip


async def _amounts(rf: Runfold) -> list[int]:
    return sorted([row.amount for row in (await rf.view("orders").list()).items])


@scenario
async def test_what_was_live_before_a_rebuild_is_put_back_up_to_date(url: str) -> None:
    async with Runfold(url, flows=[sell()], projections=[orders()]) as rf:
        await sold(rf, 1, 2)
        with pytest.raises(ViewNotReady, match="no build of version 1 of 'orders' is kept"):
            await rf.projections.rollback("orders")
        await rf.run_until_idle()
        await rf.projections.rebuild("orders")
        await sold(rf, 3)
        await rf.projections.rollback("orders")
        assert await _builds(rf) == [(1, 1, "live"), (1, 2, "old")]
        position = await sold(rf, 4)
        await rf.projections.wait("orders", position)
        assert await _amounts(rf) == [1, 2, 3, 4]
        assert (await rf.projections.verify("orders")).is_equal
        await rf.projections.rollback("orders")
        assert await _builds(rf) == [(1, 1, "old"), (1, 2, "live")]
        assert await _amounts(rf) == [1, 2, 3, 4]
        (kept,) = [one.kept_for for one in await rf.projections.status() if one.state == "old"]
        assert kept is not None
        assert 0 < kept <= ownership.KEPT_FOR


@scenario
async def test_an_older_version_is_put_back_beside_processes_of_the_newer(shared_url: str) -> None:
    older = Runfold(shared_url, flows=[sell()], projections=[orders()])
    newer = Runfold(shared_url, projections=[orders(version=2)])
    async with older:
        await sold(older, 1)
        await older.run_until_idle()
        async with newer.serve({"projector"}):
            await newer.projections.wait("orders", await newer.log.head())
            while (2, 1, "live") not in await _builds(newer):
                await newer.projections.wait("runs", await sold(older, 2))
            await older.projections.rollback("orders")
            position = await sold(older, 3)
            await older.projections.wait("orders", position)
            assert await _builds(older) == [(1, 1, "live"), (2, 1, "old")]
            assert {1, 3} <= {*await _amounts(older)}
            newer._node.projector.look_again()  # type: ignore[union-attr]
            await newer.projections.wait("runs", position)
            assert await _builds(newer) == [(1, 1, "live"), (2, 1, "old")]
            await newer.projections.rebuild("orders")
            assert (2, 2, "live") in await _builds(newer)
            assert await _amounts(newer) == await _amounts(older)


@scenario
async def test_an_old_build_is_dropped_when_its_time_is_over(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with Runfold(url, flows=[sell()], projections=[orders()]) as rf:
        await sold(rf, 1)
        await rf.run_until_idle()
        await rf.projections.rebuild("orders")
        assert await _builds(rf) == [(1, 1, "old"), (1, 2, "live")]
        monkeypatch.setattr(ownership, "KEPT_FOR", -1.0)
        rf._node.projector.look_again()  # type: ignore[union-attr]
        await rf.projections.wait("orders", await sold(rf, 2))
        assert await _builds(rf) == [(1, 2, "live")]
