"""A mixed-integer program as named blocks of columns and rows, and the arrays that solvers take.

The verbs are few on purpose: :meth:`MipModel.columns`, :meth:`MipModel.rows`, :meth:`MipModel.add`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import product

import numpy as np
from numpy.typing import ArrayLike, NDArray

from tapas_opt.errors import Fault, InvalidInput

__all__ = ["Block", "MipArrays", "MipModel"]

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]
BoolArray = NDArray[np.bool_]

ABSENT = -1
"""Marks a place of a block that has no column (or row); entries that name it are dropped."""

FAULTS_NAMED = 20
"""A model with more faults than this names the first ones and counts the rest."""


@dataclass(frozen=True, slots=True)
class Block:
    """A family of columns or rows over labelled axes, such as ``assign[v, s]``."""

    name: str
    axes: tuple[tuple[str, ...], ...]
    present: BoolArray

    def names(self) -> Iterator[str]:
        """Name each present member, ``assign[VM1,S2]``; a block without axes is its bare name."""
        if not self.axes:
            yield self.name
            return
        for labels, present in zip(product(*self.axes), self.present.ravel(), strict=True):
            if present:
                yield f"{self.name}[{','.join(labels)}]"


@dataclass(frozen=True, slots=True)
class MipArrays:
    """Minimise ``cost·x`` subject to ``row_lower ≤ A·x ≤ row_upper`` and the columns' bounds.

    ``A`` is stored by rows (CSR): the entries of row r are ``start[r]:start[r + 1]`` of ``index`` and ``value``.
    """

    cost: FloatArray
    lower: FloatArray
    upper: FloatArray
    integer: BoolArray
    row_lower: FloatArray
    row_upper: FloatArray
    start: IntArray
    index: IntArray
    value: FloatArray
    column_blocks: tuple[Block, ...]
    row_blocks: tuple[Block, ...]

    @property
    def columns_count(self) -> int:
        """Number of columns."""
        return len(self.cost)

    @property
    def rows_count(self) -> int:
        """Number of rows."""
        return len(self.row_lower)

    def column_names(self) -> list[str]:
        """Name of each column, in order."""
        return [name for block in self.column_blocks for name in block.names()]

    def row_names(self) -> list[str]:
        """Name of each row, in order."""
        return [name for block in self.row_blocks for name in block.names()]

    def activity(self, x: FloatArray) -> FloatArray:
        """``A·x``, one value a row."""
        weights = self.value * x[self.index]
        return np.bincount(self.row_of_entry, weights=weights, minlength=self.rows_count).astype(np.float64)

    def objective(self, x: FloatArray) -> float:
        """``cost·x``."""
        return float(self.cost @ x)

    def worst_violation(self, x: FloatArray) -> float:
        """Largest amount by which ``x`` breaks a row or a bound, relative to max(1, |limit|); infinite for a NaN."""
        if not np.isfinite(x).all():
            return np.inf
        activity = self.activity(x)
        gaps = [
            _relative_excess(activity - self.row_upper, self.row_upper),
            _relative_excess(self.row_lower - activity, self.row_lower),
            _relative_excess(x - self.upper, self.upper),
            _relative_excess(self.lower - x, self.lower),
        ]
        return max(0.0, *gaps)

    @property
    def row_of_entry(self) -> IntArray:
        """Row of each entry of ``value``."""
        return np.repeat(np.arange(self.rows_count), np.diff(self.start))

    @property
    def costless(self) -> MipArrays:
        """The same model without a cost: any solution is as good as another."""
        return replace(self, cost=np.zeros(self.columns_count))

    def require_start(self, start: FloatArray) -> None:
        """Raise `InvalidInput` unless there is a finite value for each column."""
        if start.shape != (self.columns_count,) or not np.isfinite(start).all():
            raise InvalidInput.one("start", "values", f"needs {self.columns_count} finite values, shape {start.shape}")

    def require_numbers(self) -> None:
        """Raise `InvalidInput` that names the columns and rows whose numbers no solver could read.

        Costs and coefficients must be finite, bounds must not be NaN, a lower bound not +inf, an upper one not -inf.
        """
        columns = ~np.isfinite(self.cost) | _unusable(self.lower, self.upper)
        rows = _unusable(self.row_lower, self.row_upper)
        rows[self.row_of_entry[~np.isfinite(self.value)]] = True
        if columns.any() or rows.any():
            raise InvalidInput("mixed-integer program", [*self._column_faults(columns), *self._row_faults(rows)])

    def _column_faults(self, at: BoolArray) -> list[Fault]:
        names = self.column_names() if at.any() else []
        numbers = [f"cost {self.cost[j]}, bounds [{self.lower[j]}, {self.upper[j]}]" for j in np.flatnonzero(at)]
        return _faults("column", [names[j] for j in np.flatnonzero(at)], numbers)

    def _row_faults(self, at: BoolArray) -> list[Fault]:
        names = self.row_names() if at.any() else []
        numbers = [f"bounds [{self.row_lower[r]}, {self.row_upper[r]}]" for r in np.flatnonzero(at)]
        return _faults("row", [names[r] for r in np.flatnonzero(at)], numbers)


def _unusable(lower: FloatArray, upper: FloatArray) -> BoolArray:
    wrong: BoolArray = np.isnan(lower) | np.isnan(upper) | (lower == np.inf) | (upper == -np.inf)
    return wrong


def _faults(kind: str, names: Sequence[str], numbers: Sequence[str]) -> list[Fault]:
    told = [
        Fault(f"{kind} {name}", f"{number}; NaN and meaningless infinities are refused, coefficients included")
        for name, number in zip(names[:FAULTS_NAMED], numbers, strict=False)
    ]
    more = len(names) - FAULTS_NAMED
    return [*told, Fault(f"{more} more {kind}s", "likewise")] if more > 0 else told


def _relative_excess(excess: FloatArray, limit: FloatArray) -> float:
    finite = np.isfinite(limit)
    if not finite.any():
        return 0.0
    return float((excess[finite] / np.maximum(1.0, np.abs(limit[finite]))).max())


class MipModel:
    """Collects blocks of columns and rows; :meth:`arrays` hands them to a solver."""

    def __init__(self) -> None:
        self._columns = _Blocks()
        self._rows = _Blocks()
        self._cost: list[FloatArray] = []
        self._integer: list[BoolArray] = []
        self._entries: list[tuple[IntArray, IntArray, FloatArray]] = []

    def columns(
        self,
        name: str,
        *axes: Sequence[str],
        where: ArrayLike = True,
        lower: ArrayLike = 0.0,
        upper: ArrayLike = np.inf,
        cost: ArrayLike = 0.0,
        integer: bool = False,
    ) -> IntArray:
        """Add a block of columns and return their numbers.

        Parameters
        ----------
        name, axes
            Family name and the labels along each axis.
        where
            Broadcast to the block's shape; places that are false get no column and the number -1.
        lower, upper, cost
            Broadcast to the block's shape.
        integer
            Whether the whole block must take integer values.

        Returns
        -------
        array of int, shape ``[len(axis) for axis in axes]``
        """
        numbers, present = self._columns.add(name, axes, where, lower, upper)
        self._cost.append(_flat(cost, present))
        self._integer.append(np.full(int(present.sum()), integer))
        return numbers

    def rows(
        self,
        name: str,
        *axes: Sequence[str],
        where: ArrayLike = True,
        lower: ArrayLike = -np.inf,
        upper: ArrayLike = np.inf,
    ) -> IntArray:
        """Add a block of rows ``lower ≤ … ≤ upper`` and return their numbers (as :meth:`columns`)."""
        return self._rows.add(name, axes, where, lower, upper)[0]

    def add(self, rows: ArrayLike, columns: ArrayLike, coefficients: ArrayLike) -> None:
        """Add ``coefficients × columns`` to ``rows``; the three broadcast, absent places and zeros drop out."""
        row, column, value = np.broadcast_arrays(
            np.asarray(rows, dtype=np.int64),
            np.asarray(columns, dtype=np.int64),
            np.asarray(coefficients, dtype=np.float64),
        )
        keep = (row != ABSENT) & (column != ABSENT) & (value != 0.0)
        self._entries.append((row[keep], column[keep], value[keep]))

    def arrays(self) -> MipArrays:
        """The model as arrays; entries of the same row and column are summed."""
        start, index, value = self._compressed_rows()
        return MipArrays(
            cost=_joined(self._cost),
            lower=_joined(self._columns.lower),
            upper=_joined(self._columns.upper),
            integer=np.concatenate([np.zeros(0, dtype=bool), *self._integer]),
            row_lower=_joined(self._rows.lower),
            row_upper=_joined(self._rows.upper),
            start=start,
            index=index,
            value=value,
            column_blocks=tuple(self._columns.blocks),
            row_blocks=tuple(self._rows.blocks),
        )

    def _compressed_rows(self) -> tuple[IntArray, IntArray, FloatArray]:
        from scipy.sparse import coo_array  # noqa: PLC0415  slow to import; sorts millions of entries in linear time

        none = np.zeros(0, dtype=np.int64)
        row = np.concatenate([none, *(entry[0] for entry in self._entries)])
        column = np.concatenate([none, *(entry[1] for entry in self._entries)])
        value = _joined([entry[2] for entry in self._entries])
        rows = coo_array((value, (row, column)), shape=(self._rows.count, self._columns.count)).tocsr()
        rows.sum_duplicates()
        return rows.indptr.astype(np.int64), rows.indices.astype(np.int64), rows.data


class _Blocks:
    """Numbering, bounds and labels of one side (columns or rows) of a model."""

    def __init__(self) -> None:
        self.blocks: list[Block] = []
        self.lower: list[FloatArray] = []
        self.upper: list[FloatArray] = []
        self.count = 0

    def add(
        self, name: str, axes: Sequence[Sequence[str]], where: ArrayLike, lower: ArrayLike, upper: ArrayLike
    ) -> tuple[IntArray, BoolArray]:
        shape = tuple(len(axis) for axis in axes)
        present = np.broadcast_to(np.asarray(where, dtype=bool), shape).copy()
        numbers = np.full(shape, ABSENT, dtype=np.int64)
        added = int(present.sum())
        numbers[present] = np.arange(self.count, self.count + added)
        self.count += added
        self.blocks.append(Block(name, tuple(tuple(axis) for axis in axes), present))
        self.lower.append(_flat(lower, present))
        self.upper.append(_flat(upper, present))
        return numbers, present


def _flat(values: ArrayLike, present: BoolArray) -> FloatArray:
    return np.broadcast_to(np.asarray(values, dtype=np.float64), present.shape)[present]


def _joined(parts: Sequence[FloatArray]) -> FloatArray:
    return np.concatenate([np.zeros(0), *parts])
