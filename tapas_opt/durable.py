"""Files that are whole, or as they were before, whenever the process or the power ends."""

from __future__ import annotations

import os
from pathlib import Path

__all__ = ["replace_bytes", "replace_text", "settle"]


def replace_text(path: Path, text: str) -> None:
    """Put ``text`` there in one step; it is on disk when this returns.

    Raises
    ------
    OSError
        If it cannot be written; what was there before stands.
    """
    replace_bytes(path, text.encode())


def replace_bytes(path: Path, content: bytes) -> None:
    """Put ``content`` there in one step, as :func:`replace_text` does."""
    new = path.with_name(f"{path.name}.new")
    with new.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    new.replace(path)
    settle(path.parent)


def settle(folder: Path) -> None:
    """Put the names in a folder on disk: a file's name is safe once its folder is."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
