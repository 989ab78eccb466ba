"""What waits for what, for somebody whose simulation cannot go on."""

from __future__ import annotations

from collections.abc import Iterator

from runfold.kernel.ids import text
from runfold.testing.simulation.calls import Spy
from runfold.testing.simulation.desk import Desk, at_once
from runfold.testing.simulation.loop import VirtualLoop
from runfold.testing.simulation.store import LogView

RUNS_MAX = 20
"""How many runs a report lists."""


def report(what: str, view: LogView, desk: Desk, spy: Spy, loop: VirtualLoop) -> str:
    """Return ``what`` happened, and below it what every open run waits for."""
    lines = [f"{what} after {loop.time():g} simulated seconds; what is open:"]
    lines += list(_runs(view, desk, spy)) or ["  no run"]
    return "\n".join(lines)


def _runs(view: LogView, desk: Desk, spy: Spy) -> Iterator[str]:
    log = view.log
    open_runs = [number for number, one in log.streams.items() if one.flow and not one.ended]
    for number in open_runs[:RUNS_MAX]:
        stream = log.streams[number]
        run = at_once(desk.engine.fold(number))
        yield f"  run {text(stream.id)} of {stream.flow!r} is {run.status!r}"
        for work in sorted(log.works[number]):
            if job := log.jobs.get(work):
                held = "waits in" if job.token is None else "runs, from"
                yield f"    step {job.row.step!r} {held} queue {job.row.queue!r}"
            if timer := log.timers.get(work):
                yield f"    step {timer.row.step or '(run)'!r}: {timer.row.kind} due {timer.due}"
        for call in spy.calls:
            if call.outcome == "running" and call.run_id == text(stream.id):
                yield (
                    f"    the handler of {call.step!r}, attempt {call.attempt}, has not returned "
                    f"since {call.at.isoformat()} on {call.worker}"
                )
    if len(open_runs) > RUNS_MAX:
        yield f"  and {len(open_runs) - RUNS_MAX} runs more"
