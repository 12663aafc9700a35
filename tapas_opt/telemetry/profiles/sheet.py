"""A published table of measurements, gated: every column there, every number one that can be."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from tapas_opt.errors import Fault, InvalidInput

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Columns", "Number", "Words", "read_sheet"]

_SHOWN = 5
"""Faults of one kind in one column that are listed; the rest are counted."""


@dataclass(frozen=True, slots=True)
class Number:
    """A column of numbers above ``least`` and up to ``most``."""

    least: float = 0.0
    most: float = float("inf")
    zero_is_missing: bool = False


@dataclass(frozen=True, slots=True)
class Words:
    """A column of names; of these only, if any are given."""

    known: tuple[str, ...] = ()


Columns = Mapping[str, Number | Words]
"""What a table has to have."""


def read_sheet(path: Path, columns: Columns) -> pd.DataFrame:
    """Read a CSV file, plain or gzipped: the columns asked for, numbers as such, NaN where a missing one is allowed.

    Raises
    ------
    InvalidInput
        Listing what is wrong with every column and cell, by line.
    """
    import pandas as pd  # noqa: PLC0415  slow to import

    try:
        raw = pd.read_csv(path, dtype=str, keep_default_na=False)
    except (OSError, EOFError, ValueError, pd.errors.ParserError) as error:
        raise InvalidInput.one(str(path), "file", f"cannot be read: {' '.join(str(error).split())}") from error
    faults = [Fault(f"column {name}", "is missing") for name in columns if name not in raw.columns]
    if raw.empty:
        faults.append(Fault("file", "holds no measurement"))
    table = pd.DataFrame(index=raw.index)
    for name, kind in columns.items() if not faults else ():
        if isinstance(kind, Words):
            table[name] = raw[name].str.strip()
            faults += _listed(name, _unknown(table[name], kind), raw, _asked(kind))
        else:
            table[name], wrong = _numbers(raw[name], kind)
            faults += _listed(name, wrong, raw, f"must be a number above {kind.least:g} and at most {kind.most:g}")
    if faults:
        raise InvalidInput(str(path), faults)
    return table


def _unknown(values: pd.Series, kind: Words) -> np.ndarray:
    return (~values.isin(kind.known) if kind.known else values == "").to_numpy()


def _asked(kind: Words) -> str:
    return f"must be one of {', '.join(kind.known)}" if kind.known else "must not be empty"


def _numbers(raw: pd.Series, kind: Number) -> tuple[pd.Series, np.ndarray]:
    import pandas as pd  # noqa: PLC0415

    values = pd.to_numeric(raw, errors="coerce").astype(np.float64)
    if kind.zero_is_missing:
        missing = (values == 0.0) | (raw.str.strip() == "")
        values = values.mask(missing)
        return values, (~missing & ~((values > kind.least) & (values <= kind.most))).to_numpy()
    return values, ~((values > kind.least) & (values <= kind.most)).to_numpy()


def _listed(name: str, wrong: np.ndarray, raw: pd.DataFrame, what: str) -> Iterator[Fault]:
    lines = np.flatnonzero(wrong)
    for i in lines[:_SHOWN]:
        yield Fault(f"line {i + 2}, column {name}", f"{raw[name].iloc[i]!r}: {what}")
    if len(lines) > _SHOWN:
        yield Fault(f"column {name}", f"{len(lines) - _SHOWN} more lines: {what}")
