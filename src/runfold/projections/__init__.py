"""Read models: pure functions from events to rows.

A projection is a row model, a key and handlers. What it keeps is a table of the model's
columns, which can be dropped and folded again from the log at any time: a handler gets rows
and one event, and knows no clock, no chance and no I/O.
"""

from runfold.projections.logged import Logged
from runfold.projections.metric import Metric, Sample, Series
from runfold.projections.projection import Projection
from runfold.projections.rows import Rows

__all__ = ["Logged", "Metric", "Projection", "Rows", "Sample", "Series"]
