"""History out of an operator's own CSV or parquet files: sorted into days first, so that memory is that of one day."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from tapas_opt.domain.history import TABLES, Column
from tapas_opt.domain.plausible import in_range
from tapas_opt.domain.topology import Topology
from tapas_opt.errors import Fault, InvalidInput
from tapas_opt.telemetry.columns import FileTable, Layout
from tapas_opt.telemetry.dense import Block, mean_in_slots
from tapas_opt.telemetry.hosts import Names
from tapas_opt.telemetry.importing import DAY_S, Part, Span
from tapas_opt.telemetry.rows import readings_of
from tapas_opt.telemetry.tally import Tally

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["FileHistory"]

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]

ROWS_AT_ONCE = 500_000
_SUFFIXES = {"csv": (".csv", ".csv.gz"), "parquet": (".parquet",)}
_LAST_NUMBER = re.compile(r"^\D*(\d{1,3})$")


@dataclass
class FileHistory:
    """Files of a folder in a layout; see :func:`tapas_opt.telemetry.importing.import_history`.

    Attributes
    ----------
    kind
        ``csv`` or ``parquet``.
    topology
        Site whose names count; without one every name is taken as it is.
    tally
        What was left out before a day was known: rows without a time, cells that are no number.
    """

    folder: Path
    kind: str
    layout: Layout
    step_s: int
    topology: Topology | None = None
    mapping: Mapping[str, str] = field(default_factory=dict)
    tally: Tally = field(default_factory=Tally)
    _work: Path = field(default_factory=Path, init=False)

    def files(self) -> list[list[Path]]:
        """Files of each table of the layout.

        Raises
        ------
        InvalidInput
            Listing every table without a file, and every file without a column that it needs.
        """
        found = [sorted(self._files(table)) for table in self.layout.tables]
        faults: list[Fault] = []
        for i, (table, files) in enumerate(zip(self.layout.tables, found, strict=True)):
            if not files:
                where = self.folder / (table.files or f"{table.table}{_SUFFIXES[self.kind][0]}")
                faults.append(Fault(f"tables[{i}]", f"no file {where}"))
            faults += [fault for file in files for fault in _column_faults(file, self.kind, table)]
        if faults:
            raise InvalidInput(str(self.folder), faults)
        return found

    def _files(self, table: FileTable) -> Iterator[Path]:
        if table.files is not None:
            yield from (path for path in self.folder.glob(table.files) if path.is_file())
            return
        for suffix in _SUFFIXES[self.kind]:
            path = self.folder / f"{table.table}{suffix}"
            if path.is_file():
                yield path

    def sort_into_days(self, work: Path, progress: Callable[[float, str], None] | None = None) -> list[Span]:
        """Read every file once, and keep its readings by day under ``work``; the days that have any.

        Raises
        ------
        InvalidInput
            See :meth:`files`; or if a file cannot be read to its end, or its times name no zone.
        """
        found = self.files()
        self._work = work / "rows"
        shutil.rmtree(self._work, ignore_errors=True)
        every = [(i, file) for i, files in enumerate(found) for file in files]
        for done, (i, file) in enumerate(every):
            if progress is not None:
                progress(done / len(every), file.name)
            for number, raw in enumerate(_chunks(file, self.kind, self.layout.tables[i])):
                readings = readings_of(raw, self.layout.tables[i], file.name, self.tally)
                self._keep(readings, f"{i:03d}-{done:06d}-{number:06d}")
        days = sorted(int(path.name) for path in self._work.iterdir()) if self._work.exists() else []
        return [Span(day, day + DAY_S, self.step_s) for day in days]

    def _keep(self, readings: pd.DataFrame, name: str) -> None:
        day = (readings["t_s"] // DAY_S).astype(np.int64) * DAY_S
        for start, rows in readings.groupby(day, sort=False):
            folder = self._work / f"{start:012d}"
            folder.mkdir(parents=True, exist_ok=True)
            rows.to_parquet(folder / f"{name}.parquet", index=False)

    def read(self, span: Span) -> Part:
        """Every table of one day; of two files that give one reading the earlier table of the layout is believed."""
        import pandas as pd  # noqa: PLC0415  slow to import

        tally = Tally()
        folder = self._work / f"{span.start_s:012d}"
        by_table: dict[str, list[tuple[FileTable, pd.DataFrame]]] = {}
        for i, table in enumerate(self.layout.tables):
            pieces = [pd.read_parquet(file) for file in sorted(folder.glob(f"{i:03d}-*.parquet"))]
            if pieces:
                by_table.setdefault(table.table, []).append((table, pd.concat(pieces, ignore_index=True)))
        tables = {name: self._block(name, pieces, span, tally).to_table() for name, pieces in by_table.items()}
        return Part(tables, tally)

    def _block(self, name: str, pieces: Sequence[tuple[FileTable, pd.DataFrame]], span: Span, tally: Tally) -> Block:
        owner = TABLES[name].key[1]
        names = self._names(owner, [frame for _, frame in pieces])
        placed = [(table, _placed(frame, owner, names, self._limit, tally)) for table, frame in pieces]
        width = 1 + max((int(rows.gpu.max()) for _, rows in placed if len(rows.gpu)), default=0)
        block = Block(TABLES[name], span.start_s, span.step_s, span.slots, names.names, width)
        for table, rows in placed:
            slot = ((rows.frame["t_s"].to_numpy() - span.start_s) // span.step_s).astype(np.int64)
            for column in TABLES[name].columns:
                if column.name in table.columns:
                    values = _column(column, f"{name}.{column.name}", rows, slot, block.shape, tally)
                    block.fill(column, values, tally, table.files or f"{name} of {self.kind}")
            if name == "vms":
                self._label(block, rows, slot, tally)
        return block

    def _names(self, owner: str, frames: Sequence[pd.DataFrame]) -> Names:
        t = self.topology
        known = {} if t is None else {"server": t.servers, "row": t.rows, "room": t.rooms}
        if owner in known:
            return Names(known[owner], self.mapping)
        # VMs are not the site's: they are called what the files call them.
        hosts = {} if owner == "vm" else self.mapping
        seen = sorted({str(label) for frame in frames for label in frame[owner].dropna().unique()})
        mapping = {label: hosts[label] for label in seen if label in hosts}
        return Names(sorted({mapping.get(label, label) for label in seen}), mapping)

    def _limit(self, server: int) -> int:
        """GPUs of a server of the site; as many as the schema has room for where there is no site."""
        if self.topology is None:
            return 64
        t = self.topology
        return t.site.hardware[t.hardware[t.server_hardware[server]]].gpus

    def _label(self, block: Block, rows: _Placed, slot: IntArray, tally: Tally) -> None:
        """Server, template and the like of each VM in each slot: those of its first row."""
        for column in block.table.columns:
            if column.kind == "str" and column.name not in block.table.key and column.name in rows.frame:
                values = rows.frame[column.name].to_numpy(dtype=object)
                if column.name == "server" and self.topology is not None:
                    values = _renamed(values, Names(self.topology.servers, self.mapping), tally)
                said = np.full(block.shape[:2], None, dtype=object)
                said[slot[::-1], rows.name[::-1]] = values[::-1]
                block.label(column.name, said)


def _renamed(labels: NDArray[np.object_], names: Names, tally: Tally) -> NDArray[np.object_]:
    """The site's names of servers, None where it has none."""
    numbers = [names.number(str(label)) for label in labels]
    for label, number in zip(labels, numbers, strict=True):
        if number is None:
            tally.miss("servers", str(label))
    return np.array([None if number is None else names.names[number] for number in numbers], dtype=object)


@dataclass(frozen=True)
class _Placed:
    """Rows whose owner is known, with the numbers of owner and GPU."""

    frame: pd.DataFrame
    name: IntArray
    gpu: IntArray


def _placed(frame: pd.DataFrame, owner: str, names: Names, limit: Callable[[int], int], tally: Tally) -> _Placed:
    labels, place = np.unique(frame[owner].fillna("").to_numpy(dtype=str), return_inverse=True)
    numbers = [names.number(str(label)) for label in labels]
    counts = np.bincount(place, minlength=len(labels))
    for label, number, count in zip(labels, numbers, counts, strict=True):
        if number is None:
            tally.miss(f"{owner}s", str(label) or "(no name)", int(count))
    name = np.array([-1 if number is None else number for number in numbers], dtype=np.int64)[place]
    gpu = np.zeros(len(frame), dtype=np.int64)
    if "gpu" in frame.columns:
        gpu = _gpus(frame["gpu"].fillna("").to_numpy(dtype=str), name, names, limit, tally)
    known = (name >= 0) & (gpu >= 0)
    return _Placed(frame[known], name[known], gpu[known])


def _gpus(texts: NDArray[np.str_], name: IntArray, names: Names, limit: Callable[[int], int], tally: Tally) -> IntArray:
    """Number of each row's GPU, from texts such as 3, gpu3 or nvidia3; −1 where the server has no such GPU."""
    labels, place = np.unique(texts, return_inverse=True)
    matches = [_LAST_NUMBER.match(str(label)) for label in labels]
    gpu = np.array([int(match[1]) if match else -1 for match in matches], dtype=np.int64)[place]
    owners, owner_place = np.unique(name, return_inverse=True)
    most = np.array([0 if owner < 0 else limit(int(owner)) for owner in owners], dtype=np.int64)[owner_place]
    wrong = (name >= 0) & ((gpu < 0) | (gpu >= most))
    pairs, counts = np.unique(np.stack([name[wrong], place[wrong]]), axis=1, return_counts=True)
    for (owner, label), count in zip(pairs.T, counts, strict=True):
        tally.miss("gpus", f"{names.names[owner]}/{labels[label] or '(no number)'}", int(count))
    return np.where(wrong, -1, gpu)


def _column(
    column: Column, path: str, rows: _Placed, slot: IntArray, shape: tuple[int, int, int], tally: Tally
) -> FloatArray:
    """Mean of each slot over readings that physics allows, each counted once."""
    import pandas as pd  # noqa: PLC0415  slow to import

    values = rows.frame[column.name].to_numpy(dtype=np.float64)
    there = ~np.isnan(values)
    believed = in_range(values, column)
    tally.drop(path, "outside the physical range", int((there & ~believed).sum()))
    keys = pd.DataFrame({"t": rows.frame["t_s"].to_numpy(), "n": rows.name, "g": rows.gpu})[believed]
    again = np.zeros(len(values), dtype=bool)
    again[np.flatnonzero(believed)[keys.duplicated().to_numpy()]] = True
    tally.drop(path, "said twice", int(again.sum()))
    take = believed & ~again
    return mean_in_slots(shape, slot[take], rows.name[take], rows.gpu[take], values[take])


def _column_faults(file: Path, kind: str, table: FileTable) -> Iterator[Fault]:
    try:
        there = _heading(file, kind)
    except (OSError, ValueError) as error:  # pandas' and pyarrow's errors of a broken file are ValueErrors
        yield Fault(file.name, f"cannot be read: {' '.join(str(error).split())}")
        return
    for name in table.needed():
        if name not in there:
            yield Fault(f"{file.name}, column {name}", f"is missing; the file has {', '.join(there)}")


def _heading(file: Path, kind: str) -> list[str]:
    if kind == "parquet":
        import pyarrow.parquet as pq  # noqa: PLC0415  slow to import

        return list(pq.read_schema(file).names)
    import pandas as pd  # noqa: PLC0415  slow to import

    return [str(name) for name in pd.read_csv(file, nrows=0).columns]


def _chunks(file: Path, kind: str, table: FileTable) -> Iterator[pd.DataFrame]:
    """Pieces of a file with the columns that are needed; those of CSV are text."""
    try:
        yield from _parquet_chunks(file, table) if kind == "parquet" else _csv_chunks(file, table)
    except (OSError, EOFError, ValueError) as error:
        if isinstance(error, InvalidInput):
            raise
        raise InvalidInput.one(file.name, "file", f"cannot be read: {' '.join(str(error).split())}") from error


def _csv_chunks(file: Path, table: FileTable) -> Iterator[pd.DataFrame]:
    import pandas as pd  # noqa: PLC0415  slow to import

    # All columns: given a choice of them, pandas shifts rows that are longer than the heading instead of refusing them.
    with pd.read_csv(file, chunksize=ROWS_AT_ONCE, dtype=str, keep_default_na=False) as chunks:
        for chunk in chunks:
            if not isinstance(chunk.index, pd.RangeIndex):
                raise ValueError(
                    "rows have more cells than the heading; is a comma a decimal one, or a text not quoted?"
                )
            yield chunk[table.needed()]


def _parquet_chunks(file: Path, table: FileTable) -> Iterator[pd.DataFrame]:
    import pyarrow.parquet as pq  # noqa: PLC0415  slow to import

    with pq.ParquetFile(file) as content:
        for batch in content.iter_batches(ROWS_AT_ONCE, columns=table.needed()):
            yield batch.to_pandas()
