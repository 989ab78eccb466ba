"""Queues: where jobs wait for a worker, and the functions that are run from them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, cast

from runfold.define.classes import handler_of_class
from runfold.define.declared import Declared, checked_options, name_of
from runfold.define.decorators import MakesJob
from runfold.define.job import Job
from runfold.define.limits import AnyLimit, limits_of
from runfold.define.options import Options, QueueDefaults, Retry, keep_of, retry_of, span_of
from runfold.define.signature import place_of, scope_of_caller
from runfold.define.target import Sealed
from runfold.errors import InvalidDefinition
from runfold.settings import Span

AnyJob = Job[Any, Any, ..., Any]


class Queue(QueueDefaults):
    """A named queue. Constructing it does nothing but remember what is said here.

    ``concurrency``: how many of its jobs are leased at once, over all workers; the same as
    ``Concurrency(n)`` among ``limits``. ``limits``: what admits its jobs, all of them. Both hold
    for every step and job in the queue, also where it was named only, and from when this
    object is served (in ``Runfold(queues=)``, or as ``queue=`` of a step).

    ``retry`` and ``timeout`` (seconds) hold for its jobs, and for steps that are given this
    object as ``queue=``, where they say nothing themselves.

    ``keep``: seconds until the run of a job that completed leaves for the archive, 0: at once;
    ``keep_failed``: of one that failed or was cancelled. None, the default, keeps it in the log.
    Both hold for its jobs, not for steps of flows.
    """

    def __init__(
        self,
        name: str,
        *,
        concurrency: int | None = None,
        limits: Sequence[AnyLimit] | AnyLimit = (),
        retry: Retry | int | None = None,
        timeout: Span | None = None,
        keep: Span | None = None,
        keep_failed: Span | None = None,
    ) -> None:
        super().__init__(
            name,
            retry=None if retry is None else retry_of(retry),
            timeout=span_of(timeout, "timeout"),
            limits=limits_of(limits, concurrency),
            keep=keep_of(keep, "keep"),
            keep_failed=keep_of(keep_failed, "keep_failed"),
        )
        self.jobs: dict[str, AnyJob] = {}
        """Its jobs by full name, ``<queue>/<name>``."""
        self._is_sealed = False

    def __repr__(self) -> str:
        return f"Queue({self.name!r})"

    def job(
        self,
        name: str | None = None,
        *,
        priority: int = 5,
        retry: Retry | int | None = None,
        timeout: Span | None = None,
        limits: Sequence[AnyLimit] | AnyLimit = (),
        process: bool = False,
    ) -> MakesJob:
        """Return a decorator that makes a function, or a class with ``execute``, a job.

        ``name`` defaults to the function's. ``priority``: 1 to 10, 10 is served first; a
        start may say another. ``retry``, ``timeout`` (seconds): None takes the queue's.
        ``limits``: what admits this job, beside the limits of the queue. ``process``: run a
        ``def`` in a process of its own.

        A class is made without arguments, once in each process that executes the job, when it
        first does; ``execute`` takes what a function would, behind ``self``.
        """
        options: Options = {
            "queue": self, "retry": retry, "timeout": timeout, "process": process,
            "limits": limits,
            # 5 is what a run has that says nothing, so that a start can say another.
            "priority": None if priority == 5 else priority,
        }  # fmt: skip
        scope = scope_of_caller(1)

        def make(decorated: Callable[..., Any]) -> AnyJob:
            fn = handler_of_class(decorated) if isinstance(decorated, type) else decorated
            declared = Declared(
                fn=fn, name=name_of(name, fn), options=checked_options(options), scope=scope
            )
            job: AnyJob = Job(fn, declared)
            self._add(job)
            return job

        return cast("MakesJob", make)

    def seal(self) -> list[Sealed]:
        """Return all jobs, checked; a job added later is refused."""
        self._is_sealed = True
        return [job.seal() for job in self.jobs.values()]

    def _add(self, job: AnyJob) -> None:
        if self._is_sealed:
            raise InvalidDefinition(
                f"job {job.name!r} was added after its queue was served; import the module "
                f"of {place_of(job.fn)} before"
            )
        if job.name in self.jobs:
            raise InvalidDefinition(
                f"two jobs are called {job.name!r}: {place_of(self.jobs[job.name].fn)} and "
                f"{place_of(job.fn)}; give one another name"
            )
        self.jobs[job.name] = job
