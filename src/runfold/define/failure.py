"""What ``failed(step)`` gives its subscriber."""

from __future__ import annotations

from typing import Generic, TypeVar

from pydantic import BaseModel, ConfigDict

from runfold.flow.events import ErrorInfo

T_co = TypeVar("T_co", covariant=True)


class Failure(BaseModel, Generic[T_co]):
    """An activation that failed for good: which step, its input, its last error."""

    model_config = ConfigDict(frozen=True)

    step: str
    input: T_co
    error: ErrorInfo
    attempts: int
    """How many attempts were made."""
