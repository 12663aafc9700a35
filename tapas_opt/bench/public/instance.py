"""What the suites' instances have in common, and how files of numbers are read."""

from __future__ import annotations

import csv
import gzip
import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from tapas_opt.errors import Fault, InvalidInput
from tapas_opt.mip.model import MipArrays

__all__ = ["Judged", "Numbers", "PublicInstance", "best_known_of", "instance_name", "json_lines", "text_files"]

FloatArray = NDArray[np.float64]

SUFFIXES = (".gz", ".txt", ".jsonl")

FAULTS_NAMED = 20


@dataclass(frozen=True, slots=True)
class Judged:
    """What plain loops over a file's numbers make of a solution: its cost, and every rule that it breaks."""

    cost: float
    violations: tuple[str, ...]


class PublicInstance(Protocol):
    """An instance of a public suite; always a minimisation."""

    @property
    def name(self) -> str:
        """Its name, as in the files."""

    @property
    def best_known(self) -> float | None:
        """Least cost that anybody published."""

    def arrays(self) -> MipArrays:
        """The instance as columns and rows."""

    def start(self) -> FloatArray | None:
        """A solution that a simple rule finds, in the columns of `arrays`; None where no rule is sure to find one."""

    def judged(self, values: FloatArray) -> Judged:
        """The independent checker's word: plain loops over the file's numbers, nothing of `arrays` but the order."""


class Numbers:
    """The numbers of a text file, taken from the front.

    Raises
    ------
    InvalidInput
        Naming every word that is no finite number, with its line.
    """

    def __init__(self, path: Path) -> None:
        self._path, self._at = path, 0
        words = [(word, number) for number, line in enumerate(_lines(path), 1) for word in line.split()]
        faults = [Fault(f"line {n}", f"{word!r} is no finite number") for word, n in words if not _is_number(word)]
        if faults:
            raise InvalidInput(str(path), faults[:FAULTS_NAMED])
        self._values = [float(word) for word, _ in words]

    def take(self, count: int, what: str) -> list[float]:
        """The next numbers; `InvalidInput` if the file ends before."""
        taken = self._values[self._at : self._at + count]
        if len(taken) < count:
            missing = count - len(taken)
            raise InvalidInput.one(str(self._path), "end of file", f"{missing} numbers are missing: {what}")
        self._at += count
        return taken

    def count(self, what: str) -> int:
        """The next number, which must be whole and at least 1."""
        (value,) = self.take(1, what)
        if value < 1 or value != int(value):
            raise InvalidInput.one(str(self._path), what, f"{value:g}: must be a whole number of at least 1")
        return int(value)

    def finish(self) -> None:
        """Raise `InvalidInput` if numbers are left over."""
        left = len(self._values) - self._at
        if left:
            raise InvalidInput.one(str(self._path), "end of file", f"{left} numbers more than the instance has")


def text_files(path: Path) -> list[Path]:
    """Files ``*.txt`` and ``*.txt.gz`` of a folder, or the one file."""
    return _files(path, ".txt")


def instance_name(path: Path) -> str:
    """The file's name without what says how it is packed."""
    name = path.name
    for suffix in SUFFIXES:
        name = name.removesuffix(suffix)
    return name


def best_known_of(path: Path, column: str) -> Mapping[str, float]:
    """Best-known values of ``best_known.csv``, by instance name; none where there is no such file.

    Parameters
    ----------
    column
        Heading of the column that names the instance or its file.
    """
    file = (path if path.is_dir() else path.parent) / "best_known.csv"
    if not file.exists():
        return {}
    with file.open(newline="", encoding="utf-8") as stream:
        rows = list(csv.DictReader(stream))
    faults = [
        Fault(f"line {number}", f"needs {column} and a number best_known")
        for number, row in enumerate(rows, 2)
        if not row.get(column) or not _is_number(row.get("best_known") or "")
    ]
    if faults:
        raise InvalidInput(str(file), faults[:FAULTS_NAMED])
    return {instance_name(Path(row[column])): float(row["best_known"]) for row in rows}


def json_lines(path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """Every line of the folder's ``*.jsonl`` and ``*.jsonl.gz``: where it stands, and its object.

    Raises
    ------
    InvalidInput
        A line is no JSON object.
    """
    for file in _files(path, ".jsonl"):
        for number, line in enumerate(_lines(file), 1):
            try:
                found = json.loads(line)
            except ValueError:
                found = None
            if not isinstance(found, dict):
                raise InvalidInput.one(str(file), f"line {number}", "must be one JSON object")
            yield f"{instance_name(file)}, line {number}", found


def _files(path: Path, suffix: str) -> list[Path]:
    found = [path] if path.is_file() else path.iterdir()
    return sorted(file for file in found if file.name.endswith((suffix, f"{suffix}.gz")))


def _lines(path: Path) -> list[str]:
    try:
        raw = path.read_bytes()
        return (gzip.decompress(raw) if path.suffix == ".gz" else raw).decode("utf-8").splitlines()
    except (OSError, EOFError, UnicodeDecodeError) as error:
        raise InvalidInput.one(str(path), "file", f"cannot be read: {error}") from None


def _is_number(word: str) -> bool:
    try:
        return math.isfinite(float(word))
    except ValueError:
        return False
