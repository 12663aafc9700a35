"""Where a checkout keeps the data that commands use unless they are told otherwise."""

from __future__ import annotations

from pathlib import Path

__all__ = ["demo_data", "demo_models"]


def demo_data() -> Path:
    """Folder of the demo's site, profiles and traces: ``data/demo`` beside the package."""
    return Path(__file__).parents[2] / "data" / "demo"


def demo_models() -> Path:
    """Folder of the demo's learned models: ``models/demo`` beside the package."""
    return Path(__file__).parents[2] / "models" / "demo"
