"""Write anew what pages show as the output of their blocks: ``python -m docs.write`` in ``tests``.

Names of pages may follow (``docs/how-to/ten-timing-bugs.md``); without any, all are looked at.
For changes that are meant to change it, like those of the engine that give a seed another
schedule: look at the difference before it is committed.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from docs.pages import ROOT, blocks_of, pages
from docs.running import run, words


def rewritten(page: str, text: str, folder: Path) -> str:
    """Return the text of a page with what its blocks print, run in ``folder``."""
    for block in blocks_of(page, text):
        if block.output is None or block.mark:
            continue
        done = run(block, folder)
        if done.returncode:
            raise SystemExit(f"{block} fails:\n{done.stderr}")
        if block.varies and words(done.stdout) == words(block.output):
            continue
        fence = "```text output varies\n" if block.varies else "```text output\n"
        start = text.index(fence, text.index(block.code)) + len(fence)
        assert text.startswith(block.output, start)
        text = text[:start] + done.stdout + text[start + len(block.output) :]
    return text


def main(names: list[str]) -> None:
    """Write the pages called ``names``, all for none, and say which have changed."""
    for file in [ROOT / name for name in names] or pages():
        page, text = file.relative_to(ROOT).as_posix(), file.read_text("utf-8")
        with tempfile.TemporaryDirectory() as folder:
            found = rewritten(page, text, Path(folder))
        if found != text:
            file.write_text(found, "utf-8")
            print(page)


if __name__ == "__main__":
    main(sys.argv[1:])
