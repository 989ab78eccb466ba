"""Every Python block of the README and the docs runs, each on its own, warnings as errors."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from docs.pages import ROOT, Block, all_blocks, blocks_of, pages
from docs.running import run, words
from docs.write import rewritten

BLOCKS = all_blocks()


@pytest.mark.parametrize("block", [b for b in BLOCKS if not b.mark], ids=str)
def test_a_block_runs(block: Block, tmp_path: Path) -> None:
    done = run(block, tmp_path)
    assert done.returncode == 0, f"{block} fails:\n{done.stdout}{done.stderr}"
    if block.output is not None:
        said, shown = (words(one) if block.varies else one for one in (done.stdout, block.output))
        assert said == shown, (
            f"{block} prints something else than the page shows; if it is right: "
            f"python -m docs.write {block.page} in tests"
        )


def test_a_block_that_does_not_run_says_why() -> None:
    marked = [block for block in BLOCKS if block.mark]
    assert [str(b) for b in marked if not re.fullmatch(r"no-run: \S.{9,}", b.mark)] == []


@pytest.mark.parametrize("page", pages(), ids=lambda page: page.relative_to(ROOT).as_posix())
def test_links_to_pages_lead_somewhere(page: Path) -> None:
    links = re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?\)", page.read_text("utf-8"))
    broken = [at for at in links if "://" not in at and not (page.parent / at).exists()]
    assert broken == []


def test_each_page_of_the_docs_is_linked_from_the_index() -> None:
    index = (ROOT / "docs/index.md").read_text("utf-8")
    names = [page.relative_to(ROOT / "docs").as_posix() for page in (ROOT / "docs").rglob("*.md")]
    assert [name for name in sorted(names) if name != "index.md" and f"({name})" not in index] == []


def test_the_readme_names_the_two_commands() -> None:
    commands = re.findall(
        r"^```sh\n(.*?)\n```$", (ROOT / "README.md").read_text("utf-8"), re.MULTILINE
    )
    assert commands == ["pip install uv && uv run runfold demo", "uv run pytest"]


def test_a_failing_block_fails_at_its_line(tmp_path: Path) -> None:
    (block,) = blocks_of("a.md", "text\n\n```python\n1 / 0\n```\n")
    done = run(block, tmp_path)
    assert done.returncode == 1
    assert 'block.py", line 4' in done.stderr


def test_marks_are_read() -> None:
    (block,) = blocks_of("a.md", "```python no-run: needs a printer\nprint(1)\n```\n")
    assert (block.mark, block.code) == ("no-run: needs a printer", "print(1)\n")


PAGE = """Text.

```python
print("new 1")
```

```text output
old
```

```python
print("at 12:30")
```

```text output varies
at 11:25
```

```python
print("nothing is shown of this")
```
"""


def test_outputs_are_written_anew_where_they_are_not_right(tmp_path: Path) -> None:
    found = rewritten("a.md", PAGE, tmp_path)
    assert found == PAGE.replace("old", "new 1")
    assert rewritten("a.md", found, tmp_path) == found


def test_a_page_whose_block_fails_is_not_written(tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match=r"a.md:4 fails:\n(?s:.*)ZeroDivisionError"):
        rewritten("a.md", PAGE.replace('"new 1"', "1 / 0"), tmp_path)
