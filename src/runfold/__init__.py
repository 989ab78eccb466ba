"""Runfold: an event-sourced queue and flow engine.

A flow run is a stream of events; its state is the fold of that stream, and nothing else.

Nothing is imported before it is asked for: a name costs what its module costs.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from runfold.app import Runfold as Runfold
    from runfold.client.capsule import Capsule as Capsule
    from runfold.client.run import Run as Run
    from runfold.define.context import Context as Context
    from runfold.define.context import SyncContext as SyncContext
    from runfold.define.failure import Failure as Failure
    from runfold.define.flow import Flow as Flow
    from runfold.define.job import Job as Job
    from runfold.define.limits import Concurrency as Concurrency
    from runfold.define.limits import MinDelay as MinDelay
    from runfold.define.limits import RateLimit as RateLimit
    from runfold.define.options import Retry as Retry
    from runfold.define.queue import Queue as Queue
    from runfold.define.subscriptions import after as after
    from runfold.define.subscriptions import all_of as all_of
    from runfold.define.subscriptions import any_of as any_of
    from runfold.define.subscriptions import collect as collect
    from runfold.define.subscriptions import failed as failed
    from runfold.define.topic import Topic as Topic
    from runfold.errors import InvalidDefinition as InvalidDefinition
    from runfold.errors import InvalidInput as InvalidInput
    from runfold.errors import InvalidSettings as InvalidSettings
    from runfold.errors import KeyConflict as KeyConflict
    from runfold.errors import NameReused as NameReused
    from runfold.errors import PayloadErased as PayloadErased
    from runfold.errors import PayloadTooLarge as PayloadTooLarge
    from runfold.errors import PermanentError as PermanentError
    from runfold.errors import RateLimited as RateLimited
    from runfold.errors import RetryableError as RetryableError
    from runfold.errors import RunCancelled as RunCancelled
    from runfold.errors import RunFailed as RunFailed
    from runfold.errors import RunFinished as RunFinished
    from runfold.errors import RunfoldError as RunfoldError
    from runfold.errors import RunNotFound as RunNotFound
    from runfold.errors import RunUnfinished as RunUnfinished
    from runfold.errors import SchemaOutdated as SchemaOutdated
    from runfold.errors import StoreUnavailable as StoreUnavailable
    from runfold.errors import Unforkable as Unforkable
    from runfold.errors import UnknownTarget as UnknownTarget
    from runfold.errors import ViewNotReady as ViewNotReady
    from runfold.errors import WaitTimeout as WaitTimeout
    from runfold.projections import Logged as Logged
    from runfold.projections import Metric as Metric
    from runfold.projections import Projection as Projection
    from runfold.projections import Rows as Rows
    from runfold.projections import Sample as Sample
    from runfold.settings import Settings as Settings
    from runfold.wire import LogEvent as LogEvent
    from runfold.wire import RunState as RunState

_HOMES = {
    "runfold.app": "Runfold",
    "runfold.client.capsule": "Capsule",
    "runfold.client.run": "Run",
    "runfold.define.context": "Context SyncContext",
    "runfold.define.failure": "Failure",
    "runfold.define.flow": "Flow",
    "runfold.define.job": "Job",
    "runfold.define.limits": "Concurrency MinDelay RateLimit",
    "runfold.define.options": "Retry",
    "runfold.define.queue": "Queue",
    "runfold.define.subscriptions": "after all_of any_of collect failed",
    "runfold.define.topic": "Topic",
    "runfold.errors": """
        InvalidDefinition InvalidInput InvalidSettings KeyConflict NameReused PayloadErased
        PayloadTooLarge PermanentError RateLimited RetryableError RunCancelled RunFailed
        RunFinished RunfoldError RunNotFound RunUnfinished SchemaOutdated StoreUnavailable
        Unforkable UnknownTarget ViewNotReady WaitTimeout
    """,
    "runfold.projections": "Logged Metric Projection Rows Sample",
    "runfold.settings": "Settings",
    "runfold.wire": "LogEvent RunState",
}
_HOME = {name: home for home, names in _HOMES.items() for name in names.split()}

__all__ = sorted(_HOME)  # noqa: PLE0605 - as the table says


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    found = globals()[name] = getattr(import_module(_HOME[name]), name)
    return found


def __dir__() -> list[str]:
    return [*globals(), *__all__]
