"""The types of classes that are jobs: what their ``execute`` takes, and how it answers."""

from __future__ import annotations

from typing import Protocol, TypeVar

from runfold.define.context import Context, SyncContext

I_contra = TypeVar("I_contra", contravariant=True)
R_co = TypeVar("R_co", covariant=True)


class AsyncExecute(Protocol[I_contra, R_co]):
    """Awaited with input and context."""

    async def execute(self, input: I_contra, ctx: Context, /) -> R_co:
        """Do the job."""


class AsyncExecuteInput(Protocol[I_contra, R_co]):
    """Awaited with the input."""

    async def execute(self, input: I_contra, /) -> R_co:
        """Do the job."""


class AsyncExecuteBare(Protocol[R_co]):
    """Awaited with nothing."""

    async def execute(self) -> R_co:
        """Do the job."""


class Execute(Protocol[I_contra, R_co]):
    """Called with input and context."""

    def execute(self, input: I_contra, ctx: SyncContext, /) -> R_co:
        """Do the job."""


class ExecuteInput(Protocol[I_contra, R_co]):
    """Called with the input."""

    def execute(self, input: I_contra, /) -> R_co:
        """Do the job."""


class ExecuteBare(Protocol[R_co]):
    """Called with nothing."""

    def execute(self) -> R_co:
        """Do the job."""
