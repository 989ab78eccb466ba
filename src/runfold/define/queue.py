"""Queues: where jobs wait for a worker, and the functions that are run from them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

from runfold.define.declared import Declared, checked_options, name_of
from runfold.define.decorators import MakesJob
from runfold.define.job import Job
from runfold.define.options import Options, QueueDefaults, Retry, retry_of, span_of
from runfold.define.signature import place_of, scope_of_caller
from runfold.define.target import Sealed
from runfold.errors import InvalidDefinition
from runfold.settings import Span

AnyJob = Job[Any, Any, ..., Any]


class Queue(QueueDefaults):
    """A named queue. Constructing it does nothing but remember what is said here.

    ``retry`` and ``timeout`` (seconds) hold for its jobs, and for steps that are given this
    object as ``queue=``, where they say nothing themselves.
    """

    def __init__(
        self, name: str, *, retry: Retry | int | None = None, timeout: Span | None = None
    ) -> None:
        super().__init__(
            name,
            retry=None if retry is None else retry_of(retry),
            timeout=span_of(timeout, "timeout"),
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
        process: bool = False,
    ) -> MakesJob:
        """Return a decorator that makes a function a job of this queue.

        ``name`` defaults to the function's. ``priority``: 1 to 10, 10 is served first; a
        start may say another. ``retry``, ``timeout`` (seconds): None takes the queue's.
        ``process``: run a ``def`` in a process of its own.
        """
        options: Options = {
            "queue": self, "retry": retry, "timeout": timeout, "process": process,
            # 5 is what a run has that says nothing, so that a start can say another.
            "priority": None if priority == 5 else priority,
        }  # fmt: skip
        scope = scope_of_caller(1)

        def make(fn: Callable[..., Any]) -> AnyJob:
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
