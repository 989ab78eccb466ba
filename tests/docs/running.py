"""How a block of a page is run, and what of its output counts."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

from docs.pages import Block

SECONDS_MAX = 60


def run(block: Block, folder: Path) -> subprocess.CompletedProcess[str]:
    """Return how ``block`` ended, on its own in ``folder``, warnings as errors."""
    # Padded with empty lines: a traceback then shows the line of the page.
    file = folder / "block.py"
    file.write_text("\n" * (block.line - 1) + block.code, "utf-8")
    return subprocess.run(
        [sys.executable, "-W", "error", str(file)],
        cwd=folder,
        env={name: value for name, value in os.environ.items() if name != "RUNFOLD_URL"},
        capture_output=True,
        check=False,
        text=True,
        timeout=SECONDS_MAX,
    )


def words(text: str) -> str:
    """Return ``text`` with all that looks like a number, a moment or an id made alike."""
    ids = re.sub(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", "0", text)
    return re.sub(r"[0-9a-f]*[0-9][0-9a-f]*", "0", ids)
