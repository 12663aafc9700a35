"""One table laid out in dense arrays while its rows stream by, each row judged on its own."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from tapas_opt.domain.history import Column, Refused, Table
from tapas_opt.domain.panel import SLOT_S
from tapas_opt.domain.plausible import in_range
from tapas_opt.telemetry.grid import NOWHERE, PARTS

__all__ = ["Sheet"]

Floats = NDArray[np.floating[Any]]
IntArray = NDArray[np.int64]
Codes = NDArray[np.int32]

LEAST_NAMED = 12
"""Impossible or repeated readings from which on a sensor is named: an hour of them."""


class Sheet:
    """Readings ``[t, sensor]`` of one table.

    A slot is split into :data:`PARTS` parts. In each part the first row stands, whatever the order of the rows, and the
    value of the slot is the mean over its parts: a history in minutes is averaged, a row that was sent twice counts
    once. Of names the first stands.
    """

    def __init__(self, table: Table, slots: int, sensors: Sequence[str], dtype: DTypeLike = np.float64) -> None:
        self.dropped = 0
        self._table, self._sensors, self._dtype = table, sensors, dtype
        self._shape = (slots, len(sensors))
        self._values: dict[str, Floats] = {}
        self._codes: dict[str, Codes] = {}
        self._parts = np.zeros(slots * len(sensors), dtype=np.uint8)
        self._absurd = {column.name: np.zeros(len(sensors), dtype=np.int64) for column in table.readings}
        self._again = np.zeros(len(sensors), dtype=np.int64)

    def add(
        self,
        slot: IntArray,
        part: IntArray,
        sensor: IntArray,
        values: Mapping[str, Floats],
        codes: Mapping[str, IntArray],
    ) -> None:
        """Lay some rows out; every one of them has a place."""
        cell = slot * len(self._sensors) + sensor
        for p in np.unique(part):
            of_part = np.flatnonzero(part == p)
            new = of_part[_first(cell[of_part])]
            new = new[self._parts[cell[new]] & (1 << p) == 0]
            self._count_again(sensor[of_part], sensor[new])
            before = self._parts[cell[new]]
            for name, readings in values.items():
                believed = self._believed(name, readings[new], sensor[new])
                _average(self._array(name), cell[new], before, believed)
            for name, numbers in codes.items():
                _keep_first(self._code(name), cell[new], before, numbers[new])
            self._parts[cell[new]] |= np.uint8(1 << p)

    def values(self, name: str) -> Any:
        """Readings of a column; all NaN where the history has none."""
        return self._array(name).reshape(self._shape)

    def codes(self, name: str) -> Codes:
        """Numbers of names; :data:`NOWHERE` where there is none."""
        return self._code(name).reshape(self._shape)

    def gated(self) -> dict[str, int]:
        """Readings outside their physical range by ``table.column``."""
        return {f"{self._table.name}.{name}": int(of.sum()) for name, of in self._absurd.items() if of.any()}

    def refused(self) -> Iterator[Refused]:
        """Sensors that often read what nothing can be, or that said the same time again and again."""
        for column in self._table.readings:
            reason = f"outside {column.lowest:g} to {column.highest:g}, or infinite"
            yield from self._named(column.name, self._absurd[column.name], LEAST_NAMED, reason)
        part_s = SLOT_S / PARTS
        reason = f"rows within {part_s:g} s of one before: sent twice, or by a clock that stood still"
        yield from self._named("t_s", self._again, LEAST_NAMED + 4 * float(np.median(self._again)), reason)

    def _named(self, column: str, count: IntArray, least: float, reason: str) -> Iterator[Refused]:
        for i in np.flatnonzero(count >= least).tolist():
            yield Refused(self._table.name, column, self._sensors[i], int(count[i]), reason)

    def _count_again(self, all_rows: IntArray, new: IntArray) -> None:
        if new.size < all_rows.size:
            of = np.bincount(all_rows, minlength=len(self._sensors)) - np.bincount(new, minlength=len(self._sensors))
            self._again += of
            self.dropped += int(of.sum())

    def _believed(self, name: str, values: Floats, sensor: IntArray) -> Floats:
        absurd = ~in_range(values, self._column(name)) & ~np.isnan(values)
        if not absurd.any():
            return values
        self._absurd[name] += np.bincount(sensor[absurd], minlength=len(self._sensors))
        return np.where(absurd, np.nan, values)

    def _column(self, name: str) -> Column:
        return next(column for column in self._table.columns if column.name == name)

    def _array(self, name: str) -> Floats:
        if name not in self._values:
            self._values[name] = np.full(self._parts.size, np.nan, dtype=self._dtype)
        return self._values[name]

    def _code(self, name: str) -> Codes:
        if name not in self._codes:
            self._codes[name] = np.full(self._parts.size, NOWHERE, dtype=np.int32)
        return self._codes[name]


def _first(cell: IntArray) -> IntArray:
    """Numbers of the rows that are the first of their cell."""
    if cell.size < 2 or (cell[1:] > cell[:-1]).all():
        return np.arange(cell.size)
    return np.unique(cell, return_index=True)[1]


def _average(of: Floats, cell: IntArray, before: NDArray[np.uint8], values: Floats) -> None:
    """Running mean over the parts of a slot; a part without a reading has no say."""
    if not before.any():
        of[cell] = values
        return
    old, parts = of[cell], np.unpackbits(before[:, None], axis=1).sum(axis=1)
    mean = old + (values - old) / (parts + 1.0)
    of[cell] = np.where(np.isnan(old), values, np.where(np.isnan(values), old, mean))


def _keep_first(of: Codes, cell: IntArray, before: NDArray[np.uint8], numbers: IntArray) -> None:
    of[cell] = np.where(before == 0, numbers, of[cell])
