"""Traces of LLM requests: one file (plain or gzipped) per endpoint, as public traces are laid out.

CSV as the Azure traces of 2023 are kept by us (``t_s``, ``context_tokens``, ``generated_tokens``) or as BurstGPT is
(``Timestamp``, ``Request tokens``, ``Response tokens``); or an object a line as Mooncake's are (``timestamp`` in ms,
``input_length``, ``output_length``).
"""

from __future__ import annotations

import gzip
import json
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

_LAYOUTS = {
    COLUMNS: 1.0,
    ("Timestamp", "Request tokens", "Response tokens"): 1.0,
    ("timestamp", "input_length", "output_length"): 1e-3,
}
"""What the three columns are called, and how many seconds one of the first is."""

_SUFFIXES = (".csv.gz", ".csv", ".jsonl.gz", ".jsonl")
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
        raise InvalidInput.one(
            str(folder), "folder", "holds no .csv or .csv.gz file, and no .jsonl; expected one per endpoint"
        )
    traces: dict[str, pd.DataFrame] = {}
    faults: list[Fault] = []
    for path in files:
        name = path.name.removesuffix(".gz").removesuffix(".csv").removesuffix(".jsonl")
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
        raw = _objects(path) if ".jsonl" in path.suffixes else pd.read_csv(path, dtype=str, keep_default_na=False)
    except (OSError, EOFError, ValueError, pd.errors.ParserError) as error:
        return empty, [Fault(path.name, f"cannot be read: {' '.join(str(error).split())}")]
    layout = next((names for names in _LAYOUTS if names[0] in raw.columns), COLUMNS)
    missing = [name for name in layout if name not in raw.columns]
    if raw.empty:
        return empty, [Fault(path.name, "holds no request")]
    if missing:
        return empty, [Fault(f"{path.name}, column {name}", "is missing") for name in missing]
    raw.index += 1 if ".jsonl" in path.suffixes else 2  # lines of the file, as faults name them
    numbers = raw[list(layout)].apply(pd.to_numeric, errors="coerce").astype(np.float64)
    faults = [
        fault
        for name in layout
        for fault in _column_faults(path.name, name, raw[name], numbers[name], rising=name == layout[0])
    ]
    if faults:
        return empty, faults
    numbers = numbers.set_axis(list(COLUMNS), axis="columns").reset_index(drop=True)
    numbers["t_s"] *= _LAYOUTS[layout]
    return numbers.astype({"context_tokens": np.int64, "generated_tokens": np.int64}), []


def _objects(path: Path) -> pd.DataFrame:
    """A table of one JSON object a line; ValueError names the first line that is none."""
    import pandas as pd  # noqa: PLC0415

    with gzip.open(path, "rt", encoding="utf-8") if path.suffix == ".gz" else path.open(encoding="utf-8") as file:
        rows = []
        for line, text in enumerate(file, start=1):
            try:
                row = json.loads(text)
            except ValueError as error:
                raise ValueError(f"line {line}: {error}") from error
            if not isinstance(row, dict):
                raise ValueError(f"line {line}: is no JSON object")
            rows.append({name: str(value) for name, value in row.items() if not isinstance(value, list)})
    return pd.DataFrame(rows)


def _column_faults(file: str, name: str, raw: pd.Series, numbers: pd.Series, *, rising: bool) -> Iterator[Fault]:
    finite = np.isfinite(numbers.to_numpy())
    yield from _listed(file, name, ~finite, raw, "must be a finite number")
    yield from _listed(file, name, finite & (numbers.to_numpy() < 0), raw, "must not be negative")
    if rising:
        back = np.concatenate([[False], np.diff(numbers.to_numpy()) < 0])
        yield from _listed(file, name, back, raw, f"is earlier than the line before; sort the file by {name}")


def _listed(file: str, name: str, wrong: np.ndarray, raw: pd.Series, what: str) -> Iterator[Fault]:
    for line, text in raw[wrong][:_SHOWN].items():
        yield Fault(f"{file}, line {line}, column {name}", f"{text!r}: {what}")
    if wrong.sum() > _SHOWN:
        yield Fault(f"{file}, column {name}", f"{wrong.sum() - _SHOWN} more lines: {what}")
