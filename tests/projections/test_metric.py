"""Metrics: samples that add up exactly, in any order of batches."""

from __future__ import annotations

from typing import Any

import pytest

from projections.building import DONE, Table, emits, logged
from runfold import InvalidDefinition, LogEvent, Metric, Sample
from runfold.projections.fold import Poison, fold


def folded(metric: Metric, *pages: list[Any]) -> list[Any]:
    """The series of ``metric`` after these pages, from a table that is read anew each time."""
    table, projection = Table(), metric.projection
    for page in pages:
        table.fold(projection, projection.sheet(), page)
    return metric.series(projection.rows.thaw(values) for values in table.rows.values())


def test_a_histogram_counts_by_bucket() -> None:
    metric = Metric("lead_seconds", "histogram", buckets=(1, 2, 5))

    @metric.on("flow.completed")
    def observe(event: LogEvent) -> Sample:
        return Sample(event.data["duration"] / 1000)

    (series,) = folded(metric, logged(DONE), logged(DONE, start=2))
    assert (series.count, series.value, series.buckets) == (2, 4.0, [0, 2, 2, 2])


def test_a_counter_has_a_series_for_each_set_of_labels() -> None:
    metric = Metric("emits", "counter", labels=("name", "flow"))

    @metric.on("emit")
    def count(event: LogEvent) -> list[Sample]:
        return [Sample(1, {"flow": event.flow_name or "", "name": event.data["name"]})]

    found = folded(metric, emits("b", "a", "b"))
    assert [(one.labels, one.value) for one in found] == [
        ({"name": "a", "flow": "orders"}, 1.0),
        ({"name": "b", "flow": "orders"}, 2.0),
    ]


def test_a_gauge_keeps_the_last_sample_and_none_is_no_sample() -> None:
    metric = Metric("last_position", "gauge")

    @metric.on("emit")
    def last(event: LogEvent) -> Sample | None:
        return Sample(event.id) if event.data["name"] == "a" else None

    (series,) = folded(metric, emits("a", "a", "b"))
    assert (series.count, series.value) == (2, 2.0)


def test_sums_do_not_depend_on_the_batches() -> None:
    metric = Metric("tenths", "counter")

    @metric.on("emit")
    def tenth(event: LogEvent) -> Sample:
        return Sample(0.1)

    at_once = folded(metric, emits(*"abcdefghij"))
    one_by_one = folded(metric, *[emits("a", start=n) for n in range(1, 11)])
    assert at_once == one_by_one
    assert at_once[0].value == pytest.approx(1.0, rel=1e-15)


@pytest.mark.parametrize(
    ("sample", "complaint"),
    [
        (Sample(float("inf")), "expected a finite number"),
        (Sample(-1), "not below 0"),
        (Sample(1, {"who": "me"}), r"got labels \['who'\], expected \[\]"),
    ],
)
def test_a_sample_that_does_not_fit_is_a_poison(sample: Sample, complaint: str) -> None:
    metric = Metric("m", "counter")
    metric.on("emit")(lambda event: sample)
    with pytest.raises(Poison, match=complaint):
        fold(metric.projection, metric.projection.sheet(whole=True), emits("a"))


@pytest.mark.parametrize(
    ("name", "kind", "options", "complaint"),
    [
        ("Lead", "counter", {}, "a name has lower-case"),
        ("m", "timer", {}, "expected one of counter, gauge, histogram"),
        ("m", "histogram", {}, "a histogram has 1 to 50 finite bounds"),
        ("m", "histogram", {"buckets": (2, 1)}, "in rising order"),
        ("m", "counter", {"buckets": (1,)}, "other kinds none"),
        ("m", "counter", {"labels": ("a", "a")}, "each once"),
        ("m", "counter", {"labels": ("a b",)}, "labels are"),
    ],
)
def test_a_metric_that_cannot_work_is_refused(
    name: str, kind: str, options: dict[str, Any], complaint: str
) -> None:
    with pytest.raises(InvalidDefinition, match=complaint):
        Metric(name, kind, **options)
