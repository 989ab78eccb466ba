"""Limits in memory: what holds, what is used of it, what is closed; and what admits a job."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import islice

from runfold.ports import Closure, Limit, Row
from runfold.store.buckets import MANY, NEVER, Verdict, limit_of, together

_ADMITS = Verdict(MANY)


@dataclass(slots=True)
class Limits:
    """The limits of one log and what is used of them."""

    known: dict[str, Limit] = field(default_factory=dict)
    scopes: dict[str, tuple[Limit, ...]] = field(default_factory=dict)
    holds: dict[str, set[int]] = field(default_factory=lambda: defaultdict(set))
    starts: dict[str, list[tuple[datetime, datetime]]] = field(default_factory=dict)
    """By bucket: when jobs were started, and until when that is remembered."""
    closures: dict[str, datetime] = field(default_factory=dict)

    def replace(
        self, scope: str, limits: Sequence[Limit], leased: Iterable[tuple[int, Row]]
    ) -> bool:
        """Let ``limits`` be those of ``scope``, counting what is ``leased``; False: they were."""
        wanted = tuple(sorted(limits))
        if wanted == self.scopes.get(scope, ()):
            return False
        for limit in self.scopes.pop(scope, ()):
            del self.known[limit.id]
        for bucket in [held for held in self.holds if held.startswith(f"{scope}#")]:
            del self.holds[bucket]
        self.known |= {limit.id: limit for limit in wanted}
        if wanted:
            self.scopes[scope] = wanted
        for job, row in leased:
            self._hold(job, [bucket for bucket in self._counting(row) if _in(scope, bucket)])
        return True

    def close(self, closure: Closure) -> None:
        """Close or open what ``closure`` names."""
        if closure.until is None:
            self.closures.pop(closure.bucket, None)
        else:
            self.closures[closure.bucket] = closure.until

    def forget_closures(self, ts: datetime) -> None:
        """Forget the closures that are over."""
        for bucket in [bucket for bucket, until in self.closures.items() if until <= ts]:
            del self.closures[bucket]

    def hold_off(self, row: Row, until: datetime) -> None:
        """Close what admitted ``row``; what is closed for longer stays so."""
        for bucket in (*row.limits, *(limit.id for limit in self.whole(row.queue))):
            self.closures[bucket] = max(until, self.closures.get(bucket, until))

    def whole(self, queue: str) -> list[Limit]:
        """Return the limits that are asked once for all of ``queue``."""
        return [limit for limit in self.scopes.get(f"queue:{queue}", ()) if not limit.keyed]

    def verdict(self, bucket: str, ts: datetime) -> Verdict:
        """Return what ``bucket`` admits at ``ts``."""
        until = self.closures.get(bucket)
        if until is not None and until > ts:
            return Verdict(0, until if until < NEVER else None)
        limit = self.known.get(limit_of(bucket))
        if limit is None:
            return _ADMITS
        if limit.per is None:
            return Verdict(max(0, limit.max - len(self.holds.get(bucket, ()))))
        per = timedelta(seconds=limit.per)
        counted = [at for at, _ in self.starts.get(bucket, ()) if at > ts - per]
        if len(counted) < limit.max:
            return Verdict(limit.max - len(counted))
        return Verdict(0, counted[len(counted) - limit.max] + per)

    def verdict_on(self, queue: str, ts: datetime) -> Verdict:
        """Return what ``queue`` as a whole admits."""
        if not (self.known or self.closures):
            return _ADMITS
        verdicts = [self.verdict(f"queue:{queue}", ts)]
        verdicts += [self.verdict(limit.id, ts) for limit in self.whole(queue)]
        return together(verdicts)

    def start(self, job: int, row: Row, ts: datetime) -> None:
        """Count a job that is leased at ``ts``."""
        if not self.known:
            return
        counting = self._counting(row)
        self._hold(job, counting)
        for bucket in counting:
            per = self.known[limit_of(bucket)].per
            if per is not None:
                # Moved to the end, so that those unused for longest are at the beginning.
                start = ts, ts + timedelta(seconds=per)
                self.starts[bucket] = [*self.starts.pop(bucket, ()), start]
                for oldest in list(islice(self.starts, 2)):
                    self._forget_starts(oldest, ts)

    def hold(self, job: int, row: Row) -> None:
        """Count a job that is leased, and was started at some time."""
        self._hold(job, self._counting(row))

    def free(self, job: int, row: Row) -> None:
        """Count a job no more."""
        if not self.known:
            return
        for bucket in self._counting(row):
            held = self.holds.get(bucket, set())
            held.discard(job)
            if not held:
                self.holds.pop(bucket, None)

    def _hold(self, job: int, buckets: Iterable[str]) -> None:
        for bucket in buckets:
            if self.known[limit_of(bucket)].per is None:
                self.holds[bucket].add(job)

    def _forget_starts(self, bucket: str, ts: datetime) -> None:
        """Forget the starts of ``bucket`` that are out of their window."""
        self.starts[bucket] = [start for start in self.starts[bucket] if start[1] > ts]
        if not self.starts[bucket]:
            del self.starts[bucket]

    def _counting(self, row: Row) -> list[str]:
        """Return the buckets of limits that count ``row``."""
        if not self.known:
            return []
        buckets = (*row.limits, *(limit.id for limit in self.whole(row.queue)))
        return [bucket for bucket in buckets if limit_of(bucket) in self.known]


def _in(scope: str, bucket: str) -> bool:
    return bucket.startswith(f"{scope}#")
