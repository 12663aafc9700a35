"""Finished cells and lessons on disk, a file each: what is there need not be run again, whenever a study was killed."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from tapas_opt.durable import replace_text
from tapas_opt.planning.cells import Work
from tapas_opt.planning.outcome import Outcome

__all__ = ["Kept"]


class Kept:
    """A folder of finished cells and lessons, each under its key.

    Raises
    ------
    OSError
        The folder cannot be made.
    """

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._folder = folder

    def keep(self, outcome: Outcome) -> None:
        """Keep what a cell or a lesson came to; it is on disk when this returns."""
        replace_text(self._file(str(outcome["key"])), json.dumps(outcome, ensure_ascii=False, allow_nan=False) + "\n")

    def finished(self, asked: Iterable[Work]) -> dict[str, Outcome]:
        """By key, what is there of what is asked for; a file that is no outcome of its cell is as none."""
        found = {work.key: self._read(work.key) for work in asked}
        return {key: outcome for key, outcome in found.items() if outcome is not None}

    def _read(self, key: str) -> Outcome | None:
        try:
            told: Any = json.loads(self._file(key).read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return None
        return told if isinstance(told, dict) and told.get("key") == key else None

    def _file(self, key: str) -> Path:
        return self._folder / f"{key}.json"
