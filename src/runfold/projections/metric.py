"""A metric: samples of events, folded from position 1 into rows that can be added up.

Sums are exact: each sample is kept as a whole number of 2**-64, so they do not depend on the
order or the batches in which samples were added.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from runfold.errors import InvalidDefinition
from runfold.projections.projection import Projection, check_handler, flows_of, topics_of
from runfold.projections.rows import Rows

KINDS = ("counter", "gauge", "histogram")
BUCKETS_MAX = 50
LABELS_MAX = 10
_NAME = re.compile(r"[a-z_][a-z0-9_]{0,32}")
_LABEL = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]{0,62}")
_UNIT = 1 << 64


class Sample(NamedTuple):
    """One observation; ``labels`` has a value for each label of the metric."""

    value: float
    labels: Mapping[str, str] = {}


@dataclass(frozen=True, slots=True)
class Series:
    """What a metric has for one set of labels."""

    labels: dict[str, str]
    count: int
    """How many samples."""
    value: float
    """The sum of the samples; of a gauge the last one."""
    buckets: list[int]
    """Of a histogram: samples up to each bound, cumulative; the last entry is all of them."""


@dataclass(slots=True)
class Tally:
    """The row of one set of labels."""

    labels: str
    count: int
    total: str
    buckets: list[int] = field(default_factory=list)


class Metric:
    """A number that is folded from events and survives everything that the log survives.

    ``name``: lower-case letters, digits and ``_``, at most 33, as Prometheus shows it. ``kind``:
    a ``counter`` adds samples up, none below 0; a ``gauge`` keeps the last one; a ``histogram``
    counts them by ``buckets``, upper bounds in rising order. ``labels``: names of labels; each
    set of values is a series. ``help``: one line for readers. ``version``: raise it when the
    handlers change; the series are folded anew. Raises ``InvalidDefinition``.
    """

    def __init__(
        self,
        name: str,
        kind: str,
        *,
        buckets: Sequence[float] = (),
        labels: Sequence[str] = (),
        help: str = "",  # noqa: A002 - the word of everybody who exports metrics
        version: int = 1,
    ) -> None:
        self.name, self.kind, self.help = name, kind, help
        self.buckets, self.labels = tuple(buckets), tuple(labels)
        self._place = f"metric {name!r}"
        self._check()
        self.projection = Projection(f"metric_{name}", Tally, key="labels", version=version)
        """The projection that keeps it."""

    def __repr__(self) -> str:
        return f"Metric({self.name!r}, {self.kind!r})"

    def on(self, *types: Any, flow: Any = None) -> Callable[[Any], Any]:
        """Take what the function returns for events of these types: samples, or None.

        As ``Projection.on``, without rows: it returns a ``Sample``, a list of them or None.
        """
        topics_of(self._place, types)
        flows_of(self._place, flow)
        register: Callable[[Any], Any] = self.projection.on(*types, flow=flow)

        def add(fn: Callable[[Any], Any]) -> Any:
            check_handler(self._place, fn, 1)

            def observe(rows: Rows[Tally], event: Any) -> None:
                found = fn(event)
                for sample in (found,) if isinstance(found, Sample) else found or ():
                    self._add(rows, sample)

            register(observe)
            return fn

        return add

    def series(self, rows: Iterable[Tally]) -> list[Series]:
        """Return what the rows say, sorted by labels."""
        found = [
            Series(
                dict(zip(self.labels, json.loads(row.labels), strict=True)),
                row.count,
                int(row.total) / _UNIT,
                _cumulative(row.buckets),
            )
            for row in rows
        ]
        return sorted(found, key=lambda one: tuple(one.labels.values()))

    def _add(self, rows: Rows[Tally], sample: Sample) -> None:
        value = float(sample.value)
        if not math.isfinite(value) or (value < 0 and self.kind == "counter"):
            bound = ", not below 0" if self.kind == "counter" else ""
            raise ValueError(f"{self._place} got {value!r}, expected a finite number{bound}")
        if set(sample.labels) != set(self.labels):
            raise ValueError(
                f"{self._place} got labels {sorted(sample.labels)}, expected {sorted(self.labels)}"
            )
        labels = json.dumps([str(sample.labels[name]) for name in self.labels])
        tally = rows.get(labels) or Tally(labels, 0, "0", [0] * self._places)
        before = 0 if self.kind == "gauge" else int(tally.total)
        tally.count += 1
        tally.total = str(before + _units(value))
        if self.kind == "histogram":
            tally.buckets[sum(bound < value for bound in self.buckets)] += 1
        rows.put(tally)

    @property
    def _places(self) -> int:
        return len(self.buckets) + 1 if self.kind == "histogram" else 0

    def _check(self) -> None:
        if not _NAME.fullmatch(str(self.name)):
            raise InvalidDefinition(
                f"{self._place}: a name has lower-case letters, digits and '_', at most 33"
            )
        if self.kind not in KINDS:
            raise InvalidDefinition(
                f"{self._place} is a {self.kind!r}, expected one of {', '.join(KINDS)}"
            )
        rising = all(math.isfinite(bound) for bound in self.buckets) and all(
            low < high for low, high in zip(self.buckets, self.buckets[1:], strict=False)
        )
        wanted = range(1, BUCKETS_MAX + 1) if self.kind == "histogram" else range(1)
        if not rising or len(self.buckets) not in wanted:
            raise InvalidDefinition(
                f"{self._place}: buckets are {self.buckets!r}; a histogram has 1 to "
                f"{BUCKETS_MAX} finite bounds in rising order, other kinds none"
            )
        fits = all(_LABEL.fullmatch(str(one)) for one in self.labels)
        if not fits or len(set(self.labels)) < len(self.labels) or len(self.labels) > LABELS_MAX:
            raise InvalidDefinition(
                f"{self._place}: labels are {self.labels!r}, expected at most {LABELS_MAX} names, "
                "each once"
            )


def _units(value: float) -> int:
    above, below = value.as_integer_ratio()
    return (above * _UNIT) // below


def _cumulative(counts: Sequence[int]) -> list[int]:
    total, sums = 0, []
    for count in counts:
        total += count
        sums.append(total)
    return sums
