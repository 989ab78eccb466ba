"""The figures: their units, and the first bar that each has to reach on each database."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from statistics import median

Bars = dict[str, float]


@dataclass(frozen=True)
class Figure:
    """What a number means. ``rising``: more is better."""

    unit: str
    rising: bool = True
    bars: Bars = field(default_factory=dict)

    def verdict(self, place: str, value: float) -> str:
        """Return whether ``value`` reaches the bar of that database, empty without one."""
        bar = self.bars.get(place)
        if bar is None:
            return ""
        met = value >= bar if self.rising else value <= bar
        return f"{'meets' if met else 'MISSES'} {bar:,g}"


def _everywhere(bar: float) -> Bars:
    return {"postgresql": bar, "sqlite-full": bar, "sqlite-normal": bar}


FIGURES: dict[str, Figure] = {
    "append": Figure(
        "events/s", bars={"postgresql": 15_000, "sqlite-full": 15_000, "sqlite-normal": 25_000}
    ),
    "fold": Figure("ms", rising=False),
    "decode and fold": Figure("ms", rising=False, bars=_everywhere(0.5)),
    "read, decode and fold": Figure("ms", rising=False, bars=_everywhere(1.0)),
    "dispatch": Figure("decisions/s"),
    "jobs: drain": Figure("jobs/s", bars={"postgresql": 5_000}),
    "jobs: drain, processor": Figure("us/job", rising=False),
    "jobs: drain, no projector": Figure("jobs/s", bars={"postgresql": 5_000}),
    "jobs: drain, resumed": Figure("jobs/s", bars={"postgresql": 5_000}),
    "jobs: start, 8 concurrent": Figure("starts/s", bars=_everywhere(3_000)),
    "jobs: start_many": Figure("starts/s", bars=_everywhere(15_000)),
    "flows": Figure("flows/s", bars={"postgresql": 800, "sqlite-full": 1_000}),
    "flows, no views": Figure("flows/s"),
    "flows, views live": Figure("flows/s", bars={"postgresql": 800, "sqlite-full": 1_000}),
    "append to visible, p50": Figure("ms", rising=False),
    "append to visible, p99": Figure("ms", rising=False, bars=_everywhere(50)),
    "rebuild": Figure("events/s", bars=_everywhere(30_000)),
    "rebuild, 4 processes": Figure("events/s", bars=_everywhere(60_000)),
    "verify": Figure("events/s"),
    "flows: processor": Figure("us/flow", rising=False),
    "submit to start, p50": Figure("ms", rising=False, bars={"postgresql": 4}),
    "submit to start, p99": Figure("ms", rising=False, bars={"postgresql": 12}),
    "idle flow, p50": Figure(
        "ms", rising=False, bars={"postgresql": 10, "sqlite-full": 6, "sqlite-normal": 3}
    ),
    "append to listener, p50": Figure("ms", rising=False),
    "append to listener, p99": Figure("ms", rising=False, bars=_everywhere(100)),
    "log bytes": Figure(
        "bytes/flow", rising=False,
        bars={"postgresql": 4_000, "sqlite-full": 2_500, "sqlite-normal": 2_500},
    ),
    "log and views, bytes": Figure("bytes/flow", rising=False, bars={"postgresql": 6_000}),
    "events": Figure("events/flow", rising=False),
    "limits: none": Figure("jobs/s"),
    "limits: at once, no key": Figure("jobs/s"),
    "limits: at once, 100 keys": Figure("jobs/s"),
    "limits: rate, no key": Figure("jobs/s"),
    "limits: rate, 100 keys": Figure("jobs/s"),
    "limits: one at once, a key each": Figure("jobs/s"),
    "history: append, few runs": Figure("ms", rising=False),
    "history: append, many runs": Figure("ms", rising=False),
    "history: submit to start, few runs": Figure("ms", rising=False),
    "history: submit to start, many runs": Figure("ms", rising=False),
    "history: drain, few runs": Figure("jobs/s"),
    "history: drain, many runs": Figure("jobs/s"),
    "snapshot: drain before": Figure("jobs/s"),
    "snapshot: drain under it": Figure("jobs/s"),
    "snapshot: of what it was": Figure("%", bars=_everywhere(75)),
    "snapshot: done in, p99": Figure("ms", rising=False),
    "idle: processor": Figure("ms/s", rising=False),
    "idle: questions": Figure("1/s", rising=False, bars={"postgresql": 2}),
    "idle: transactions": Figure("1/s", rising=False),
    "simulation": Figure("steps/s", bars={"memory": 5_000}),
    "simulation: with faults": Figure("steps/s"),
    "simulation: one run": Figure("ms", rising=False),
}  # fmt: skip


@dataclass(frozen=True)
class Result:
    """One figure on one database, measured several times."""

    benchmark: str
    place: str
    name: str
    values: Sequence[float]

    @property
    def median(self) -> float:
        return median(self.values)

    def json(self) -> dict[str, object]:
        """Return it for the report."""
        figure = figure_of(self.name)
        return {
            "benchmark": self.benchmark, "database": self.place, "figure": self.name,
            "unit": figure.unit, "median": self.median, "min": min(self.values),
            "max": max(self.values), "values": list(self.values),
            "bar": figure.bars.get(self.place),
        }  # fmt: skip


def percentile(values: Sequence[float], share: float) -> float:
    """Return the value below which ``share`` (0 to 1) of ``values`` lie."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


def figure_of(name: str) -> Figure:
    """Return what ``name`` measures: one of ``FIGURES``, or the time of a listing or a count."""
    if name.startswith(("list", "count")):
        return Figure("ms", rising=False)
    return FIGURES[name]
