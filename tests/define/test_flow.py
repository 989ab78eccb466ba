"""What a flow becomes when it is served."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from define.flows import Prepared, Processed, Raw, Report, noted, prepared
from runfold.define import (
    Context,
    Failure,
    Flow,
    Queue,
    Retry,
    SyncContext,
    Topic,
    after,
    all_of,
    any_of,
    collect,
    failed,
)
from runfold.errors import InvalidDefinition
from runfold.flow.definition import (
    FlowDefinition,
    Part,
    RetryPolicy,
    Source,
    StepDefinition,
    Subscription,
)


def my_flow() -> Flow[Raw, Report]:
    flow = Flow("my-flow", input=Raw, result=Report)

    @flow.entry(emits=[prepared])
    async def start(data: Raw, ctx: Context) -> None: ...

    @flow.step(subscribes=prepared, queue="cpu", retry=5, timeout=30)
    def process(data: Prepared, ctx: SyncContext) -> Processed:
        return Processed(total=data.count)

    @flow.step(subscribes=after(process), returns=True)
    async def finish(data: Processed) -> Report:
        return Report(text=str(data.total))

    return flow


def step(definition: FlowDefinition | None, name: str) -> StepDefinition:
    assert definition is not None
    return definition.by_name[name]


def test_a_flow_is_pure_data_and_handlers() -> None:
    sealed = my_flow().seal()
    assert sealed.definition == FlowDefinition(
        name="my-flow",
        steps=(
            StepDefinition(name="start", emits=("data.prepared",)),
            StepDefinition(
                name="process",
                subscription=Subscription(
                    kind="each",
                    parts=(
                        Part(
                            label="data.prepared",
                            sources=(Source(kind="emit", name="data.prepared"),),
                        ),
                    ),
                ),
                queue="cpu",
                retry=RetryPolicy(max_attempts=5),
                timeout=30,
            ),
            StepDefinition(
                name="finish",
                subscription=Subscription(
                    kind="each",
                    parts=(Part(label="process", sources=(Source(kind="after", name="process"),)),),
                ),
                returns=True,
            ),
        ),
    )
    found = {
        name: (one.kind, one.takes, one.input.annotation, one.result.annotation, list(one.topics))
        for name, one in sealed.handlers.items()
    }
    assert found == {
        "start": ("async", 2, Raw, type(None), ["data.prepared"]),
        "process": ("thread", 2, Prepared, Processed, []),
        "finish": ("async", 1, Processed, Report, []),
    }
    assert (sealed.input.annotation, sealed.result.annotation) == (Raw, Report)
    assert sealed.handlers["process"].timeout == 30


def test_the_same_flow_written_twice_has_one_hash() -> None:
    first, second = my_flow().seal().definition, my_flow().seal().definition
    assert first is not None
    assert second is not None
    assert first.hash == second.hash


def test_a_decorator_gives_the_function_back() -> None:
    def handle(data: Prepared) -> int:
        return data.count

    flow, other = Flow("a"), Flow("b")
    assert other.entry()(flow.entry("first")(handle)) is handle
    assert list(flow.seal().handlers) == ["first"]
    assert list(other.seal().handlers) == ["handle"]


def test_a_step_added_after_it_was_served_is_refused() -> None:
    flow = my_flow()
    flow.seal()
    with pytest.raises(InvalidDefinition, match=r"'late'.*after it was served"):
        flow.step("late", subscribes="x")(lambda: None)
    assert len(flow.seal().handlers) == 3


def test_a_flow_without_steps_has_types_only() -> None:
    sealed = Flow("client", input=Raw, result=Report).seal()
    assert sealed.definition is None
    assert (sealed.input.annotation, sealed.result.annotation) == (Raw, Report)


def test_without_input_a_start_is_checked_against_the_entry() -> None:
    flow = Flow("f")

    @flow.entry()
    async def start(data: Raw) -> None: ...

    assert flow.seal().input.annotation is Raw


def subscription(written: Any) -> Subscription | None:
    flow = Flow("f")

    @flow.entry(emits=["x", "y", prepared, noted])
    async def start() -> Processed:
        return Processed(total=1)

    @flow.step("other", subscribes="x")
    async def handle() -> Processed:
        return Processed(total=1)

    @flow.step(subscribes=written(handle))
    async def taken() -> None: ...

    return step(flow.seal().definition, "taken").subscription


def part(label: str, *sources: tuple[str, str]) -> Part:
    made = [Source.model_validate({"kind": kind, "name": name}) for kind, name in sources]
    return Part(label=label, sources=tuple(made))


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        (lambda handle: "x", Subscription(kind="each", parts=(part("x", ("emit", "x")),))),
        (
            lambda handle: any_of("x", prepared, failed(handle)),
            Subscription(
                kind="each",
                parts=(
                    part(
                        "x|data.prepared|other",
                        ("emit", "x"), ("emit", "data.prepared"), ("failed", "other"),
                    ),
                ),
            ),
        ),
        (
            lambda handle: all_of("x", prepared, after(handle)),
            Subscription(
                kind="all",
                parts=(
                    part("x", ("emit", "x")),
                    part("data.prepared", ("emit", "data.prepared")),
                    part("other", ("after", "other")),
                ),
            ),
        ),
        (
            lambda handle: all_of(left="x", right=any_of("y", after(handle)), by="order.id"),
            Subscription(
                kind="all",
                parts=(
                    part("left", ("emit", "x")),
                    part("right", ("emit", "y"), ("after", "other")),
                ),
                by="order.id",
            ),
        ),
        (
            lambda handle: collect(any_of(after(handle), failed("other")), at_least=0),
            Subscription(
                kind="collect",
                parts=(part("other|other", ("after", "other"), ("failed", "other")),),
                at_least=0,
            ),
        ),
    ],
)  # fmt: skip
def test_subscriptions_are_data(written: Any, expected: Subscription) -> None:
    assert subscription(written) == expected


@pytest.mark.parametrize(
    ("written", "told"),
    [
        (lambda: any_of(), "names nothing"),
        (lambda: all_of(), "names nothing"),
        (lambda: all_of("x", "x"), "'x' twice"),
        (lambda: all_of(any_of("x", "y"), "z"), "needs a keyword"),
        (lambda: collect(all_of("x", "y")), "give it a step of its own"),
        (lambda: any_of(collect("x")), "give it a step of its own"),
        (lambda: any_of(5), "expected a Topic"),
        (lambda: collect("x", at_least=-1), "expected 0 or more"),
        (lambda: Topic(""), "expected some text"),
        (lambda: Flow("x", failure="stopp"), "expected 'stop', 'finish' or 'ignore'"),
        (lambda: Flow("x", deadline=0), "more than 0 seconds"),
        (lambda: Flow("x", state_cleanup="on_complete"), "'on-complete'"),
        (lambda: Flow("x", keep=-1), "keep is -1, expected 0 seconds or more"),
        (lambda: Flow("x", keep="1d"), "keep is '1d', expected seconds"),
        (lambda: Flow("x", keep=float("inf")), "expected seconds"),
        (lambda: Flow("x", keep=4e9), "at most a hundred years"),
        (lambda: Queue("q", keep=timedelta(-1)), "0 seconds or more"),
        (lambda: Queue("q", keep_failed=True), "keep_failed is True, expected seconds"),
        (lambda: Retry(0), "max_attempts is 0"),
        (lambda: Retry(jitter=2), "from 0 to 1"),
        (lambda: Retry(never=["x"]), "exception classes"),
        (lambda: Queue("q").job(priority=99)(len), "expected 1 to 10"),
        (lambda: Flow("x").entry(timeout=-1), "more than 0 seconds"),
        (lambda: Flow("x").entry(timout=1), "unknown option 'timout'"),
        (lambda: Flow("x").entry()(lambda: None), "give name="),
    ],
)
def test_what_is_wrong_in_itself_is_refused_where_it_stands(written: Any, told: str) -> None:
    with pytest.raises(InvalidDefinition) as caught:
        written()
    assert told in str(caught.value)


def test_a_definition_says_how_long_its_runs_are_kept() -> None:
    flow = Flow("f", keep=timedelta(days=2))
    flow.entry("start")(lambda: None)
    queue = Queue("q", keep=0, keep_failed=60)
    job = queue.job("j")(lambda: None)
    found = [target.seal().definition for target in (flow, job, Queue("q").job("j")(lambda: None))]
    assert [(one.keep, one.keep_failed) for one in found if one] == [
        (172_800.0, 172_800.0), (0.0, 60.0), (None, None),
    ]  # fmt: skip


def test_a_compensation_is_a_handler_beside_its_step() -> None:
    flow = Flow("f")

    def undo(result: Processed, ctx: SyncContext) -> None: ...

    @flow.entry(emits="x")
    async def start() -> None: ...

    @flow.step(subscribes="x", compensate=undo, timeout=3, retry=Retry(never=[KeyError]))
    async def charge() -> Processed:
        return Processed(total=1)

    sealed = flow.seal()
    assert step(sealed.definition, "charge").compensated
    handler = sealed.handlers["charge.compensate"]
    assert (handler.fn, handler.kind, handler.takes) == (undo, "thread", 2)
    assert (handler.step, handler.timeout, handler.never) == ("charge.compensate", 3, (KeyError,))
    assert handler.input.annotation is Processed


def test_a_queue_gives_its_steps_what_they_do_not_say() -> None:
    queue = Queue("cpu", retry=7, timeout=timedelta(minutes=1))
    flow = Flow("f")

    @flow.entry(queue=queue, emits="x", priority=9)
    async def start() -> None: ...

    @flow.step(subscribes="x", queue=queue, retry=Retry(2, base=5), timeout=3)
    async def other() -> None: ...

    definition = flow.seal().definition
    first, second = step(definition, "start"), step(definition, "other")
    assert (first.queue, first.retry.max_attempts, first.timeout) == ("cpu", 7, 60)
    assert first.priority == 9
    assert (second.retry.max_attempts, second.retry.base, second.timeout) == (2, 5, 3)


# Jobs.


def test_a_job_is_the_function_and_a_flow_of_one_step() -> None:
    mail = Queue("mail", retry=4)

    @mail.job(priority=7)
    async def send(data: Raw, ctx: Context) -> Report:
        """Send it."""
        return Report(text="x")

    sealed = send.seal()
    assert (send.name, send.__name__, send.__doc__) == ("mail/send", "send", "Send it.")
    assert sealed.definition == FlowDefinition(
        name="mail/send",
        steps=(
            StepDefinition(
                name="send", queue="mail", priority=7, retry=RetryPolicy(max_attempts=4)
            ),
        ),
    )
    assert (sealed.input.annotation, sealed.result.annotation) == (Raw, Report)
    assert sealed.handlers["send"].standalone
    assert list(mail.jobs) == ["mail/send"]
    assert mail.seal() == [sealed]


def test_a_job_can_be_called() -> None:
    @Queue("q").job()
    def double(number: int) -> int:
        return 2 * number

    assert double(4) == 8


def test_a_job_that_says_no_priority_leaves_it_to_the_start() -> None:
    @Queue("q").job()
    def double(number: int) -> int:
        return 2 * number

    assert step(double.seal().definition, "double").priority is None


def test_two_jobs_of_one_name_and_late_jobs_are_refused() -> None:
    queue = Queue("q")
    queue.job("x")(len)
    with pytest.raises(InvalidDefinition, match="two jobs are called 'q/x'"):
        queue.job("x")(len)
    queue = Queue("q")
    queue.seal()
    with pytest.raises(InvalidDefinition, match="after its queue was served"):
        queue.job("x")(len)


def test_a_failure_is_read_from_what_is_stored() -> None:
    stored = {
        "step": "parse",
        "input": {"total": 1},
        "error": {"type": "ValueError", "code": "EXECUTION_ERROR", "message": "x"},
        "attempts": 3,
    }
    flow = Flow("f")

    @flow.entry(emits=[Topic("x", Processed)])
    async def start() -> None: ...

    @flow.step(subscribes="x")
    async def parse(data: Processed) -> None: ...

    @flow.step(subscribes=collect(any_of(after(parse), failed(parse))))
    async def taken(data: list[Failure[Processed] | None]) -> None: ...

    [failure] = flow.seal().handlers["taken"].input.load([stored])
    assert failure.input == Processed(total=1)
    assert failure.error.message == "x"
    assert failure.attempts == 3
