"""Traces of LLM requests: one CSV file (plain or gzipped) per endpoint, as the public Azure traces are laid out."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from tapas_opt.errors import Fault, InvalidInput

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["COLUMNS", "read_trace"]

COLUMNS = ("t_s", "context_tokens", "generated_tokens")
"""Arrival (s since the trace began), prompt length and output length (tokens)."""

_SUFFIXES = (".csv.gz", ".csv")
_SHOWN = 5
"""Faults of one kind in one column that are listed; the rest are counted."""


def read_trace(folder: Path) -> dict[str, pd.DataFrame]:
    """Read every trace of a folder; the name of a file, without its suffix, is that of its endpoint.

    Raises
    ------
    InvalidInput
        Listing every fault of every file by column and line.
    """
    try:
        files = sorted(path for path in folder.iterdir() if path.name.endswith(_SUFFIXES))
    except OSError as error:
        raise InvalidInput.one(str(folder), "folder", f"cannot be read: {error.strerror}") from error
    if not files:
        raise InvalidInput.one(str(folder), "folder", "holds no .csv or .csv.gz file; expected one per endpoint")
    traces: dict[str, pd.DataFrame] = {}
    faults: list[Fault] = []
    for path in files:
        name = path.name.removesuffix(".gz").removesuffix(".csv")
        if name in traces:
            faults.append(Fault(path.name, f"endpoint {name!r} has two files; keep one"))
            continue
        traces[name], found = _read(path)
        faults += found
    if faults:
        raise InvalidInput(str(folder), faults)
    return traces


def _read(path: Path) -> tuple[pd.DataFrame, list[Fault]]:
    """The table of one file, and what is wrong with it."""
    import pandas as pd  # noqa: PLC0415  slow to import, and not needed to list a folder

    empty = pd.DataFrame({name: np.zeros(0) for name in COLUMNS})
    try:
        raw = pd.read_csv(path, dtype=str, keep_default_na=False)
    except (OSError, EOFError, ValueError, pd.errors.ParserError) as error:
        return empty, [Fault(path.name, f"cannot be read: {' '.join(str(error).split())}")]
    missing = [name for name in COLUMNS if name not in raw.columns]
    if missing:
        return empty, [Fault(f"{path.name}, column {name}", "is missing") for name in missing]
    if raw.empty:
        return empty, [Fault(path.name, "holds no request")]
    numbers = raw[list(COLUMNS)].apply(pd.to_numeric, errors="coerce").astype(np.float64)
    faults = [fault for name in COLUMNS for fault in _column_faults(path.name, name, raw[name], numbers[name])]
    if faults:
        return empty, faults
    return numbers.astype({"context_tokens": np.int64, "generated_tokens": np.int64}), []


def _column_faults(file: str, name: str, raw: pd.Series, numbers: pd.Series) -> Iterator[Fault]:
    finite = np.isfinite(numbers.to_numpy())
    yield from _listed(file, name, ~finite, raw, "must be a finite number")
    yield from _listed(file, name, finite & (numbers.to_numpy() < 0), raw, "must not be negative")
    if name == "t_s":
        back = np.concatenate([[False], np.diff(numbers.to_numpy()) < 0])
        yield from _listed(file, name, back, raw, "is earlier than the line before; sort the file by t_s")


def _listed(file: str, name: str, wrong: np.ndarray, raw: pd.Series, what: str) -> Iterator[Fault]:
    lines = np.flatnonzero(wrong)
    for i in lines[:_SHOWN]:
        yield Fault(f"{file}, line {i + 2}, column {name}", f"{raw.iloc[i]!r}: {what}")
    if len(lines) > _SHOWN:
        yield Fault(f"{file}, column {name}", f"{len(lines) - _SHOWN} more lines: {what}")
