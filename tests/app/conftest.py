"""The same databases as for scenarios."""

from __future__ import annotations

from scenarios.conftest import shared_url, url

__all__ = ["shared_url", "url"]
