"""Part of a model, with the rest of a solution held fast."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from tapas_opt.mip.model import BoolArray, FloatArray, IntArray, MipArrays
from tapas_opt.mip.pricing import Blocks

__all__ = ["Part", "part_of"]


@dataclass(frozen=True, slots=True)
class Part:
    """A model over some columns of another.

    Attributes
    ----------
    arrays
        Without names: nobody reads a part by name.
    column, row
        Which columns and rows of the whole they are.
    """

    arrays: MipArrays
    column: IntArray
    row: IntArray

    def merged(self, whole: FloatArray, values: FloatArray) -> FloatArray:
        """The whole's values with the part's in their places."""
        out = whole.copy()
        out[self.column] = values
        return out

    def spread(self, by_row: FloatArray, rows: int) -> FloatArray:
        """``[row]`` of the whole: a number for each row of the part, 0 elsewhere."""
        out = np.zeros(rows)
        out[self.row] = by_row
        return out


def part_of(blocks: Blocks, free: BoolArray, fixed: FloatArray) -> Part:
    """The model over the ``free`` columns, all others held at ``fixed``; rows without a free column drop out."""
    arrays = blocks.arrays
    column = np.flatnonzero(free)
    inner = blocks.whole_by_column[column].T.tocsr()
    row = np.flatnonzero(np.diff(inner.indptr) > 0)
    inner = inner[row]
    activity = (blocks.whole @ fixed)[row] - inner @ fixed[column] if fixed.any() else np.zeros(len(row))
    part = replace(
        arrays,
        cost=arrays.cost[column],
        lower=arrays.lower[column],
        upper=arrays.upper[column],
        integer=arrays.integer[column],
        row_lower=arrays.row_lower[row] - activity,
        row_upper=arrays.row_upper[row] - activity,
        start=inner.indptr.astype(np.int64),
        index=inner.indices.astype(np.int64),
        value=inner.data,
        column_blocks=(),
        row_blocks=(),
    )
    return Part(part, column, row)
