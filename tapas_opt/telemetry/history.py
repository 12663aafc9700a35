"""History from a folder of parquet files: checked against the schema, gated, without duplicates, sorted."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from tapas_opt.domain.history import TABLES, Column, Refused, Table
from tapas_opt.domain.panel import Panel
from tapas_opt.domain.topology import Topology
from tapas_opt.errors import Fault, InvalidInput
from tapas_opt.telemetry.panel import panel_of

__all__ = ["GatedHistory", "History", "read_history", "read_panel"]

BoolArray = NDArray[np.bool_]


@dataclass(frozen=True)
class History:
    """Frames by table name, in the columns and the order of the schema; missing readings are NaN.

    Attributes
    ----------
    gated
        Readings outside their physical range, now NaN, counted by ``table.column``.
    dropped
        Rows whose key was missing, impossible or already there, counted by table.
    """

    tables: Mapping[str, pd.DataFrame]
    gated: Mapping[str, int]
    dropped: Mapping[str, int]


@dataclass(frozen=True)
class GatedHistory:
    """A history laid out, and everything in it that was not believed.

    Attributes
    ----------
    gated
        Readings outside their physical range, now NaN, counted by ``table.column``.
    dropped
        Rows whose key was missing, impossible or already there, counted by table.
    refused
        Sensors that are not believed although their readings lie in range: stuck, off their peers, denied by others.
    missing
        Optional tables (``rows``) and columns (``gpus.memory_temperature_c``) that the folder does not have.
    """

    panel: Panel
    gated: Mapping[str, int]
    dropped: Mapping[str, int]
    refused: tuple[Refused, ...]
    missing: tuple[str, ...]


def read_panel(
    folder: Path,
    topology: Topology,
    *,
    since_s: float | None = None,
    until_s: float | None = None,
    truth: bool = False,
    progress: Callable[[str], None] = lambda table: None,
) -> GatedHistory:
    """Read the history in ``folder`` into a panel of the site, a piece of a table at a time.

    Parameters
    ----------
    since_s, until_s
        Only readings with ``since_s <= t_s < until_s``; days are counted from the first of them.
    truth
        Read ``truth_<table>`` instead (but for ``vms``), and believe it: only impossible readings are refused.
    progress
        Called with the name of each table when it has been read.

    Raises
    ------
    InvalidInput
        Listing every required table and column that is missing or of the wrong type; or if the window holds no
        reading of a server of the site.
    """
    history = read_history(folder)
    lo, hi = (-np.inf if since_s is None else since_s), (np.inf if until_s is None else until_s)
    tables = {name: t[(t["t_s"] >= lo) & (t["t_s"] < hi)] for name, t in history.tables.items()}
    for name in tables:
        progress(name)
    return GatedHistory(panel_of(tables, topology), history.gated, history.dropped, refused=(), missing=())


def read_history(folder: Path) -> History:
    """Read every table of the schema from ``folder``.

    Raises
    ------
    InvalidInput
        Listing every table and column that is missing or of the wrong type.
    """
    faults = [fault for table in TABLES.values() for fault in _table_faults(folder / f"{table.name}.parquet", table)]
    if faults:
        raise InvalidInput(str(folder), faults)
    tables: dict[str, pd.DataFrame] = {}
    gated: dict[str, int] = {}
    dropped: dict[str, int] = {}
    for table in TABLES.values():
        frame = _frame(folder / f"{table.name}.parquet", table)
        gated |= _gate(frame, table)
        tables[table.name] = _one_row_per_key(frame, table)
        dropped[table.name] = len(frame) - len(tables[table.name])
    return History(tables, gated, dropped)


def _table_faults(path: Path, table: Table) -> Iterator[Fault]:
    try:
        schema = pq.read_schema(path)
    except FileNotFoundError:
        yield Fault(path.name, f"is missing; the table needs the columns {', '.join(c.name for c in table.columns)}")
        return
    except (OSError, pa.ArrowException) as error:
        yield Fault(path.name, f"is not a parquet file: {' '.join(str(error).split())}")
        return
    for column in table.columns:
        if column.name not in schema.names:
            yield Fault(f"{path.name}: {column.name}", f"is missing; expected a column of {column.kind}")
        elif not _ACCEPTED[column.kind](schema.field(column.name).type):
            found = schema.field(column.name).type
            yield Fault(f"{path.name}: {column.name}", f"is of type {found}; expected {column.kind}")


def _is_text(kind: pa.DataType) -> bool:
    inner = kind.value_type if pa.types.is_dictionary(kind) else kind
    return bool(pa.types.is_string(inner) or pa.types.is_large_string(inner))


def _is_number(kind: pa.DataType) -> bool:
    return bool(pa.types.is_floating(kind) or pa.types.is_integer(kind))


_ACCEPTED: dict[str, Callable[[pa.DataType], bool]] = {
    "str": _is_text,
    "int64": pa.types.is_integer,
    "float64": _is_number,
}


def _frame(path: Path, table: Table) -> pd.DataFrame:
    """Only the columns of the schema; names as categories, since a table repeats few of them millions of times."""
    names = [column.name for column in table.columns]
    text = [column.name for column in table.columns if column.kind == "str"]
    raw = pq.read_table(path, columns=names, read_dictionary=text).unify_dictionaries()
    return pd.DataFrame({column.name: _values(raw.column(column.name), column) for column in table.columns})


def _values(values: pa.ChunkedArray, column: Column) -> pd.Series[float] | pd.Categorical:
    """Codes of names follow their alphabet; numbers are float64, missing ones NaN."""
    series = values.to_pandas()
    if column.kind == "str":
        names = pd.Categorical(series)
        return names.reorder_categories(sorted(names.categories))
    return pd.Series(series.to_numpy(dtype=np.float64, na_value=np.nan))


def _gate(frame: pd.DataFrame, table: Table) -> dict[str, int]:
    """Turn what a sensor cannot physically have read into NaN, in place, and count it."""
    counts: dict[str, int] = {}
    for column in table.columns:
        if column.kind == "str":
            continue
        values = frame[column.name].to_numpy()
        absurd = ~np.isnan(values) & ~((values >= column.lowest) & (values <= column.highest) & np.isfinite(values))
        frame[column.name] = np.where(absurd, np.nan, values)
        if absurd.any():
            counts[f"{table.name}.{column.name}"] = int(absurd.sum())
    return counts


def _one_row_per_key(frame: pd.DataFrame, table: Table) -> pd.DataFrame:
    """Rows with a whole key, sorted by it; of several with the same key, the first in the file."""
    frame = frame.dropna(subset=list(table.key))
    keys = [_sortable(frame[name]) for name in table.key]
    order = np.lexsort(keys[::-1])
    repeated = np.ones(len(frame), dtype=bool)
    repeated[:1] = False
    for key in keys:
        repeated[1:] &= np.diff(key[order]) == 0
    whole = frame.iloc[order[~repeated]].reset_index(drop=True)
    integers = {column.name: np.int64 for column in table.columns if column.kind == "int64"}
    return whole.astype(integers)


def _sortable(key: pd.Series[float]) -> NDArray[np.float64]:
    return np.asarray(key.cat.codes if isinstance(key.dtype, pd.CategoricalDtype) else key, dtype=np.float64)
