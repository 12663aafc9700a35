"""Series of one metric brought together: whose they are, what is wrong with them, and who is believed."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tapas_opt.telemetry.names import Metric
from tapas_opt.telemetry.prometheus_api import Series
from tapas_opt.telemetry.tally import Tally

__all__ = ["Keyed", "blank", "combined"]

FloatArray = NDArray[np.float64]

DISAGREE_FRAC, DISAGREE_K = 0.05, 2.0
"""Two exporters of one sensor contradict each other beyond this share; two temperatures also beyond this difference."""


@dataclass(frozen=True, slots=True)
class Keyed:
    """A series and whose it is: number of its element, GPU, and which of several sensors (``part``)."""

    number: int
    gpu: int
    part: str
    series: Series


def blank(answer: Iterable[Series], wrong: Iterable[Series], metric: Metric, tally: Tally) -> None:
    """Leave out, in place, slots with a sample that is no number, or none that physics allows."""
    beyond = {_key(series): series.given for series in wrong}
    for series in answer:
        no_number = series.given & ~np.isfinite(series.values)
        absurd = beyond.get(_key(series), np.zeros_like(series.given)) & series.given & ~no_number
        tally.drop(metric.column, "not a number", int(no_number.sum()))
        tally.drop(metric.column, "outside the physical range", int(absurd.sum()))
        series.values[no_number | absurd] = np.nan


def _key(series: Series) -> tuple[tuple[str, str], ...]:
    return tuple(sorted(series.labels.items()))


def combined(metric: Metric, keyed: Iterable[Keyed], shape: tuple[int, int, int], tally: Tally) -> FloatArray:
    """``[slot, name, gpu]``: one series for each sensor, then the sensors of an owner together.

    A sum or a mean without one of its parts would be of something else: such a slot is missing. A sensor that never
    speaks is no part.
    """
    sensors: dict[tuple[int, int, str], FloatArray] = {}
    for item in keyed:
        first = sensors.setdefault((item.number, item.gpu, item.part), item.series.values)
        if first is not item.series.values:
            _merge(first, item.series.values, metric, tally)
    owners: dict[tuple[int, int], list[FloatArray]] = {}
    for (number, gpu, _), values in sensors.items():
        if np.isfinite(values).any():
            owners.setdefault((number, gpu), []).append(values)
    together = np.full(shape, np.nan)
    for (number, gpu), parts in owners.items():
        together[:, number, gpu] = np.sum(parts, axis=0) / (len(parts) if metric.combine == "mean" else 1)
    return together


def _merge(first: FloatArray, second: FloatArray, metric: Metric, tally: Tally) -> None:
    """A second exporter of the same sensor fills the gaps of the first; where both speak the first is believed."""
    both = np.isfinite(first) & np.isfinite(second)
    apart = np.abs(first - second)
    contradicts = both & (apart > DISAGREE_FRAC * np.abs(first))
    if metric.column.endswith("_c"):
        contradicts &= apart > DISAGREE_K
    tally.drop(metric.column, "said twice", int((both & ~contradicts).sum()))
    tally.drop(metric.column, "said twice, and differently", int(contradicts.sum()))
    gaps = np.isnan(first)
    first[gaps] = second[gaps]
