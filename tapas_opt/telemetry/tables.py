"""The tables of a history as streams of batches, from parquet or CSV files of a folder or from frames in memory."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
from numpy.typing import NDArray

from tapas_opt.domain.history import TABLES, Column, Table
from tapas_opt.errors import Fault, InvalidInput

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Source", "numbers", "sources_in", "sources_of"]

BATCH_ROWS = 1 << 19
"""Rows in memory at a time: some tens of megabytes."""

CSV_BLOCK_BYTES = 1 << 24
_SUFFIXES = (".parquet", ".csv", ".csv.gz")
_ARROW = {"str": pa.dictionary(pa.int32(), pa.string()), "int64": pa.int64(), "float64": pa.float64()}

Floats = NDArray[np.floating[Any]]
Batches = Callable[[tuple[str, ...], float, float], Iterator[pa.RecordBatch]]


@dataclass(frozen=True)
class Source:
    """One table that is there.

    Attributes
    ----------
    columns
        Those of the schema that it has.
    batches
        Called with names of columns and a window of time: batches with these columns that hold all rows of the window,
        and perhaps others.
    """

    table: Table
    columns: tuple[str, ...]
    batches: Batches


def sources_in(folder: Path, prefix: str = "") -> tuple[dict[str, Source], tuple[str, ...]]:
    """Tables ``<prefix><table>`` of a folder, and the names of optional tables and columns that it does not have.

    VMs are not sensed: their table has no prefix.

    Raises
    ------
    InvalidInput
        Listing every required table and column that is missing, and every column of the wrong type.
    """
    sources: dict[str, Source] = {}
    missing: list[str] = []
    faults: list[Fault] = []
    for table in TABLES.values():
        stem = table.name if table.name == "vms" else prefix + table.name
        path = _file(folder, stem)
        if path is None:
            if table.required:
                needed = ", ".join(column.name for column in table.columns if column.required)
                what = f"is missing (parquet or CSV); the table needs the columns {needed}"
                faults.append(Fault(f"{stem}.parquet", what))
            missing.append(table.name)
            continue
        try:
            source, types = _opened(path, table)
        except (OSError, pa.ArrowException) as error:
            faults.append(Fault(path.name, f"cannot be read as {path.suffix[1:]}: {_line(error)}"))
            continue
        faults += _faults(path.name, table, types)
        missing += _missing(table, types)
        sources[table.name] = source
    if faults:
        raise InvalidInput(str(folder), faults)
    return sources, tuple(missing)


def sources_of(tables: Mapping[str, pd.DataFrame]) -> tuple[dict[str, Source], tuple[str, ...]]:
    """The same of frames in memory."""
    sources: dict[str, Source] = {}
    missing: list[str] = []
    faults: list[Fault] = []
    for table in TABLES.values():
        frame = tables.get(table.name)
        if frame is None:
            missing.append(table.name)
            if table.required:
                faults.append(Fault(table.name, "is missing"))
            continue
        names = tuple(column.name for column in table.columns if column.name in frame)
        whole = pa.Table.from_pandas(frame[list(names)], preserve_index=False)
        types = {name: whole.schema.field(name).type for name in names}
        faults += _faults(table.name, table, types)
        missing += _missing(table, types)
        sources[table.name] = Source(table, names, partial(_of_memory, whole))
    if faults:
        raise InvalidInput("history", faults)
    return sources, tuple(missing)


def _file(folder: Path, name: str) -> Path | None:
    return next((path for suffix in _SUFFIXES if (path := folder / f"{name}{suffix}").is_file()), None)


def _opened(path: Path, table: Table) -> tuple[Source, dict[str, pa.DataType | None]]:
    """A file as a source, and the types of its columns; None where text is yet to become numbers."""
    if path.suffix == ".parquet":
        schema = pq.read_schema(path)
        types = {name: schema.field(name).type for name in _known(table, schema.names)}
        return Source(table, tuple(types), partial(_of_parquet, path)), types
    with pa.csv.open_csv(path) as reader:
        names = _known(table, reader.schema.names)
    return Source(table, tuple(names), partial(_of_csv, path, table)), dict.fromkeys(names)


def _known(table: Table, names: list[str]) -> list[str]:
    return [column.name for column in table.columns if column.name in names]


def _of_parquet(path: Path, names: tuple[str, ...], since_s: float, until_s: float) -> Iterator[pa.RecordBatch]:
    text = [column.name for table in TABLES.values() for column in table.columns if column.kind == "str"]
    with pq.ParquetFile(path, read_dictionary=[n for n in names if n in text], pre_buffer=False) as file:
        groups = [i for i in range(file.num_row_groups) if _overlaps(file.metadata.row_group(i), since_s, until_s)]
        yield from file.iter_batches(BATCH_ROWS, row_groups=groups, columns=list(names))


def _overlaps(group: pq.RowGroupMetaData, since_s: float, until_s: float) -> bool:
    """Whether rows of a group may lie in the window; yes where the file does not say."""
    for i in range(group.num_columns):
        column = group.column(i)
        if column.path_in_schema == "t_s" and column.is_stats_set and column.statistics.has_min_max:
            return bool(column.statistics.max >= since_s and column.statistics.min < until_s)
    return True


def _of_csv(
    path: Path, table: Table, names: tuple[str, ...], since_s: float, until_s: float
) -> Iterator[pa.RecordBatch]:
    types = {column.name: _ARROW[column.kind] for column in table.columns if column.name in names}
    convert = pa.csv.ConvertOptions(include_columns=list(names), column_types=types, strings_can_be_null=True)
    read = pa.csv.ReadOptions(block_size=CSV_BLOCK_BYTES)
    try:
        with pa.csv.open_csv(path, read_options=read, convert_options=convert) as reader:
            yield from reader
    except pa.ArrowException as error:
        raise InvalidInput.one(str(path.parent), path.name, _line(error)) from error


def _of_memory(whole: pa.Table, names: tuple[str, ...], since_s: float, until_s: float) -> Iterator[pa.RecordBatch]:
    yield from whole.select(list(names)).to_batches(BATCH_ROWS)


def _missing(table: Table, types: Mapping[str, object]) -> list[str]:
    return [f"{table.name}.{c.name}" for c in table.columns if c.name not in types and not c.required]


def _faults(where: str, table: Table, types: Mapping[str, pa.DataType | None]) -> Iterator[Fault]:
    for column in table.columns:
        if column.name not in types:
            if column.required:
                yield Fault(f"{where}: {column.name}", f"is missing; expected a column of {column.kind}")
        elif (found := types[column.name]) is not None and not _accepted(column, found):
            yield Fault(f"{where}: {column.name}", f"is of type {found}; expected {column.kind}")


def _accepted(column: Column, kind: pa.DataType) -> bool:
    inner = kind.value_type if pa.types.is_dictionary(kind) else kind
    if pa.types.is_null(inner):
        return True
    if column.kind == "str":
        return bool(pa.types.is_string(inner) or pa.types.is_large_string(inner))
    return bool(pa.types.is_integer(kind) or (column.kind == "float64" and pa.types.is_floating(kind)))


def _line(error: BaseException) -> str:
    return " ".join(str(error).split())


def numbers(column: pa.Array) -> Floats:
    """A column of numbers; missing ones are NaN."""
    if pa.types.is_null(column.type):
        return np.full(len(column), np.nan)
    values = column.to_numpy(zero_copy_only=False)
    return np.asarray(values if values.dtype.kind == "f" else values.astype(np.float64))
