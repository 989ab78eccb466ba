"""Whole applications drawn from a seed: queues with limits, jobs, a flow with every feature.

Handlers know their step and their input only, and do what the seed says for these: wait, log,
write state, emit, fail once, fail for good, ask to be left alone for a while, take too long.
"""

from __future__ import annotations

import asyncio
import json
import zlib
from collections.abc import Callable
from random import Random
from typing import Any

from runfold import (
    Concurrency,
    Context,
    Flow,
    InvalidDefinition,
    MinDelay,
    PermanentError,
    Queue,
    RateLimit,
    RateLimited,
    Retry,
    SyncContext,
    after,
    all_of,
    any_of,
    collect,
    failed,
)

Shaped = type(collect("e0")) | type(all_of(a="e0"))
DEPTH_MAX = 3
KEYS = 3
"""How many values the keys of limits have."""
WHOLE: tuple[Callable[[], Any], ...] = (
    lambda: Concurrency(1), lambda: Concurrency(2), lambda: RateLimit(2, per=3),
    lambda: RateLimit(4, per=5, even=True), lambda: MinDelay(0.7),
)  # fmt: skip
KEYED: tuple[Callable[[], Any], ...] = (
    lambda: Concurrency(1, key="key"), lambda: Concurrency(2, key="key"),
    lambda: RateLimit(2, per=4, key="key"), lambda: MinDelay(0.9, key="key"),
)  # fmt: skip


class World:
    """``queues`` and ``flow``, and what may be started: (target, input)."""

    def __init__(self, seed: int) -> None:
        self.seed = seed
        self.dice = dice = Random(seed)
        self._doings: list[_Doing] = []
        self.queues = [
            Queue("plain", timeout=dice.choice([None, 3.0])),
            Queue("whole", limits=self._some(WHOLE, 2)),
            Queue("keyed", limits=[*self._some(KEYED, 2), *self._some(WHOLE, 1)]),
        ]
        self.jobs = [self._job(queue) for queue in self.queues]
        self.flow = self._flow()

    def _some(self, limits: tuple[Callable[[], Any], ...], most: int) -> list[Any]:
        return [make() for make in self.dice.sample(limits, self.dice.randint(0, most))]

    def begin(self, seed: int) -> None:
        """Be as new, for another play: what is started follows from ``seed``."""
        self.dice = Random(f"{self.seed} {seed}")
        for doing in self._doings:
            doing.told.clear()

    def start(self) -> tuple[Any, Any, dict[str, Any]]:
        """Draw a start: the target, its input, its options."""
        dice = self.dice
        target = dice.choice([self.flow, self.flow, *self.jobs])
        options: dict[str, Any] = {}
        if dice.random() < 0.15:
            options["delay"] = dice.choice([0.5, 5, 70])
        if dice.random() < 0.15:
            options["deadline"] = dice.choice([1.0, 6.0, 90.0])
        if dice.random() < 0.2:
            options["priority"] = dice.choice([1, 9])
        if dice.random() < 0.1:
            options["timeout"] = 2.5
        if dice.random() < 0.2:
            options["key"] = f"key-{dice.randrange(3)}"
        return target, self.input(), options

    def input(self) -> dict[str, int]:
        """Draw an input."""
        return {"key": self.dice.randrange(KEYS), "depth": 0, "copy": self.dice.randrange(3)}

    def _options(self) -> dict[str, Any]:
        dice = self.dice
        options: dict[str, Any] = {
            "retry": Retry(dice.choice([4, 6]), base=dice.choice([0, 0.2, 2]))
        }
        if dice.random() < 0.6:
            options["queue"] = dice.choice([*self.queues, "plain", "other"])
        if dice.random() < 0.2:
            options["timeout"] = dice.choice([1.2, 4])
        if dice.random() < 0.2:
            options["limits"] = [Concurrency(1, key=dice.choice([None, "@run", "@flow"]))]
        if dice.random() < 0.2:
            options["priority"] = dice.choice([2, 8])
        return options

    def _job(self, queue: Queue) -> Any:
        handler = self._handler(f"{queue.name}-job", (), blocks=self.dice.random() < 0.2)
        return queue.job("work", retry=Retry(5, base=0.5))(handler)

    def _flow(self) -> Flow[Any, Any]:
        dice, steps = self.dice, [("s0", None, ["e0", "e1"], self._options(), False)]
        policy = dice.choice(["stop", "finish", "ignore"])
        sources: list[Any] = ["e0", "e1", after("s0"), failed("s0")]
        for index in range(1, dice.randint(1, 5) + 1):
            name = f"s{index}"
            emits = dice.choice([[], [], [f"e{index + 1}"], ["e1"], [f"e{index + 1}", "e0"]])
            made = (name, self._subscribes(sources), emits, self._options(), dice.random() < 0.3)
            if isinstance(made[1], Shaped) and made[3].get("queue") is self.queues[2]:
                del made[3]["queue"]  # What it takes has no such key.
            try:
                self._built([*steps, made], policy)
            except InvalidDefinition:
                continue
            steps.append(made)
            sources += [*emits, after(name), failed(name)]
        return self._built(steps, policy)

    def _subscribes(self, sources: list[Any]) -> Any:
        dice = self.dice
        kind = dice.choice(["each", "each", "each", "any", "all", "by", "collect"])
        names = sorted({one for one in sources if isinstance(one, str)})
        if kind == "by" and len(names) > 1:
            first, second = dice.sample(names, 2)
            return all_of(by="key", a=first, b=second)
        first, second = dice.choice(sources), dice.choice(sources)
        if kind == "any" and first is not second:
            return any_of(first, second)
        if kind == "all" and first is not second:
            return all_of(a=first, b=second)
        return collect(first, at_least=dice.randint(0, 2)) if kind == "collect" else first

    def _built(self, steps: list[Any], policy: Any) -> Flow[Any, Any]:
        flow: Flow[Any, Any] = Flow("world", failure=policy)
        for name, subscribes, emits, options, undoes in steps:
            handler = self._handler(name, emits, blocks=zlib.crc32(name.encode()) % 4 == 3)
            if subscribes is None:
                flow.entry(name, emits=emits, **options)(handler)
                continue
            if undoes:
                options = {**options, "compensate": self._handler(f"un{name}", (), blocks=False)}
            flow.step(name, subscribes=subscribes, emits=emits, **options)(handler)
        flow.compile()
        return flow

    def _handler(self, name: str, emits: Any, *, blocks: bool) -> Any:
        does = _Doing(self.seed, name, tuple(emits))
        self._doings.append(does)

        async def waits(given: Any, ctx: Context) -> Any:
            luck = does.luck(given)
            if luck % 3 == 0:
                await asyncio.sleep(luck % 7 / 3)
            does.fail(luck, ctx)
            if ctx.attempt == 1 and luck % 13 == 0:
                await asyncio.sleep(10)
            await ctx.state.add(name)
            await ctx.state.set("last", luck % 5)
            await ctx.state.append("seen", luck % 5)
            if luck % 2:
                ctx.progress(luck % 100)
            if luck % 5 == 0:
                await ctx.state.delete("last")
            return does.emit(luck, given, ctx)

        def waits_in_a_thread(given: Any, ctx: SyncContext) -> Any:
            luck = does.luck(given)
            does.fail(luck, ctx)
            ctx.state.add(name)
            ctx.log.info("here", luck=luck % 7)
            return does.emit(luck, given, ctx)

        return waits_in_a_thread if blocks else waits


class _Doing:
    """What one step does; ``luck`` is the same for the same input, whenever it came."""

    def __init__(self, seed: int, name: str, emits: tuple[str, ...]) -> None:
        self._seed, self._name, self._emits = seed, name, emits
        self.told: dict[int, int] = {}
        """How often each luck was told to slow down."""

    def luck(self, given: Any) -> int:
        text = json.dumps(given, sort_keys=True, default=str)
        return zlib.crc32(f"{self._seed}/{self._name}/{text}".encode())

    def fail(self, luck: int, ctx: Any) -> None:
        if luck % 17 == 0:
            raise PermanentError("for good")
        if ctx.attempt == 1 and luck % 11 == 0:
            raise ValueError("at first")
        if luck % 7 == 0 and self.told.get(luck, 0) < 2:
            # It is not charged, so its attempt is the same again.
            self.told[luck] = self.told.get(luck, 0) + 1
            raise RateLimited(retry_after=2)

    def emit(self, luck: int, given: Any, ctx: Any) -> Any:
        depth = _depth(given) + 1
        for number, name in enumerate(self._emits if depth <= DEPTH_MAX else ()):
            for copy in range((luck >> number) % 5 % 3):
                key = (luck >> 4) % KEYS
                ctx.emit(name, {"depth": depth, "key": key, "copy": copy})
        return {"depth": depth, "key": luck % KEYS}


def _depth(value: Any) -> int:
    if isinstance(value, dict):
        return max([int(value.get("depth") or 0), *(_depth(inner) for inner in value.values())])
    return max(map(_depth, value), default=0) if isinstance(value, list) else 0
