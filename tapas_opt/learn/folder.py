"""A folder of models that is exchanged as a whole or not at all, whenever the machine stops.

``DIR/*.json`` are the models in use, ``DIR/candidate/`` a set that waits or was turned down, ``DIR/previous/`` the set
before. Promotion first makes the candidate whole on disk, then marks it with one file, ``DIR/candidate/in-use``: from
then on it *is* the set in use, and copying its files to ``DIR`` only catches up. Nothing is renamed but files inside
``DIR``, which may be a mounted volume.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path

from tapas_opt.durable import replace_text, settle

__all__ = ["candidate_of", "in_use", "previous_of", "promote", "stage"]

MARK = "in-use"


def candidate_of(folder: Path) -> Path:
    """Where a new set waits for its promotion, or stays when it is turned down."""
    return folder / "candidate"


def previous_of(folder: Path) -> Path:
    """Where the set in use before the last promotion is kept."""
    return folder / "previous"


def in_use(folder: Path) -> Path:
    """Where the whole set in use lies: the folder, or the candidate of a promotion that was interrupted."""
    return candidate_of(folder) if (candidate_of(folder) / MARK).exists() else folder


def stage(files: Mapping[str, str], folder: Path) -> Path:
    """Write a new set as the candidate of a folder; what waited there before is gone.

    An interrupted promotion is completed first.
    """
    candidate = candidate_of(folder)
    if in_use(folder) == candidate:
        _catch_up(folder)
    _fresh(candidate)
    try:
        _fill(candidate, files)
    except OSError:
        shutil.rmtree(candidate, ignore_errors=True)
        raise
    return candidate


def promote(folder: Path) -> None:
    """Put the candidate in use, and keep the set in use until now as the previous one."""
    old = {path.name: path.read_text(encoding="utf-8") for path in sorted(folder.glob("*.json"))}
    if old:
        _fresh(previous_of(folder))
        _fill(previous_of(folder), old)
    replace_text(candidate_of(folder) / MARK, "")
    _catch_up(folder)


def _catch_up(folder: Path) -> None:
    """Bring the folder up to its marked candidate; may be done again at any time."""
    candidate = candidate_of(folder)
    _fill(folder, {path.name: path.read_text(encoding="utf-8") for path in sorted(candidate.glob("*.json"))})
    (candidate / MARK).unlink()
    settle(candidate)
    shutil.rmtree(candidate)


def _fresh(folder: Path) -> None:
    if folder.exists():
        shutil.rmtree(folder)
    folder.mkdir(parents=True)


def _fill(folder: Path, files: Mapping[str, str]) -> None:
    """Write files that are on disk, whole, when this returns."""
    for name, text in files.items():
        replace_text(folder / name, text)
