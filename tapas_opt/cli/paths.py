"""Where a checkout keeps the data that commands use unless they are told otherwise."""

from __future__ import annotations

from pathlib import Path

__all__ = ["demo_data"]


def demo_data() -> Path:
    """Folder of the demo's site, profiles and traces: ``data/demo`` beside the package."""
    return Path(__file__).parents[2] / "data" / "demo"
