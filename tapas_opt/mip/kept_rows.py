"""A better bound where few choices are dear: some rows are kept as they are instead of being priced.

A price lets a choice be taken in part: half of a change that costs a thousand others, because half of it would do. Rows
that share no block with each other can be kept, and each is then a small exact problem over its own blocks, at the
prices of all other rows (Lagrangian relaxation of those only; Geoffrion 1974). The bound is never below the priced one.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from tapas_opt.mip import highs
from tapas_opt.mip.limits import Limits
from tapas_opt.mip.model import FloatArray, IntArray, MipArrays
from tapas_opt.mip.pricing import Blocks

__all__ = ["bound_with_kept_rows"]

MOST_COLUMNS = 5_000
"""Rows over more columns than this are no small problems."""

ROW_S = 0.5
"""Most that the exact problem of one row may take; its bound counts, closed or not."""


def bound_with_kept_rows(blocks: Blocks, price: FloatArray, relaxed: FloatArray, limits: Limits) -> float:
    """A lower bound on the cost of any solution.

    Parameters
    ----------
    price
        ``[coupling row]``, admissible.
    relaxed
        A solution of the linear program that goes with the prices; rows that are fractional in it are kept.
    limits
        Rows that are not reached in time stay priced.
    """
    bound, reduced = blocks.bound(price), blocks.reduced_costs(price)
    least = blocks.size * blocks.least(reduced)
    for row, inside in _kept(blocks, price, relaxed):
        if limits.left_s() <= 0:
            break
        found = highs.solve(_row_alone(blocks, row, inside, reduced, price[row]), **limits.within(ROW_S))
        priced = float(least[inside].sum()) + price[row] * _limit(blocks, row, price[row])
        if np.isfinite(found.bound):
            bound += max(0.0, found.bound - priced)
    return bound


def _kept(blocks: Blocks, price: FloatArray, relaxed: FloatArray) -> Iterator[tuple[int, IntArray]]:
    """Rows that share no block, those first whose price pays most for parts of choices; each with its blocks."""
    parts = np.abs(relaxed - np.rint(relaxed)) * ~blocks.is_loose
    paid = np.abs(price) * (abs(blocks.matrix) @ parts)
    taken = np.zeros(len(blocks.size), dtype=bool)
    for row in np.argsort(-paid, kind="stable"):
        if paid[row] <= 0:
            return
        inside = np.unique(blocks.block_of[blocks.entries_of(row)[0]])
        if inside[0] >= 0 and not taken[inside].any() and blocks.width[inside].sum() <= MOST_COLUMNS:
            taken[inside] = True
            yield int(row), inside


def _row_alone(blocks: Blocks, row: int, inside: IntArray, reduced: FloatArray, price: float) -> MipArrays:
    """The blocks of one row and that row, at the prices of all others."""
    width = blocks.width[inside]
    offset = np.concatenate([[0], np.cumsum(width)])
    column = blocks.column[np.arange(offset[-1]) + np.repeat(blocks.start[inside] - offset[:-1], width)]
    order = np.argsort(column)
    index, value = blocks.entries_of(row)
    filled = order[np.searchsorted(column, index, sorter=order)]
    arrays, at = blocks.arrays, blocks.row[row]
    cost = reduced[column]
    cost[filled] += price * value
    return MipArrays(
        cost=cost,
        lower=arrays.lower[column],
        upper=arrays.upper[column],
        integer=arrays.integer[column],
        row_lower=np.append(blocks.size[inside], arrays.row_lower[at]),
        row_upper=np.append(blocks.size[inside], arrays.row_upper[at]),
        start=np.append(offset, len(column) + len(filled)),
        index=np.concatenate([np.arange(len(column)), filled]),
        value=np.concatenate([np.ones(len(column)), value]),
        column_blocks=(),
        row_blocks=(),
    )


def _limit(blocks: Blocks, row: int, price: float) -> float:
    arrays, at = blocks.arrays, blocks.row[row]
    return float(arrays.row_lower[at] if price > 0 else arrays.row_upper[at])
