"""Why two schedules disagree, as far as their histories say."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from runfold.flow.events import FlowFailed, State, StepCompleted, StepErrored
from runfold.flow.run import fold
from runfold.testing.determinism.outcome import Difference, labelled
from runfold.testing.determinism.reads import Read
from runfold.testing.determinism.schedule import Played

READS_MAX = 3
"""How many reads of the clock and of chance are named."""


def cause_of(
    first: Played,
    second: Played,
    differences: Sequence[Difference],
    reads: Sequence[Read] | None,
) -> str | None:
    """Return the likeliest cause and its cure in a sentence; None when there is no telling.

    ``reads``: what handlers have read of clocks and chance; None where nobody has looked.
    """
    if first.schedule == second.schedule:
        return _repeats_itself(first, second, reads)
    for find in _FINDERS:
        cause = find(first, second, differences)
        if cause is not None:
            return cause
    return None


def _repeats_itself(first: Played, second: Played, reads: Sequence[Read] | None) -> str:
    step = _first_difference(first, second)
    who = f"step {step!r}" if step else "a handler"
    if reads is not None and not reads:
        return (
            f"the same schedule gives two outcomes, and no handler has asked a clock or chance: "
            f"{who} goes by something that outlives a run - a variable of a module or a class, a "
            "default argument, a cache, os.environ, an address - or by a deps= that remembers; "
            "keep it in the run's state, and let make_deps= make new deps for each schedule"
        )
    named = [str(read) for read in reads or () if read.step == step] or list(map(str, reads or ()))
    more = f", and {len(named) - READS_MAX} more" if len(named) > READS_MAX else ""
    told = "; ".join(named[:READS_MAX]) + more or (
        f"{who} reads the clock of this machine, chance, or something that outlives a run"
    )
    return (
        f"the same schedule gives two outcomes: {told}; take times from ctx.due_at, pass the "
        "rest in as input or deps"
    )


def _code(code: str, text: str) -> Callable[..., str | None]:
    def find(first: Played, second: Played, _: Sequence[Difference]) -> str | None:
        for played in (second, first):
            run = fold(played.definition, played.history)
            errors = [run.error] if run.error is not None else []
            errors += [
                one.event.error for one in played.history if isinstance(one.event, StepErrored)
            ]
            for error in errors:
                if error.code == code:
                    return f"{text}: {error.message}"
        return None

    return find


def _repeated_effect(
    first: Played, second: Played, differences: Sequence[Difference]
) -> str | None:
    named = next((one for one in differences if one.what == "effect"), None)
    if named is None:
        return None
    for played in (second, first):
        attempts: dict[tuple[str, int], set[int]] = {}
        for one in played.effects:
            name = f"{one.name}({one.key})" if one.key else one.name
            if name == named.name:
                attempts.setdefault((one.step, one.number), set()).add(one.attempt)
        for (step, _), tries in attempts.items():
            if len(tries) > 1 or played.outcome.effects.get(named.name, 0) > 1:
                told = " and ".join(f"attempt {one}" for one in sorted(tries))
                return (
                    f"step {step!r} has the effect {named.name} again when it is tried again "
                    f"({told}): an attempt may be lost after its effect and before its end is "
                    "recorded; give ctx.job_id to the other side as idempotency key, or write "
                    "in ctx.transaction()"
                )
    return None


def _state_race(first: Played, second: Played, differences: Sequence[Difference]) -> str | None:
    named = next((one for one in differences if one.what == "state"), None)
    keys = [named.name] if named is not None else []
    if not keys and any(one.what in ("result", "emit", "effect") for one in differences):
        keys = sorted({one.event.key for one in second.history if isinstance(one.event, State)})
    for key in keys:
        writers = _writers(second, key) | _writers(first, key)
        many = sorted({step for step, _ in writers})
        operations = {operation for _, operation in writers}
        if named is None and (operations == {"add"} or _is_written_alike(first, second, key)):
            continue  # No writer is to blame: who reads too early may be.
        if len(_activations(second, key)) < 2:
            one, other = _names(first, key), _names(second, key)
            if one and other and one != other:
                return (
                    f"whoever comes first writes the state key {key!r}: {one} or {other}; wait "
                    "for all of them (all_of, collect) and decide by what they say"
                )
            continue
        who = f"steps {' and '.join(map(repr, many))}" if len(many) > 1 else (
            f"several activations of step {many[0]!r}"
        )  # fmt: skip
        does, cure = _WRITING.get(frozenset(operations), _SETTING)
        return f"{who} {does} the state key {key!r}; {cure}"
    return None


def _is_written_alike(first: Played, second: Played, key: str) -> bool:
    here, there = (_writes(played, key) for played in (first, second))
    return here == there


def _first_failure(first: Played, second: Played, differences: Sequence[Difference]) -> str | None:
    if not any(one.what == "error" for one in differences):
        return None
    here, there = (_failed_step(played) for played in (first, second))
    if here == there:
        return None
    return (
        f"the first step that fails ends the run: {here!r} or {there!r}, whichever is earlier; let "
        "the one wait for the other, or subscribe to failed() of both"
    )


def _used_up(_: Played, __: Played, differences: Sequence[Difference]) -> str | None:
    for one in differences:
        if one.what == "activation" and {one.first, one.second} == {"failed", "completed"}:
            return (
                f"step {one.name.partition('(')[0]!r} has used up its attempts in one of them: "
                "give it more, or let no fault take its last (spare_last_attempt of Faults)"
            )
    return None


def _lapsed(first: Played, second: Played, differences: Sequence[Difference]) -> str | None:
    keys = {one.name for one in differences if one.what == "state"}
    for one in (*first.history, *second.history):
        if isinstance(one.event, State) and one.event.key in keys and one.event.ttl is not None:
            return (
                f"the state key {one.event.key!r} has a ttl of {one.event.ttl:g} s: whether it is "
                "still there depends on how long things take"
            )
    return None


_SETTING = (
    "write",
    (
        "the last one wins, and what one has read the other may have changed: use state.add, or a "
        "key for each, or one step behind both"
    ),
)
_WRITING = {
    frozenset({"append"}): (
        "write",
        "append keeps the order of completion: collect their results instead",
    ),
    frozenset({"add"}): (
        "add to",
        (
            "a sum of floats depends on the order in which they are added: add whole numbers "
            "(cents), or collect their results and sum those (math.fsum)"
        ),
    ),
}


def _depends_on_attempt(
    first: Played, second: Played, differences: Sequence[Difference]
) -> str | None:
    named = _other_answer(first, second, differences)
    if named is None:
        return None
    step, does = named
    tries = [_attempts(played, step) for played in (first, second)]
    if tries[0] != tries[1]:
        return (
            f"step {step!r} {does} something else when it is tried again: it reads ctx.attempt "
            "or how late it is, or something that its first attempt has changed"
        )
    return None


def _read_too_early(first: Played, second: Played, differences: Sequence[Difference]) -> str | None:
    named = _other_answer(first, second, differences)
    if named is None:
        return None
    step, does = named
    before, after = (_written_before(played, step) for played in (first, second))
    for writer, key in sorted(before ^ after):
        return (
            f"what step {step!r} {does} depends on whether step {writer!r} has written the state "
            f"key {key!r} by then: wait for both (all_of), or let {writer!r} emit what {step!r} "
            "needs"
        )
    for key in sorted({one.event.key for one in second.history if isinstance(one.event, State)}):
        if len(_activations(second, key)) < 2:
            continue
        if {operation for _, operation in _writers(second, key)} == {"add"}:
            return (
                f"what step {step!r} {does} may depend on how many have added to the state key "
                f"{key!r} by then; if it reads it, let one step behind all of them (collect) do so"
            )
        others = sorted({writer for writer, _ in _writers(second, key)} - {step})
        if others:
            return (
                f"what step {step!r} {does} may depend on what {' and '.join(map(repr, others))} "
                f"have written into the state key {key!r} by then; if it reads it, wait for them "
                "(all_of)"
            )
    return (
        f"step {step!r} {does} something else for the same input: it reads the state, the "
        "time, or something shared with other steps"
    )


def _other_answer(
    first: Played, second: Played, differences: Sequence[Difference]
) -> tuple[str, str] | None:
    """Return the step that answers the same input in two ways, and how: ``emits``, ``returns``."""
    for one in differences:
        step = _emitter(first, second, one.name) if one.what == "emit" else None
        if step is not None:
            return step, "emits"
    here, there = (_results(played) for played in (first, second))
    for label in here.keys() & there.keys():
        if here[label][1] != there[label][1]:
            return here[label][0], "returns"
    return None


def _emitter(first: Played, second: Played, emit: str) -> str | None:
    """Return the step of an activation of both that made ``emit`` in one, or another one."""
    theirs = second.outcome.activations
    for (step, _), label in labelled(first.history).items():
        if label in theirs and emit.startswith(f"{label}/"):
            return step
    return None


def _results(played: Played) -> dict[str, tuple[str, Any]]:
    """Return step and result of each activation that completed, by label."""
    labels = labelled(played.history)
    return {
        labels[one.step or "", one.activation or 0]: (one.step or "", one.event.result)
        for one in played.history
        if isinstance(one.event, StepCompleted)
    }


def _written_before(played: Played, step: str) -> set[tuple[str, str]]:
    """Return (step, key) of what others had written into the state when ``step`` completed."""
    written: set[tuple[str, str]] = set()
    for one in played.history:
        if isinstance(one.event, State) and one.step != step:
            written.add((one.step or "", one.event.key))
        if isinstance(one.event, StepCompleted) and one.step == step:
            break
    return written


def _attempts(played: Played, step: str) -> int:
    return max((one.attempt or 0 for one in played.history if one.step == step), default=0)


def _writers(played: Played, key: str) -> set[tuple[str, str]]:
    return {
        (one.step or "", one.event.operation)
        for one in played.history
        if isinstance(one.event, State) and one.event.key == key
    }


def _writes(played: Played, key: str) -> list[str]:
    labels = labelled(played.history)
    return [
        labels[one.step or "", one.activation or 0]
        for one in played.history
        if isinstance(one.event, State) and one.event.key == key
    ]


def _failed_step(played: Played) -> str | None:
    ends = [one.event for one in played.history if isinstance(one.event, FlowFailed)]
    return ends[-1].failed_step if ends else None


def _activations(played: Played, key: str) -> set[tuple[str | None, int | None]]:
    return {
        (one.step, one.activation)
        for one in played.history
        if isinstance(one.event, State) and one.event.key == key
    }


def _names(played: Played, key: str) -> str:
    labels = labelled(played.history)
    places = _activations(played, key)
    return ", ".join(sorted(labels[step or "", number or 0] for step, number in places))


def _first_difference(first: Played, second: Played) -> str | None:
    """Return the step of the first event that is not the same, times aside."""
    for here, there in zip(first.history, second.history, strict=False):
        if _told(here.event) != _told(there.event) or here.step != there.step:
            return here.step
    return None


def _told(event: Any) -> Any:
    return event.model_dump(exclude={"duration"})


def orders(first: Played, second: Played) -> tuple[list[str], list[str]]:
    """Return the completions of both, in order, from the first that is not the same."""
    told = [_completions(first), _completions(second)]
    same = 0
    for here, there in zip(*told, strict=False):
        if here != there:
            break
        same += 1
    return told[0][same:], told[1][same:]


def _completions(played: Played) -> list[str]:
    labels = labelled(played.history)
    return [
        labels[one.step or "", one.activation or 0]
        for one in played.history
        if one.event.TOPIC == "step.completed"
    ]


_FINDERS = (
    _code("UNDECLARED_EMIT", "an emit that is not declared fails the attempt that makes it"),
    _code("JOIN_AMBIGUOUS", "what is paired depends on the order of arrival"),
    _first_failure,
    _used_up,
    _repeated_effect,
    _lapsed,
    _state_race,
    _depends_on_attempt,
    _read_too_early,
)
