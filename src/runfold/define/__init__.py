"""How people say what they want: flows, queues, topics, and the values between them.

Importing registers nothing outside of the object that is decorated, and constructing does no
I/O. Annotations are resolved and checked when a flow is sealed, that is, when it is served.
"""

from runfold.define.context import AttemptEnded, Context, SyncContext
from runfold.define.discover import discover
from runfold.define.failure import Failure
from runfold.define.flow import Flow
from runfold.define.handler import Handler
from runfold.define.job import Job
from runfold.define.options import Retry
from runfold.define.queue import Queue
from runfold.define.subscriptions import after, all_of, any_of, collect, failed
from runfold.define.target import Sealed, Target
from runfold.define.topic import Topic
from runfold.define.values import Value, value_of

__all__ = [
    "Flow", "Queue", "Job", "Target", "Sealed", "Handler",
    "Topic", "any_of", "all_of", "collect", "after", "failed", "Failure", "Retry",
    "Context", "SyncContext", "AttemptEnded",
    "Value", "value_of", "discover",
]  # fmt: skip
