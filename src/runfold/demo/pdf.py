"""A PDF of one page of text: enough for an invoice, and no dependency.

Written after ISO 32000-1: five objects, each found through a table of byte offsets at the end.
Text is set in Helvetica, one of the fonts that every reader has, in the encoding of Windows;
characters outside of it become question marks.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

A4 = (595, 842)
"""Width and height of the page, in points of 1/72 inch."""


class Line(NamedTuple):
    """Some text and where its baseline starts, in points from the lower left corner."""

    x: float
    y: float
    text: str
    size: float = 11


def pdf(lines: Sequence[Line], *, title: str) -> bytes:
    """Return a document of one A4 page with ``lines`` on it."""
    content = b"\n".join(_drawn(line) for line in lines)
    width, height = A4
    objects = [
        b"<< /Type /Catalog /Pages 2 0 R >>",
        b"<< /Type /Pages /Kids [3 0 R] /Count 1 >>",
        b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 %d %d] /Contents 4 0 R "
        b"/Resources << /Font << /F1 5 0 R >> >> >>" % (width, height),
        b"<< /Length %d >>\nstream\n%b\nendstream" % (len(content), content),
        b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica /Encoding /WinAnsiEncoding >>",
        b"<< /Title %b /Producer (Runfold demo) >>" % _string(title),
    ]
    return _document(objects)


def _drawn(line: Line) -> bytes:
    place = f"BT /F1 {line.size:g} Tf {line.x:g} {line.y:g} Td ".encode("ascii")
    return place + _string(line.text) + b" Tj ET"


def _string(text: str) -> bytes:
    escaped = text.replace("\\", r"\\").replace("(", r"\(").replace(")", r"\)")
    return b"(" + escaped.encode("cp1252", errors="replace") + b")"


def _document(objects: Sequence[bytes]) -> bytes:
    """Return the file: header, ``objects`` (the last describes it), their offsets, trailer."""
    written = bytearray(b"%PDF-1.4\n%\xe2\xe3\xcf\xd3\n")
    offsets = []
    for number, body in enumerate(objects, start=1):
        offsets.append(len(written))
        written += b"%d 0 obj\n%b\nendobj\n" % (number, body)
    table = len(written)
    size = len(objects) + 1
    written += b"xref\n0 %d\n0000000000 65535 f \n" % size
    written += b"".join(b"%010d 00000 n \n" % offset for offset in offsets)
    written += b"trailer\n<< /Size %d /Root 1 0 R /Info %d 0 R >>\n" % (size, size - 1)
    written += b"startxref\n%d\n%%%%EOF\n" % table
    return bytes(written)
