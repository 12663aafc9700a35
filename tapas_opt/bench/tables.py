"""Reading the tables of a suite, and splitting them by time."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, timedelta
from pathlib import Path
from typing import Literal

import pandas as pd

from tapas_opt.errors import Fault, InvalidInput

__all__ = ["ColumnKind", "first_judged_day", "read_table"]

ColumnKind = Literal["number", "time", "text"]

TRAINED_FRAC = 2 / 3


def read_table(path: Path, columns: Mapping[str, ColumnKind], pattern: str = "*") -> pd.DataFrame:
    """Read all parquet and CSV files of a folder, or one such file, as one table of the given columns.

    Parameters
    ----------
    columns
        Name → kind of its values.
    pattern
        Which files of the folder belong to the table, such as ``rates.*``.

    Raises
    ------
    InvalidInput
        Listing every fault of every file: none there, unreadable, columns missing or not of their kind.
    """
    files = sorted(file for file in _files(path) if file.match(pattern)) if path.is_dir() else [path]
    if not files:
        raise InvalidInput.one(
            str(path), "folder", f"has no parquet or CSV file {pattern}; it must have {_said(columns)}"
        )
    tables, faults = [], []
    for file in files:
        table, found = _read_file(file, columns)
        tables.append(table)
        faults += found
    if not faults and not sum(map(len, tables)):
        faults.append(Fault("rows", "there are none"))
    if faults:
        raise InvalidInput(str(path), faults)
    return pd.concat(tables, ignore_index=True)


def first_judged_day(days: pd.Series, train_until: date | None, path: Path) -> pd.Timestamp:
    """Return the first day that is judged; all before it is for learning.

    Parameters
    ----------
    days
        All times of the table, in UTC.
    train_until
        None: after two thirds of the days.

    Raises
    ------
    InvalidInput
        If no day is left to learn from or to judge on.
    """
    if days.isna().all():
        raise InvalidInput.one(str(path), str(days.name), "has no time at all")
    first, last = pd.Timestamp(days.min()).normalize(), pd.Timestamp(days.max()).normalize()
    if train_until is None:
        return first + timedelta(days=round(TRAINED_FRAC * (last - first).days) + 1)
    split = pd.Timestamp(train_until, tz=first.tz)
    if not first < split <= last:
        what = f"{train_until}: must lie after the first day, {first.date()}, and not after the last, {last.date()}"
        raise InvalidInput.one(str(path), "train_until", what)
    return split


def _files(path: Path) -> list[Path]:
    return [file for file in path.iterdir() if file.suffix in (".parquet", ".csv")]


def _said(columns: Mapping[str, ColumnKind]) -> str:
    return "columns " + ", ".join(f"{name} ({kind})" for name, kind in columns.items())


def _read_file(file: Path, columns: Mapping[str, ColumnKind]) -> tuple[pd.DataFrame, list[Fault]]:
    """One file's wanted columns, and all that is wrong with them."""
    try:
        table = pd.read_csv(file) if file.suffix == ".csv" else pd.read_parquet(file)
    except (OSError, ValueError) as error:
        return pd.DataFrame(), [Fault(file.name, f"cannot be read: {error}")]
    faults = []
    for name, kind in columns.items():
        if name not in table:
            faults.append(
                Fault(
                    f"{file.name}: {name}",
                    f"the column ({kind}) is missing; there are {', '.join(map(str, table.columns))}",
                )
            )
            continue
        try:
            table[name] = _as_kind(table[name], kind)
        except (ValueError, TypeError) as error:
            faults.append(Fault(f"{file.name}: {name}", f"is not {kind}: {error}"))
    return (table[list(columns)] if not faults else pd.DataFrame()), faults


def _as_kind(values: pd.Series, kind: ColumnKind) -> pd.Series:
    if kind == "time":
        return pd.to_datetime(values, utc=True, format="ISO8601")
    return pd.to_numeric(values).astype("float64") if kind == "number" else values.astype(str)
