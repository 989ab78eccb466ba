"""The two small samples: a flow of two steps, and one that fails as it should."""

from __future__ import annotations

from typing import Any

from runfold import Context, Flow, PermanentError, after

sample_flow = Flow("sample-flow")
failing_flow = Flow("sample-failing-flow")


@sample_flow.entry()
async def first(data: Any) -> str:
    """Greet."""
    return f"hello {data}"


@sample_flow.step(subscribes=after(first))
async def second(greeting: str) -> str:
    """Shout."""
    return greeting.upper()


@failing_flow.entry("before")
async def before(data: Any, ctx: Context) -> Any:
    """Work, and leave a trace that the failure behind it does not take away."""
    ctx.log.info("this step works")
    return data


@failing_flow.step("breaks", subscribes=after("before"))
async def breaks() -> None:
    """Fail for good: whatever attempts remain, nothing is tried again."""
    raise PermanentError("this step fails, and says so at once")
