"""Finding flows and queues in folders and packages; faults name the file."""

from __future__ import annotations

import itertools
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from runfold.define import discover
from runfold.errors import InvalidDefinition

FLOW = "from runfold.define import Flow\nflow = Flow({name!r})\n"
QUEUE = "from runfold.define import Queue\nqueue = Queue({name!r})\n"
NUMBERS = itertools.count()

Write = Callable[..., Path]


@pytest.fixture
def write(tmp_path: Path) -> Iterator[Write]:
    """Write files into a new folder of a name of its own; modules and paths are put back."""
    folder = tmp_path / f"found_{next(NUMBERS)}"
    modules, paths = set(sys.modules), list(sys.path)

    def make(**files: str) -> Path:
        for name, text in files.items():
            file = folder.joinpath(*name.split("__in__")).with_suffix(".py")
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text, "utf-8")
        return folder

    yield make
    sys.path[:] = paths
    for name in set(sys.modules) - modules:
        if name.startswith("found_"):
            del sys.modules[name]


def test_every_module_of_a_folder_is_imported(write: Write) -> None:
    folder = write(
        mail=QUEUE.format(name="mail"),
        shop=FLOW.format(name="shop") + "from .mail import queue\nsame = flow\n",
        deep__in__more=FLOW.format(name="more"),
    )
    flows, queues = discover(folder)
    assert sorted(flow.name for flow in flows) == ["more", "shop"]
    assert [queue.name for queue in queues] == ["mail"]
    assert discover([str(folder), folder])[0] == flows


def test_a_dotted_package_is_found_and_is_the_one_that_others_import(write: Write) -> None:
    folder = write(__init__="", shop=FLOW.format(name="shop"))
    sys.path.append(str(folder.parent))
    flows, _ = discover(folder.name)
    again, _ = discover(folder)
    assert flows == again
    assert flows[0] is sys.modules[f"{folder.name}.shop"].flow  # type: ignore[attr-defined]


def test_one_file_is_a_place_too(write: Write) -> None:
    folder = write(shop=FLOW.format(name="shop"), other=FLOW.format(name="other"))
    flows, _ = discover(folder / "shop.py")
    assert [flow.name for flow in flows] == ["shop"]


@pytest.mark.parametrize(("text", "what"), [(FLOW, "flows"), (QUEUE, "queues")])
def test_two_of_one_name_are_refused_with_both_files(write: Write, text: str, what: str) -> None:
    folder = write(a=text.format(name="twice"), b=text.format(name="twice"))
    with pytest.raises(InvalidDefinition) as caught:
        discover([folder])
    assert f"two {what} are called 'twice'" in str(caught.value)
    assert str(folder / "a.py") in str(caught.value)
    assert str(folder / "b.py") in str(caught.value)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("import nowhere_at_all", "ModuleNotFoundError: No module named 'nowhere_at_all'"),
        ("1 / 0", "ZeroDivisionError: division by zero"),
        ("def", "SyntaxError"),
        ("raise SystemExit(2)", "SystemExit: 2"),
        (FLOW.format(name=""), "expected some text"),
    ],
)
def test_a_module_that_does_not_import_is_named(write: Write, text: str, told: str) -> None:
    folder = write(broken=text)
    with pytest.raises(InvalidDefinition) as caught:
        discover([folder])
    assert str(folder / "broken.py") in str(caught.value)
    assert told in str(caught.value)


def test_a_place_that_is_none_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidDefinition, match="no folder and no file"):
        discover([tmp_path / "nothing"])
    with pytest.raises(InvalidDefinition, match="module 'found_nowhere' does not import"):
        discover(["found_nowhere"])


def test_a_name_that_another_module_has_is_refused(write: Write) -> None:
    folder = write(shop="")
    other = folder.with_name("json")
    folder.rename(other)
    with pytest.raises(InvalidDefinition, match=r"does not import|rename its folder"):
        discover([other])
