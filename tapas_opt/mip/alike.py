"""Finding copies of one small model inside a large one: alike bins or servers that only share what is handed out.

Without the blocks' rows such a model falls apart into *units* that are equal to the last coefficient. Which unit gets
what does not matter then, only how often each *pattern* occurs: what one unit may take of each block.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from tapas_opt.mip.model import BoolArray, FloatArray, IntArray, MipArrays
from tapas_opt.mip.pricing import Blocks

if TYPE_CHECKING:
    from scipy.sparse import csr_array

__all__ = ["Alike", "alike_of"]


@dataclass(frozen=True)
class Alike:
    """Units that are all the same.

    Attributes
    ----------
    unit
        One of them as a model of its own.
    column
        ``[unit, column of the unit]`` which columns of the whole they are.
    block
        ``[column of the unit]`` the block that it takes from; -1 for a loose one.
    size
        ``[block]`` units that each block hands out.
    """

    unit: MipArrays
    column: IntArray
    block: IntArray
    size: FloatArray

    @property
    def taking(self) -> BoolArray:
        """``[column of the unit]`` whether it takes from a block."""
        return self.block >= 0

    @property
    def monotone(self) -> bool:
        """Whether a unit may always take less: rows have upper limits only, and what is taken only fills them."""
        a = self.unit
        fills = bool((a.value[self.taking[a.index]] >= 0).all())
        return fills and not np.isfinite(a.row_lower).any()

    @property
    def together(self) -> MipArrays:
        """All units as one, divisible at will: what the blocks hand out is taken, limits are as many times as high."""
        a, count = self.unit, len(self.column)
        taken = np.where(self.taking, self.size[np.maximum(0, self.block)], np.nan)
        return replace(
            a,
            lower=np.where(self.taking, taken, count * a.lower),
            upper=np.where(self.taking, taken, count * a.upper),
            integer=np.zeros_like(a.integer),
            row_lower=count * a.row_lower,
            row_upper=count * a.row_upper,
        )

    def spread(self, patterns: FloatArray, columns: int) -> FloatArray:
        """Values of the whole, one pattern ``[pattern, column of the unit]`` a unit, the rest of the units empty."""
        values = np.zeros(columns)
        values[self.column[: len(patterns)]] = patterns
        return values


def alike_of(blocks: Blocks, few_taken: float = np.inf) -> Alike | None:
    """The units of a model; None where there are not at least two, they differ, or an empty one is not free.

    Parameters
    ----------
    few_taken
        None, too, where units take more than this of all blocks on average.
    """
    arrays, longest = blocks.arrays, int(np.diff(blocks.matrix.indptr).max(initial=0))
    if blocks.size.sum() * longest > few_taken * arrays.columns_count:
        return None  # a unit holds the longest row, so that there are too few units
    unit_of = _units(blocks)
    count = int(unit_of.max(initial=-1)) + 1
    if (
        count < 2
        or blocks.size.sum() > few_taken * count
        or arrays.columns_count % count
        or (np.bincount(unit_of) != arrays.columns_count // count).any()
    ):
        return None
    column = np.argsort(unit_of, kind="stable").reshape(count, -1)
    block_of = blocks.block_of
    units = [blocks.by_column[members] for members in (column[0], *column[1:])]
    rows = [np.unique(unit.indices) for unit in units]
    if any(len(row) != len(rows[0]) for row in rows):
        return None
    first = units[0][:, rows[0]].T.tocsr()
    limits = [(arrays.row_lower[blocks.row[row]], arrays.row_upper[blocks.row[row]]) for row in rows]
    for members, unit, row, limit in zip(column[1:], units[1:], rows[1:], limits[1:], strict=True):
        same = (unit[:, row].T.tocsr() != first).nnz == 0 and np.array_equal(limit, limits[0])
        numbers = (arrays.cost, arrays.lower, arrays.upper, arrays.integer, block_of)
        if not same or any((number[members] != number[column[0]]).any() for number in numbers):
            return None
    unit = _model_of(arrays, column[0], first, limits[0])
    if unit.worst_violation(np.zeros(unit.columns_count)) > 0 or not unit.integer.all():
        return None
    return Alike(unit, column, block_of[column[0]], blocks.size)


def _units(blocks: Blocks) -> IntArray:
    """``[column]`` the part of the model that it belongs to once the blocks' rows are gone."""
    from scipy.sparse import bmat  # noqa: PLC0415  slow to import, and only a solve needs it
    from scipy.sparse.csgraph import connected_components  # noqa: PLC0415

    matrix = blocks.matrix
    _, label = connected_components(bmat([[None, matrix.T], [matrix, None]], format="csr"), directed=False)
    return np.unique(label[: blocks.arrays.columns_count], return_inverse=True)[1].astype(np.int64)


def _model_of(
    arrays: MipArrays, column: IntArray, matrix: csr_array, limits: tuple[FloatArray, FloatArray]
) -> MipArrays:
    return MipArrays(
        cost=arrays.cost[column],
        lower=arrays.lower[column],
        upper=arrays.upper[column],
        integer=arrays.integer[column],
        row_lower=limits[0],
        row_upper=limits[1],
        start=matrix.indptr.astype(np.int64),
        index=matrix.indices.astype(np.int64),
        value=matrix.data,
        column_blocks=(),
        row_blocks=(),
    )
