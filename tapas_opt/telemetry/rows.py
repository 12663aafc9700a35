"""Rows of an operator's file, in the columns, the units and the clock of the schema."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from tapas_opt.errors import InvalidInput
from tapas_opt.telemetry.columns import Constant, FileTable, TimeColumn
from tapas_opt.telemetry.tally import Tally
from tapas_opt.telemetry.units import UNITS

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["readings_of"]

FloatArray = NDArray[np.float64]

_MISSING = ("", "nan", "na", "n/a", "null", "none", "-", "[n/a]", "[not supported]")
"""How files say that there is no reading, in small letters."""

LATEST_S = 2.0**33
"""The year 2242: what says that it is later is a clock or a unit gone wrong, or "never"."""

_OFFSET = re.compile(r":\d{2}(?:[.,]\d+)?\s*(?:Z|UTC|GMT|[+-]\d{2}(?::?\d{2})?)$", re.IGNORECASE)


def readings_of(raw: pd.DataFrame, table: FileTable, file: str, tally: Tally) -> pd.DataFrame:
    """Turn rows of a file into rows of the schema: ``t_s``, names as text, readings as numbers, NaN where missing.

    Rows without a time are left out and counted, and so are cells that are no number.
    """
    import pandas as pd  # noqa: PLC0415  slow to import

    raw = raw.reset_index(drop=True)
    columns: dict[str, object] = {"t_s": _times(raw[table.time.column], table.time, file)}
    for name, source in table.name_sources().items():
        columns[name] = str(source.constant) if isinstance(source, Constant) else _texts(raw[source])
    for name, value in table.columns.items():
        path = f"{table.table}.{name}"
        if table.long is None:
            numbers = _numbers(raw[value.column], path, tally)
        else:
            its = _texts(raw[table.long.quantity]) == value.column
            numbers = np.full(len(raw), np.nan)
            numbers[its] = _numbers(raw[table.long.value][its], path, tally)
        unit = UNITS[value.unit]
        columns[name] = numbers * unit.scale + unit.offset
    frame = pd.DataFrame(columns, index=raw.index)
    t_s = frame["t_s"].to_numpy(dtype=np.float64)
    timed = (t_s >= 0) & (t_s < LATEST_S)
    tally.drop(f"{table.table}.t_s", "no time that can be read", int((~timed).sum()))
    kept: pd.DataFrame = frame.loc[timed]
    return kept


def _texts(column: pd.Series) -> pd.Series:
    """Names as text, without blanks around them; a whole number has no decimals."""
    import pandas as pd  # noqa: PLC0415  slow to import

    if pd.api.types.is_float_dtype(column):
        column = column.astype("Int64")
    return column.astype("string").str.strip()


def _numbers(column: pd.Series, path: str, tally: Tally) -> FloatArray:
    import pandas as pd  # noqa: PLC0415  slow to import

    values = pd.to_numeric(column, errors="coerce").to_numpy(dtype=np.float64, na_value=np.nan)
    unread = ~np.isfinite(values)
    if unread.any():
        texts = column[unread].astype("string").str.strip().str.lower()
        missing = (texts.isna() | texts.isin(_MISSING)).to_numpy(dtype=bool)
        tally.drop(path, "not a number", int((~missing).sum()))
    return np.where(unread, np.nan, values)


def _times(column: pd.Series, time: TimeColumn, file: str) -> FloatArray:
    """Unix time of each row, NaN where it cannot be read."""
    import pandas as pd  # noqa: PLC0415  slow to import

    if time.kind != "iso":
        numbers = pd.to_numeric(column, errors="coerce").to_numpy(dtype=np.float64, na_value=np.nan)
        return np.asarray(time.origin_s + numbers * (1e-3 if time.kind == "ms" else 1.0))
    if pd.api.types.is_datetime64_any_dtype(column):
        return _unix(_localised(column, time, file) if column.dt.tz is None else column)
    texts = column.astype("string").str.strip()
    form = time.pattern or "ISO8601"
    aware = texts.str.contains(_OFFSET).fillna(False).to_numpy(dtype=bool) | ("%z" in form)
    seconds = np.full(len(column), np.nan)
    seconds[aware] = _unix(pd.to_datetime(texts[aware], format=form, errors="coerce", utc=True))
    naive = pd.to_datetime(texts[~aware], format=form, errors="coerce")
    if naive.notna().any():
        seconds[~aware] = _unix(_localised(naive, time, file))
    return seconds


def _localised(moments: pd.Series, time: TimeColumn, file: str) -> pd.Series:
    if time.zone is None:
        what = "names no time zone; say zone: UTC, or another, under time"
        raise InvalidInput.one(file, f"column {time.column}", what)
    localised: pd.Series = moments.dt.tz_localize(time.zone, ambiguous="NaT", nonexistent="NaT")
    return localised


def _unix(moments: pd.Series) -> FloatArray:
    utc = moments.dt.tz_convert("UTC").dt.tz_localize(None).astype("datetime64[us]")
    return np.where(utc.isna().to_numpy(), np.nan, utc.to_numpy().astype(np.int64) / 1e6)
