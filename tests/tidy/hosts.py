"""Nothing in the tree names one machine: no path of a work place, no package index."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator

from tidy.source import ROOT, Finding

# Each pattern is written so that it does not match itself.
PRIVATE: dict[str, str] = {
    "a path of one machine": r"(?<![\w.}>-])/(?:wor[k]|roo[t]|far[m]|hom[e]/\w+|User[s]/\w+)/",
    "a temporary folder of one machine": r"(?<![\w.}])/tm[p]/[a-z_-]+/[a-z]",
    "a folder of a drive": r"\b[A-Z]:\\\\?User[s]\b",
    "a package index": r"python[h]osted|py[p]i\.org|registry\.np[m]|/op[t]/pypi",
    "a private host": r"https?://[\w.-]+\.(?:interna[l]|intrane[t]|cor[p]|la[n])\b",
}
_BINARY = (".png", ".jpg", ".ico", ".gif", ".pdf", ".woff2", ".gz", ".zip", ".db")


def private_names(path: str, text: str) -> Iterator[Finding]:
    """Yield each line of ``text`` that names one machine or an index."""
    for number, line in enumerate(text.splitlines(), start=1):
        for what, pattern in PRIVATE.items():
            if re.search(pattern, line):
                yield Finding(path, number, f"names {what}: {line.strip()[:80]}")


def tracked_texts() -> Iterator[tuple[str, str]]:
    """Yield path and text of each file that git tracks, or would."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"],
        cwd=ROOT,
        capture_output=True,
        check=True,
        text=True,
    )
    for path in sorted(filter(None, listed.stdout.split("\0"))):
        file = ROOT / path
        if file.is_file() and not path.endswith(_BINARY):
            yield path, file.read_text("utf-8", errors="replace")
