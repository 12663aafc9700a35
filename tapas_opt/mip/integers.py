"""A model rewritten in integers only, with every column in a finite box."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tapas_opt.errors import Fault, InvalidInput
from tapas_opt.mip.model import FAULTS_NAMED, BoolArray, FloatArray, IntArray, MipArrays

__all__ = ["EDGE", "IntegerArrays", "in_integers", "is_whole"]

EDGE = 1_000_000_000
"""Box for a column that neither its own bounds, nor the rows, nor its cost keep finite."""

POWERS = 10.0 ** np.arange(7)
"""Scales tried for each row: its smallest that makes all coefficients integral is taken."""

EXACT = 2.0**53
"""Beyond this a float no longer tells one integer from the next."""

LARGEST = 2.0**62
"""Activities of 64-bit rows must stay below this."""


@dataclass(frozen=True, slots=True)
class IntegerArrays:
    """Columns and rows of a `MipArrays` as 64-bit integers, in the same order.

    Attributes
    ----------
    open
        Columns whose box is `EDGE`: beyond it nothing is searched and nothing is proven.
    cost_scale
        Integer costs are the model's costs times this.
    """

    lower: IntArray
    upper: IntArray
    open: BoolArray
    cost: IntArray
    cost_scale: float
    row_lower: IntArray
    row_upper: IntArray
    value: IntArray

    @property
    def crossed(self) -> bool:
        """Whether a column or a row has no integer between its bounds."""
        return bool((self.lower > self.upper).any() or (self.row_lower > self.row_upper).any())


def in_integers(arrays: MipArrays) -> IntegerArrays:
    """Rewrite the model in integers without changing its solutions.

    A row is scaled by the smallest power of ten up to 1e6 that makes its coefficients integral. Its
    activity is then an integer, so that rounding its bounds inward loses nothing.

    Raises
    ------
    InvalidInput
        Names the columns that are continuous or have a cost off the grid, and the rows that are off
        the grid or do not fit into 64 bits.
    """
    row, column = arrays.row_of_entry, np.arange(arrays.columns_count)
    scale = _scales(arrays.value, row, arrays.rows_count)
    cost_scale = _scales(arrays.cost, np.zeros_like(column), 1)
    _require_integers(arrays, scale, cost_scale)
    lower, upper, is_open = _box(arrays)
    value, cost = np.rint(arrays.value * scale[row]), np.rint(arrays.cost * cost_scale[0])
    _require_64_bits(arrays, value, cost, np.maximum(np.abs(lower), np.abs(upper)))
    return IntegerArrays(
        lower=lower.astype(np.int64),
        upper=upper.astype(np.int64),
        open=is_open,
        cost=cost.astype(np.int64),
        cost_scale=float(cost_scale[0]),
        row_lower=np.clip(_up(arrays.row_lower * scale), -LARGEST, LARGEST).astype(np.int64),
        row_upper=np.clip(_down(arrays.row_upper * scale), -LARGEST, LARGEST).astype(np.int64),
        value=value.astype(np.int64),
    )


def is_whole(arrays: MipArrays) -> bool:
    """Whether the model, and with it each part of it, is in integers within finite bounds."""
    if not (arrays.integer.all() and np.isfinite(arrays.lower).all() and np.isfinite(arrays.upper).all()):
        return False
    try:
        in_integers(arrays)
    except InvalidInput:
        return False
    return True


def _scales(value: FloatArray, group: IntArray, groups: int) -> FloatArray:
    """Smallest power of ten per group that makes all its values integral; 0 where none does."""
    scale = np.zeros(groups)
    for power in POWERS:
        misses = np.bincount(group, weights=~_integral(value * power), minlength=groups)
        scale[(scale == 0.0) & (misses == 0)] = power
        if scale.all():
            break
    return scale


def _integral(x: FloatArray) -> BoolArray:
    return (np.abs(x - np.rint(x)) <= _noise(x)) & (np.abs(x) < EXACT)


def _noise(x: FloatArray) -> FloatArray:
    """What scaling may have added to an integer: 0.29 * 100 is 28.999999999999996."""
    return 1e-9 + 4 * np.finfo(np.float64).eps * np.where(np.isfinite(x), np.abs(x), 0.0)


def _up(x: FloatArray) -> FloatArray:
    return np.ceil(x - _noise(x))


def _down(x: FloatArray) -> FloatArray:
    return np.floor(x + _noise(x))


def _require_integers(arrays: MipArrays, scale: FloatArray, cost_scale: FloatArray) -> None:
    faults = _column_faults(arrays, ~arrays.integer, "is continuous; state it on an integer grid")
    if not cost_scale.all():
        off_grid = ~_integral(arrays.cost * POWERS[-1])
        faults += _column_faults(arrays, off_grid, "has a cost that is no multiple of 1e-6; round it")
    faults += _row_faults(arrays, scale == 0.0, "has a coefficient that is no multiple of 1e-6; round it")
    if faults:
        raise InvalidInput("model for an integer solver", faults)


def _require_64_bits(arrays: MipArrays, value: FloatArray, cost: FloatArray, largest: FloatArray) -> None:
    weights = np.abs(value) * largest[arrays.index]
    activity = np.bincount(arrays.row_of_entry, weights=weights, minlength=arrays.rows_count)
    faults = _row_faults(arrays, activity >= LARGEST, "overflows 64 bits; use a coarser grid or tighter bounds")
    if np.abs(cost) @ largest >= LARGEST:
        faults.append(Fault("objective", "overflows 64 bits; use a coarser grid or tighter bounds"))
    if faults:
        raise InvalidInput("model for an integer solver", faults)


def _column_faults(arrays: MipArrays, at: BoolArray, what: str) -> list[Fault]:
    names = arrays.column_names() if at.any() else []
    return [Fault(f"column {names[j]}", what) for j in np.flatnonzero(at)[:FAULTS_NAMED]]


def _row_faults(arrays: MipArrays, at: BoolArray, what: str) -> list[Fault]:
    names = arrays.row_names() if at.any() else []
    return [Fault(f"row {names[r]}", what) for r in np.flatnonzero(at)[:FAULTS_NAMED]]


def _box(arrays: MipArrays) -> tuple[FloatArray, FloatArray, BoolArray]:
    """Finite integer bounds that keep an optimal solution, and the columns for which none were found."""
    lower = _infinite_if_inexact(_up(arrays.lower))
    upper = _infinite_if_inexact(_down(arrays.upper))
    for _ in range(2):
        if np.isfinite(lower).all() and np.isfinite(upper).all():
            break
        upper = np.where(np.isinf(upper), _highest_needed(arrays, arrays.value, arrays.cost, lower, upper), upper)
        # The same for x' = -x, whose upper bound is the lower bound of x.
        mirrored = _highest_needed(arrays, -arrays.value, -arrays.cost, -upper, -lower)
        lower = np.where(np.isinf(lower), -mirrored, lower)
    is_open = np.isinf(lower) | np.isinf(upper)
    floor, ceiling = np.minimum(-EDGE, upper), np.maximum(EDGE, lower)
    return np.where(np.isinf(lower), floor, lower), np.where(np.isinf(upper), ceiling, upper), is_open


def _infinite_if_inexact(bound: FloatArray) -> FloatArray:
    return np.where(np.abs(bound) < EXACT, bound, np.copysign(np.inf, bound))


def _highest_needed(
    arrays: MipArrays, value: FloatArray, cost: FloatArray, lower: FloatArray, upper: FloatArray
) -> FloatArray:
    """Per column, a value that some optimal solution does not pass; inf where none is known.

    Either no row lets the column pass it, or, where a higher value costs something or nothing, every row that
    wants the column high is content there, whatever the other columns are.
    """
    entry = value != 0.0
    a, row, column = value[entry], arrays.row_of_entry[entry], arrays.index[entry]
    others_low = _others(np.where(a > 0, a * lower[column], a * upper[column]), row, arrays.rows_count)
    others_high = _others(np.where(a > 0, a * upper[column], a * lower[column]), row, arrays.rows_count)
    row_lower, row_upper = arrays.row_lower[row], arrays.row_upper[row]

    possible = np.full(len(cost), np.inf)
    np.minimum.at(possible, column, np.where(a > 0, row_upper - others_low, row_lower - others_high) / a)
    limit, others = np.where(a > 0, row_lower, row_upper), np.where(a > 0, others_low, others_high)
    wants = np.isfinite(limit)
    enough = np.maximum(lower, 0.0)
    np.maximum.at(enough, column[wants], (limit[wants] - others[wants]) / a[wants])
    enough[cost < 0] = np.inf
    return _infinite_if_inexact(np.minimum(_down(possible), np.ceil(enough)))


def _others(contribution: FloatArray, row: IntArray, rows: int) -> FloatArray:
    """Per entry, what the row's other entries add up to; an infinity that is one's own does not count."""
    finite = np.isfinite(contribution)
    own = np.where(finite, contribution, 0.0)
    total = np.bincount(row, weights=own, minlength=rows)
    infinities = np.bincount(row, weights=~finite, minlength=rows)
    sign = np.zeros(rows)
    sign[row[~finite]] = contribution[~finite]
    return np.where(infinities[row] - ~finite > 0, sign[row], total[row] - own)
