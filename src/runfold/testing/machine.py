"""A state machine of the whole engine over any store, for whoever writes one.

    class Machine(EngineMachine):
        def new_store(self):
            return MyStore()          # empty, not open; another one each time

    def test_the_engine_runs_on_it():
        check_engine(Machine)

Users' calls, workers, time, crashes, restarts, repeated commits and rebuilds come in any order.
After each the store must hold what ``machine_model`` says: who is in which status, what waits
where, what is paused; and each claim must take what is next, as far as limits let it.
"""

from __future__ import annotations

from random import Random

from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import precondition, rule, run_state_machine_as_test

from runfold.testing.machine_play import DICE
from runfold.testing.machine_workers import Workers

SETTINGS = settings(
    deadline=None, derandomize=True, print_blob=False, database=None,
    phases=(Phase.explicit, Phase.generate, Phase.shrink),
    suppress_health_check=list(HealthCheck), report_multiple_bugs=False,
)  # fmt: skip


def check_engine(machine: type[EngineMachine], *, runs: int = 30, steps: int = 30) -> None:
    """Play ``machine`` ``runs`` times, always in the same way; raise ``AssertionError`` for what
    an engine on its store does otherwise than the model, with the fewest steps to it.

    ``steps``: how many each play has at most.
    """
    run_state_machine_as_test(
        machine, settings=settings(SETTINGS, max_examples=runs, stateful_step_count=steps)
    )


class EngineMachine(Workers):
    """Does the same to an engine and to a model of it, and compares. Inherit ``new_store``, and
    ``same_store`` if what it stores can be opened again."""

    @rule(seconds=st.sampled_from([1.0, 3.0, 8.0]))
    def wait(self, seconds: float) -> None:
        """Let time pass."""
        self._pass(seconds)
        self._check()

    @rule()
    def crash(self) -> None:
        """Let whoever decides and keeps the time lose its memory."""
        self._engine.forget()
        self._check()

    @rule(dice=DICE)
    def restart(self, dice: Random) -> None:
        """End everything and open it again; workers elsewhere may go on, or be gone as well."""
        self._slow_down_before(dice)
        self._wait(self._engine.end())
        if (store := self.same_store(self._engine.store)) is not None:
            self._wait(self._engine.store.close())
            self._wait(store.open())
            self._engine.store = store
        self._wait(self._engine.begin())
        client = self._engine.client
        self._runs = [self._wait(client.get(run.id)) for run in self._runs]
        if dice.random() < 0.5:
            for place in range(len(self._workers)):
                self._die(place)
        self._ask_where_it_waits()
        self._check()

    @precondition(lambda self: self._last is not None)
    @rule()
    def repeat(self) -> None:
        """Send the last claim again, as after an answer that was lost: nothing happens."""
        assert self._last is not None
        done = self._wait(self._engine.store.commit(self._last))
        assert done.repeated, "a batch was made twice"
        self._check()

    @rule(dice=DICE)
    def rebuild(self, dice: Random) -> None:
        """Make anew what is derived from the log; what was under way has stalled."""
        self._slow_down_before(dice)
        self._wait(self._engine.rebuild(self._workers))
        self._workers = [self._wait(self._engine.hire()) for _ in self._workers]
        self._stalled(None)
        self._last = None
        self._check()
        self._ask_where_it_waits()
        self._check()

    def _slow_down_before(self, dice: Random) -> None:
        """Let something be held, perhaps, that is not to be forgotten by what comes."""
        if self._jobs and dice.random() < 0.4:
            self._slow_some_down(dice)
            self._check()
