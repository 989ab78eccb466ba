"""The pages under test, and how to take them apart."""

from __future__ import annotations

import importlib
import re
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).resolve().parents[2]
_FENCE = re.compile(
    r"^```python(?P<mark>[^\n]*)\n(?P<code>.*?)^```$"
    r"(?:\n\n```text output(?P<varies> varies)?\n(?P<output>.*?)^```$)?",
    re.MULTILINE | re.DOTALL,
)
_HEADING = re.compile(r"^#{2,3} `([^`]+)`\n(.*?)(?=^#{2,3} |\Z)", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True)
class Block:
    """A Python block of a page: where its first line stands, its mark, and its code."""

    page: str
    line: int
    mark: str
    code: str
    output: str | None = None
    """What it prints, where the page shows it; ``varies`` tells numbers apart from words."""
    varies: bool = False

    def __str__(self) -> str:
        return f"{self.page}:{self.line}"


def pages() -> list[Path]:
    """Return the README and every page of the documentation."""
    return [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]


def blocks_of(page: str, text: str) -> list[Block]:
    """Return the Python blocks of ``text``, in order."""
    return [
        Block(
            page,
            text.count("\n", 0, found.start("code")) + 1,
            found["mark"].strip(),
            found["code"],
            found["output"],
            bool(found["varies"]),
        )
        for found in _FENCE.finditer(text)
    ]


def all_blocks() -> list[Block]:
    """Return the Python blocks of all pages."""
    return [
        block
        for page in pages()
        for block in blocks_of(page.relative_to(ROOT).as_posix(), page.read_text("utf-8"))
    ]


def reference(name: str) -> str:
    """Return the text of a reference page."""
    return (ROOT / "docs/reference" / f"{name}.md").read_text("utf-8")


def sections(text: str) -> dict[str, str]:
    """Return the text below each heading that is one name in backticks."""
    return dict(_HEADING.findall(text))


def rows(text: str) -> dict[str, list[str]]:
    """Return the cells of each table row whose first cell is one name in backticks, by name."""
    found = {}
    for line in text.splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if line.startswith("| `") and re.fullmatch(r"`[^`]+`", cells[0]):
            found[cells[0].strip("`")] = cells[1:]
    return found


def module(name: str) -> ModuleType:
    """Import a module of runfold, or fail saying that the page has nothing to be compared with."""
    try:
        return importlib.import_module(name)
    except ImportError as error:
        text = f"{name} cannot be imported, so its page cannot be checked: {error}"
        pytest.fail(text, pytrace=False)
