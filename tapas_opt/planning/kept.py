"""Finished cells and lessons on disk, a file each: what is there need not be run again, whenever a study was killed."""

from __future__ import annotations

import hashlib
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
        told = {"sha256": _sum(outcome), "outcome": outcome}
        replace_text(self._file(str(outcome["key"])), json.dumps(told, ensure_ascii=False, allow_nan=False) + "\n")

    def finished(self, asked: Iterable[Work]) -> dict[str, Outcome]:
        """By key, what is there of what is asked for; a file that is not as it was kept is as none."""
        found = {work.key: self._read(work.key) for work in asked}
        return {key: outcome for key, outcome in found.items() if outcome is not None}

    def _read(self, key: str) -> Outcome | None:
        try:
            told: Any = json.loads(self._file(key).read_text(encoding="utf-8"))
            outcome, kept_sum = told["outcome"], told["sha256"]
            return outcome if outcome["key"] == key and kept_sum == _sum(outcome) else None
        except (OSError, ValueError, LookupError, TypeError):
            return None

    def _file(self, key: str) -> Path:
        return self._folder / f"{key}.json"


def _sum(outcome: Outcome) -> str:
    """A hash over all of it: whoever changes a number, or half of a disk, keeps nothing."""
    return hashlib.sha256(json.dumps(outcome).encode()).hexdigest()
