"""One table over a stretch of time, dense over slot, name and GPU: where readings of any source meet."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from tapas_opt.domain.history import Column, Table
from tapas_opt.domain.plausible import in_range
from tapas_opt.telemetry.tally import Tally

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["Block", "mean_in_slots", "schema_of"]

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]


class Block:
    """Readings of one table: ``[slot, name, gpu]`` by column, NaN where there is none.

    Parameters
    ----------
    first_s, step_s, slots
        Slot ``i`` begins at ``first_s + i · step_s``.
    names
        What the table's rows are about: servers, rows, rooms, VMs or instances.
    width
        GPUs of the largest server; 1 for tables that are not about GPUs.
    """

    def __init__(
        self, table: Table, first_s: float, step_s: float, slots: int, names: Sequence[str], width: int
    ) -> None:
        self.table = table
        self.names = tuple(names)
        self.shape = (slots, len(self.names), width)
        self.t_s = first_s + step_s * np.arange(slots, dtype=np.float64)
        self._values: dict[str, FloatArray] = {}
        self._texts: dict[str, NDArray[np.object_]] = {}

    def fill(self, column: Column, values: FloatArray, tally: Tally, source: str, *, whole: bool = False) -> None:
        """Take readings where there are none yet, and leave out what no sensor can have read.

        Parameters
        ----------
        values
            ``[slot, name, gpu]``, NaN where missing.
        whole
            Take nothing for an element that already has a reading here: another quantity must not fill its gaps.
        """
        path = f"{self.table.name}.{column.name}"
        present = ~np.isnan(values)
        finite = np.isfinite(values)
        believed = in_range(values, column)
        tally.drop(path, "not a number", int((present & ~finite).sum()))
        tally.drop(path, "outside the physical range", int((finite & ~believed).sum()))
        mine = self._values.setdefault(column.name, np.full(self.shape, np.nan))
        taken = np.isfinite(mine)
        if whole:
            taken = np.broadcast_to(taken.any(axis=0), taken.shape)
        new = believed & ~taken
        tally.use(path, source, int(new.sum()))
        mine[new] = values[new]

    def has(self, column: str) -> NDArray[np.bool_]:
        """``[name, gpu]`` whether an element has a reading of a column at all."""
        return np.asarray(np.isfinite(self.values(column)).any(axis=0))

    def values(self, column: str) -> FloatArray:
        """``[slot, name, gpu]`` of a column."""
        return self._values.get(column, np.full(self.shape, np.nan))

    def label(self, column: str, texts: NDArray[np.object_]) -> None:
        """Say the text of a column that is not a number, ``[slot, name]``, None where missing."""
        self._texts[column] = texts

    def to_table(self) -> pa.Table:
        """Rows that have any reading, by time, name and GPU, in the columns of the schema."""
        import pyarrow as pa  # noqa: PLC0415  slow to import

        there = np.zeros(self.shape, dtype=bool)
        for values in self._values.values():
            there |= np.isfinite(values)
        slot, name, gpu = np.nonzero(there)
        schema = schema_of(self.table)
        columns = [
            self._column(column, field.type, slot, name, gpu)
            for column, field in zip(self.table.columns, schema, strict=True)
        ]
        return pa.table(columns, schema=schema)

    def _column(self, column: Column, kind: pa.DataType, slot: IntArray, name: IntArray, gpu: IntArray) -> pa.Array:
        import pyarrow as pa  # noqa: PLC0415  slow to import

        if column.name == "t_s":
            return pa.array(self.t_s[slot], kind)
        if column.name == "gpu":
            return pa.array(gpu, kind)
        if column.name in self.table.key:
            return pa.DictionaryArray.from_arrays(
                pa.array(name.astype(np.int32)), pa.array(list(self.names), pa.string())
            )
        if column.kind == "str":
            texts = self._texts.get(column.name)
            said = np.full(len(slot), None, dtype=object) if texts is None else texts[slot, name]
            return pa.array(said, pa.string()).dictionary_encode()
        return pa.array(self.values(column.name)[slot, name, gpu].astype(np.float32), kind)


def mean_in_slots(
    shape: tuple[int, int, int], slot: IntArray, name: IntArray, gpu: IntArray, values: FloatArray
) -> FloatArray:
    """Mean of the readings of each slot, name and GPU; NaN where there is none."""
    place = np.ravel_multi_index((slot, name, gpu), shape)
    size = int(np.prod(shape))
    count = np.bincount(place, minlength=size)
    total = np.bincount(place, weights=values, minlength=size)
    return np.asarray(np.where(count > 0, total / np.maximum(count, 1), np.nan)).reshape(shape)


def schema_of(table: Table) -> pa.Schema:
    """Arrow schema of a table; times keep all their digits, seven of them are more than any sensor has."""
    import pyarrow as pa  # noqa: PLC0415  slow to import

    kinds = {"str": pa.dictionary(pa.int32(), pa.string()), "int64": pa.int64(), "float64": pa.float32()}
    return pa.schema([(c.name, pa.float64() if c.name == "t_s" else kinds[c.kind]) for c in table.columns])
