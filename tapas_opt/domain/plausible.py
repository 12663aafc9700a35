"""What readings can be believed: pure predicates on arrays, the same for history and for the running service."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from tapas_opt.domain.history import Column

__all__ = ["colder_than_its_air", "in_range", "lag_of", "median_of_present", "stands_still", "weaker_than_its_parts"]

Floats = NDArray[np.floating[Any]]
FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]
BoolArray = NDArray[np.bool_]

SENSOR_SPREAD_C = 3.0
"""Two good thermometers differ by less."""

METER_SPREAD_FRAC = 0.05
"""Two good power meters differ by less."""


def in_range(values: Floats, column: Column) -> BoolArray:
    """Which readings the sensor can physically have; NaN and infinite ones are not."""
    return np.asarray((values >= column.lowest) & (values <= column.highest) & np.isfinite(values))


def colder_than_its_air(temperature_c: Floats, inlet_c: Floats) -> BoolArray:
    """Which readings of a chip lie below the air that cools it by more than sensors differ; never where one is NaN."""
    return np.asarray(temperature_c < inlet_c - SENSOR_SPREAD_C)


def weaker_than_its_parts(whole_w: Floats, parts_w: Floats) -> BoolArray:
    """Which meters read less than the sum of what hangs on them by more than meters differ; never where one is NaN."""
    return np.asarray(whole_w < (1.0 - METER_SPREAD_FRAC) * parts_w)


def stands_still(values: Floats, driver: Floats, readings: int, least_span: float) -> BoolArray:
    """Which readings of ``[t, k]`` stay the same for ``readings`` or more while what drives them moves.

    Slots in which any sensor has a reading are looked at in blocks of half of ``readings``: all longer runs of one and
    a half times that many are found. Missing readings neither end a run nor begin one.

    Parameters
    ----------
    driver
        ``[t, k]`` what the readings follow.
    least_span
        By how much its means over blocks must differ within the run; with 0 it need not be known.
    """
    block = readings // 2
    still = np.zeros(values.shape, dtype=bool)
    there = np.flatnonzero(np.isfinite(values).any(axis=1))
    there = there[: there.size // block * block]
    if not there.size:
        return still
    low, high = _extremes(values[there], block)
    known = np.isfinite(low).T
    first, last = low.T[known], high.T[known]
    sensor = np.repeat(np.arange(len(known)), known.sum(axis=1))
    flat = first == last
    same = (first[1:] == first[:-1]) & flat[1:] & flat[:-1] & (sensor[1:] == sensor[:-1])
    start = np.flatnonzero(np.concatenate([[True], ~same]))
    blocks = np.diff(np.append(start, first.size))
    moved = _moved(driver[there], block, known, start) if least_span > 0 else np.zeros(start.size)
    found = np.zeros(known.shape, dtype=bool)
    found[known] = np.repeat((blocks > 1) & (moved >= least_span), blocks)
    still[there] = np.repeat(found.T, block, axis=0)
    return still


def _moved(driver: Floats, block: int, known: BoolArray, start: IntArray) -> Floats:
    """Highest less lowest mean of the driver over the known blocks of each run; 0 where it is not known.

    Means, since a single moment at another power need not show.
    """
    blocks = driver.reshape(-1, block, driver.shape[1])
    present = np.isfinite(blocks)
    count = present.sum(axis=1)
    mean = np.where(count > 0, np.where(present, blocks, 0.0).sum(axis=1) / np.maximum(count, 1), np.nan).T[known]
    return np.asarray(np.nan_to_num(np.fmax.reduceat(mean, start) - np.fmin.reduceat(mean, start)))


def _extremes(values: Floats, block: int) -> tuple[Floats, Floats]:
    """``[block, k]`` lowest and highest of each block; NaN where it has none."""
    blocks = values.reshape(-1, block, values.shape[1])
    return np.fmin.reduce(blocks, axis=1), np.fmax.reduce(blocks, axis=1)


def lag_of(values: Floats, driver: Floats, most: int) -> tuple[IntArray, FloatArray, FloatArray]:
    """By how many steps each sensor ``[t, k]`` follows what drives it: where their changes agree best.

    There must be more than ``most + 1`` slots.

    Returns
    -------
    tuple
        Best lag ``[k]`` in steps from 0 to ``most``, the correlation of changes there, and that at no lag.
    """
    change, moved = _changes(values), _changes(driver)
    size = np.sqrt((change**2).sum(axis=0) * (moved**2).sum(axis=0))
    steps = len(change)
    agreed = np.stack([np.einsum("tk,tk->k", change[lag:], moved[: steps - lag]) for lag in range(most + 1)])
    correlation = agreed / np.where(size > 0, size, np.inf)
    best = correlation.argmax(axis=0)
    return best, np.asarray(correlation.max(axis=0), dtype=np.float64), np.asarray(correlation[0], dtype=np.float64)


def median_of_present(values: Floats, axis: int) -> FloatArray:
    """Median along an axis of what is not NaN; NaN where nothing is."""
    ordered = np.sort(values, axis=axis)
    count = np.isfinite(ordered).sum(axis=axis, keepdims=True)
    low = np.take_along_axis(ordered, np.maximum(count - 1, 0) // 2, axis)
    high = np.take_along_axis(ordered, np.minimum(count // 2, values.shape[axis] - 1), axis)
    return np.asarray(np.where(count > 0, (low + high) / 2.0, np.nan).squeeze(axis), dtype=np.float64)


def _changes(values: Floats) -> Floats:
    change = np.diff(values, axis=0)
    return np.asarray(np.where(np.isfinite(change), change, 0.0))
