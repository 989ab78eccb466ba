"""Subscriptions to the ends of other steps: their results, their failures."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any, TypeVar, overload

from runfold.define.failure import Failure
from runfold.define.sources import AnyOf
from runfold.define.topic import Item, Source

T = TypeVar("T")


@overload
def after(step: Callable[..., Coroutine[Any, Any, T]]) -> Source[T]: ...
@overload
def after(step: Callable[..., T]) -> Source[T]: ...
@overload
def after(step: str) -> Source[Any]: ...
def after(step: Callable[..., Any] | str) -> Source[Any]:
    """Return a subscription to the results of ``step`` (its function or name)."""
    return AnyOf((Item("after", step),))


@overload
def failed(step: Callable[[], Any]) -> Source[Failure[Any]]: ...
@overload
def failed(step: Callable[[T], Any]) -> Source[Failure[T]]: ...
@overload
def failed(step: Callable[[T, Any], Any]) -> Source[Failure[T]]: ...
@overload
def failed(step: str) -> Source[Failure[Any]]: ...
def failed(step: Callable[..., Any] | str) -> Source[Any]:
    """Return a subscription to the final failures of ``step`` (its function or name)."""
    return AnyOf((Item("failed", step),))
