"""``runfold worker`` and ``runfold dispatcher``: an application in two processes."""

from __future__ import annotations

import asyncio
import json
import runpy
import signal
from collections.abc import Callable

import pytest
from click.testing import Result

from cli.shell import Shell

APP = """
from runfold import Flow, Runfold, after

flow = Flow("greet", input=str)

@flow.entry(queue="cpu")
def hello(name: str) -> str:
    return f"hello {name}"

@flow.step(subscribes=after(hello), returns=True)
async def shout(text: str) -> str:
    return text.upper()

rf = Runfold("sqlite:///shop.db", flows=[flow])
text = "no Runfold"
"""


@pytest.fixture
def shop(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> Shell:
    """A folder with an application whose definitions are recorded."""
    (shell.folder / "shop").mkdir()
    (shell.folder / "shop/main.py").write_text(APP)
    (shell.folder / "shop/broken.py").write_text("1 / 0")
    monkeypatch.chdir(shell.folder)
    rf = runpy.run_path("shop/main.py")["rf"]

    async def served() -> None:
        async with rf.serve({"dispatcher"}):
            pass

    asyncio.run(served())
    shell.environment["RUNFOLD_URL"] = "sqlite:///shop.db"
    return shell


def test_two_processes_carry_a_flow(shop: Shell) -> None:
    with (
        shop.spawn("worker", "shop.main:rf") as worker,
        shop.spawn("dispatcher", "shop.main:rf") as dispatcher,
    ):
        done = shop.run("start", "greet", "--input", '"you"', "--wait", "30", "--json")
        for process in (worker, dispatcher):
            process.send_signal(signal.SIGTERM)
        said = [process.communicate(timeout=30)[0] for process in (worker, dispatcher)]
    assert (worker.returncode, dispatcher.returncode) == (0, 0)
    assert json.loads(done.stdout)["result"] == "HELLO YOU"
    assert said[0].startswith("serving worker;")
    assert said[1].startswith("serving dispatcher and timekeeper and projector;")
    assert [text.splitlines()[-1] for text in said] == ["stopped", "stopped"]


def steps_once_scheduled(shop: Shell, step: str) -> dict[str, str]:
    """Return the steps of the only run and their statuses, once it has ``step``."""
    for _ in range(60):
        (listed,) = json.loads(shop.run("runs", "ls", "--json").stdout)["items"]
        run = json.loads(shop.run("runs", "show", listed["id"], "--json").stdout)
        steps = {one["name"]: one["status"] for one in run["steps"]}
        if step in steps:
            return steps
    raise AssertionError(f"step {step!r} was never scheduled")


def test_a_worker_serves_only_the_queues_it_is_given(shop: Shell) -> None:
    with (
        shop.spawn("worker", "shop.main:rf", "--queue", "cpu=1", "--json") as worker,
        shop.spawn("dispatcher", "shop.main:rf") as dispatcher,
    ):
        done = shop.run("start", "greet", "--input", '"you"', "--wait", "0.1", "--json")
        steps = steps_once_scheduled(shop, "shout")
        for process in (worker, dispatcher):
            process.send_signal(signal.SIGINT)
        said, _ = worker.communicate(timeout=30)
        dispatcher.communicate(timeout=30)
    assert done.returncode == 1
    assert steps == {"hello": "completed", "shout": "queued"}
    assert json.loads(said.splitlines()[0])["queues"] == {"cpu": 1}


@pytest.mark.parametrize(
    ("application", "said"),
    [
        ("shop.main", "names no application"),
        (":rf", "names no application"),
        ("shop.nothing:rf", "'shop.nothing' cannot be imported"),
        ("shop.broken:rf", "ZeroDivisionError"),
        ("shop.main:nothing", "has no 'nothing'"),
        ("shop.main:text", "is a str, expected a Runfold"),
    ],
)
@pytest.mark.usefixtures("shop")
def test_a_wrong_application_is_one_line(
    runfold: Callable[..., Result], application: str, said: str
) -> None:
    result = runfold("worker", application)
    assert result.exit_code == 2
    assert said in result.stderr


@pytest.mark.parametrize("queue", ["cpu", "cpu=", "cpu=0", "cpu=x", "=3"])
@pytest.mark.usefixtures("shop")
def test_wrong_slots_are_one_line(runfold: Callable[..., Result], queue: str) -> None:
    result = runfold("worker", "shop.main:rf", "--queue", queue)
    assert result.exit_code == 2
    assert "expected e.g. cpu=8" in result.stderr
