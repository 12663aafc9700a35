"""What is said of a model on given days."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tapas_opt.learn.artefact import ModelErrors

__all__ = ["DayErrors", "Judgement", "PlaceErrors"]

FloatArray = NDArray[np.float64]

EXTRAPOLATED_FRAC = 0.01
"""Ranges leave out the outermost thousandths of the fitting days; a share beyond them above this is worth a note."""


@dataclass(frozen=True, slots=True)
class DayErrors:
    """One day: mean of observed − predicted, mean of its absolute value, and how many readings that is.

    Attributes
    ----------
    from_s
        When its first slot begins.
    coverage
        As that of :class:`Judgement`; None where nothing was read.
    """

    from_s: float
    bias: float
    mae: float
    rows: int
    coverage: float | None


@dataclass(frozen=True, slots=True)
class PlaceErrors:
    """One server or domain over all judged days, as :class:`DayErrors`."""

    name: str
    mae: float
    bias: float
    rows: int


@dataclass(frozen=True)
class Judgement:
    """How one model did on given days, through the functions that control asks.

    Attributes
    ----------
    mae, bias, p95_error
        Mean of |observed − predicted|, of observed − predicted, and 95th percentile of the former, in ``unit``; 0
        without readings.
    mean_observed
        What the errors may be compared with; None for errors that are relative already.
    coverage
        Share of what ``promise`` names (server-day maxima, readings …) that stayed below the upper value.
    promises
        How many of them there were.
    coverage_hottest_days, coverage_top_hours
        The same on the hottest fifth of the days by outdoor maximum, and in the top 5 % of hours by power (there of
        each hour's maxima). None where nothing was read then.
    coverage_row_day
        Share of row-days whose highest reading stayed below the row's highest upper value; None for what promises
        about single readings.
    rows
        Readings judged.
    refused_frac
        Share of the readings due that could not be judged: missing or refused, they or the model's inputs.
    beyond
        Share of each input outside the range of the fitting days.
    sample
        Predicted and observed of a fixed draw of readings, for pictures.
    """

    name: str
    unit: str
    promise: str
    level: float
    mae: float
    bias: float
    p95_error: float
    mean_observed: float | None
    coverage: float
    promises: int
    coverage_hottest_days: float | None
    coverage_top_hours: float | None
    coverage_row_day: float | None
    rows: int
    refused_frac: float
    by_day: tuple[DayErrors, ...]
    by_place: tuple[PlaceErrors, ...]
    beyond: Mapping[str, float]
    sample: tuple[FloatArray, FloatArray]

    @property
    def mae_frac_of_mean(self) -> float | None:
        """Mean error over the mean reading, where that says something."""
        return self.mae / abs(self.mean_observed) if self.mean_observed else None

    @property
    def extrapolated(self) -> tuple[str, ...]:
        """One sentence for each input that was often outside what the fitting days had."""
        return tuple(
            f"EXTRAPOLATED: {share:.1%} of {name} outside the range of the fitting days"
            for name, share in self.beyond.items()
            if share > EXTRAPOLATED_FRAC
        )

    def worst(self, count: int) -> tuple[PlaceErrors, ...]:
        """The servers or domains with the largest mean error, worst first."""
        return tuple(sorted(self.by_place, key=lambda place: -place.mae)[:count])

    def errors(self, rows_train: int) -> ModelErrors:
        """What the model's file says of it."""
        return ModelErrors(
            mae=self.mae,
            p95_error=self.p95_error,
            coverage=self.coverage,
            unit=self.unit,
            rows_train=rows_train,
            rows_test=self.rows,
            coverage_hottest_days=self.coverage_hottest_days,
            coverage_top_hours=self.coverage_top_hours,
            coverage_row_day=self.coverage_row_day,
            refused_frac=self.refused_frac,
            mae_by_day=tuple(day.mae for day in self.by_day),
        )
