"""Runfold: an event-sourced queue and flow engine.

A flow run is a stream of events; its state is the fold of that stream, and nothing else.
"""

from runfold.app import Runfold
from runfold.client.capsule import Capsule
from runfold.client.run import Run
from runfold.define.context import Context, SyncContext
from runfold.define.failure import Failure
from runfold.define.flow import Flow
from runfold.define.job import Job
from runfold.define.options import Retry
from runfold.define.queue import Queue
from runfold.define.subscriptions import after, all_of, any_of, collect, failed
from runfold.define.topic import Topic
from runfold.errors import (
    InvalidDefinition,
    InvalidInput,
    InvalidSettings,
    KeyConflict,
    NameReused,
    PayloadTooLarge,
    PermanentError,
    RateLimited,
    RetryableError,
    RunCancelled,
    RunFailed,
    RunFinished,
    RunfoldError,
    RunNotFound,
    SchemaOutdated,
    StoreUnavailable,
    Unforkable,
    UnknownTarget,
    WaitTimeout,
)
from runfold.projections import Logged, Metric, Projection, Rows, Sample
from runfold.settings import Settings
from runfold.wire import LogEvent, RunState

__all__ = [
    "Capsule",
    "Context",
    "Failure",
    "Flow",
    "InvalidDefinition",
    "InvalidInput",
    "InvalidSettings",
    "Job",
    "KeyConflict",
    "LogEvent",
    "Logged",
    "Metric",
    "NameReused",
    "PayloadTooLarge",
    "PermanentError",
    "Projection",
    "Queue",
    "RateLimited",
    "Retry",
    "RetryableError",
    "Rows",
    "Run",
    "RunCancelled",
    "RunFailed",
    "RunFinished",
    "RunNotFound",
    "RunState",
    "Runfold",
    "RunfoldError",
    "Sample",
    "SchemaOutdated",
    "Settings",
    "StoreUnavailable",
    "SyncContext",
    "Topic",
    "Unforkable",
    "UnknownTarget",
    "WaitTimeout",
    "after",
    "all_of",
    "any_of",
    "collect",
    "failed",
]
