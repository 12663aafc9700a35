"""Running sums over days, so that a thousand servers' history is never held twice."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import count
from math import gcd

import numpy as np
from numpy.typing import NDArray

from tapas_opt.learn.judging.judgement import DayErrors, Judgement, PlaceErrors
from tapas_opt.learn.judging.subject import Compared, Subject, highest

__all__ = ["DayTraits", "Tally"]

FloatArray = NDArray[np.float64]
BoolArray = NDArray[np.bool_]

SAMPLE_PER_DAY = 20_000
"""Readings of a day that a picture is drawn from."""

ERRORS_PER_DAY = 500_000
"""Readings of a day that the 95th percentile is taken over: within a thousandth of that of all."""

READINGS = "readings"


@dataclass(frozen=True)
class DayTraits:
    """A judged day: when it begins, whether it is one of the hottest, and ``[t]`` which top hour each slot is in.

    ``top_hour`` is −1 in slots of hours that are not among those of highest power.
    """

    from_s: float
    hottest: bool
    top_hour: NDArray[np.int64]


class _Share:
    """How many of how many."""

    def __init__(self) -> None:
        self.covered, self.seen = 0, 0

    def add(self, over: FloatArray) -> float | None:
        """Count ``observed − upper``; NaN is nothing seen. Returns the share of these alone."""
        known = np.isfinite(over)
        seen, covered = int(known.sum()), int((over[known] <= 0.0).sum())
        self.seen, self.covered = self.seen + seen, self.covered + covered
        return covered / seen if seen else None

    @property
    def value(self) -> float | None:
        return self.covered / self.seen if self.seen else None


class Tally:
    """What is known of one model so far."""

    def __init__(self, subject: Subject) -> None:
        self._subject = subject
        places = len(subject.places)
        self._rows, self._off, self._signed = (np.zeros(places) for _ in range(3))
        self._observed: float | None = 0.0
        self._due = 0
        self._absolute: list[NDArray[np.float32]] = []
        self._days: list[DayErrors] = []
        self._all, self._hottest, self._top, self._row_days = _Share(), _Share(), _Share(), _Share()
        self._beyond: dict[str, tuple[int, int]] = {}
        self._sample: list[tuple[FloatArray, FloatArray]] = []

    def add(self, compared: Compared, traits: DayTraits) -> None:
        """Take a day in."""
        self._due += compared.due
        self._count_inputs(compared)
        over = compared.observed - compared.upper
        if self._subject.artefact.margin.promise == READINGS:
            covered = self._cover(over, over[traits.top_hour >= 0], traits)
        else:
            at_top = np.array([highest(slots) for slots in _top_hours(over, traits)])
            covered = self._cover(highest(over), at_top, traits)
            self._row_days.add(self._over_by_row(compared))
        self._add_errors(compared, traits.from_s, covered)

    def judgement(self) -> Judgement:
        """Everything said of the model."""
        artefact, rows = self._subject.artefact, int(self._rows.sum())
        absolute = np.concatenate(self._absolute) if self._absolute else np.zeros(0, dtype=np.float32)
        sample = np.concatenate([np.zeros((2, 0)), *(np.stack(pair) for pair in self._sample)], axis=1)
        return Judgement(
            name=artefact.name,
            unit=artefact.unit,
            promise=artefact.margin.promise,
            level=artefact.margin.level,
            mae=float(self._off.sum()) / max(rows, 1),
            bias=float(self._signed.sum()) / max(rows, 1),
            p95_error=float(np.quantile(absolute, 0.95)) if rows else 0.0,
            mean_observed=None if self._observed is None else self._observed / max(rows, 1),
            coverage=1.0 if self._all.value is None else self._all.value,
            promises=self._all.seen,
            coverage_hottest_days=self._hottest.value,
            coverage_top_hours=self._top.value,
            coverage_row_day=self._row_days.value,
            rows=rows,
            refused_frac=max(0, self._due - rows) / max(self._due, 1),
            by_day=tuple(self._days),
            by_place=tuple(self._places()),
            beyond={name: beyond / max(seen, 1) for name, (beyond, seen) in self._beyond.items()},
            sample=(sample[0], sample[1]),
        )

    def _add_errors(self, compared: Compared, from_s: float, covered: float | None) -> None:
        residual = compared.observed - compared.central
        if compared.day_is_one_reading:
            residual = highest(residual)[None]
        known = np.isfinite(residual)
        signed = np.where(known, residual, 0.0)
        self._rows += known.sum(axis=0)
        self._signed += signed.sum(axis=0)
        self._off += np.abs(signed).sum(axis=0)
        if compared.day_is_one_reading or self._observed is None:
            self._observed = None
        else:
            self._observed += float(compared.observed[known].sum())
        off = np.abs(residual[known])
        self._absolute.append(off[:: self._stride(off.size, ERRORS_PER_DAY)].astype(np.float32))
        if off.size:
            bias, mae = float(residual[known].mean()), float(off.mean())
            self._days.append(DayErrors(from_s, bias, mae, int(off.size), covered))
        self._draw(*(compared.shown or (compared.central, compared.observed)))

    def _cover(self, over: FloatArray, over_at_top: FloatArray, traits: DayTraits) -> float | None:
        """Share of the day that is covered, after it has been counted wherever it belongs."""
        if traits.hottest:
            self._hottest.add(over)
        self._top.add(over_at_top)
        return self._all.add(over)

    def _over_by_row(self, compared: Compared) -> FloatArray:
        """``[row]`` highest reading of the day less the highest upper value where there were readings."""
        known = np.isfinite(compared.observed) & np.isfinite(compared.upper)
        tops = (
            np.where(known, values, -np.inf).max(axis=0, initial=-np.inf)
            for values in (compared.observed, compared.upper)
        )
        row, inside = self._subject.row, self._subject.row >= 0
        observed, upper = (np.full(int(row.max(initial=-1)) + 1, -np.inf) for _ in range(2))
        for out, top in zip((observed, upper), tops, strict=True):
            np.maximum.at(out, row[inside], top[inside])
        seen = np.isfinite(observed)
        return np.where(seen, np.where(seen, observed, 0.0) - np.where(seen, upper, 0.0), np.nan)

    def _count_inputs(self, compared: Compared) -> None:
        for feature in self._subject.artefact.features:
            values = compared.inputs.get(feature.name)
            if values is None:
                continue
            known = values[np.isfinite(values)]
            beyond = int(((known < feature.lowest) | (known > feature.highest)).sum())
            before = self._beyond.get(feature.name, (0, 0))
            self._beyond[feature.name] = (before[0] + beyond, before[1] + known.size)

    def _draw(self, predicted: FloatArray, observed: FloatArray) -> None:
        known = np.flatnonzero(np.isfinite(predicted) & np.isfinite(observed))
        chosen = known[:: self._stride(known.size, SAMPLE_PER_DAY)]
        self._sample.append((predicted.ravel()[chosen], observed.ravel()[chosen]))

    def _stride(self, size: int, most: int) -> int:
        """Take every n-th of so many readings; n shares no divisor with the places, so that each has its turn."""
        places, stride = max(1, len(self._subject.places)), max(1, -(-size // most))
        return next(n for n in count(stride) if gcd(n, places) == 1)

    def _places(self) -> Iterator[PlaceErrors]:
        """The GPUs of one server count together."""
        names, where = np.unique(np.array(self._subject.places), return_inverse=True)
        rows, off, signed = (
            np.bincount(where, weights=sums, minlength=names.size) for sums in (self._rows, self._off, self._signed)
        )
        for i in np.flatnonzero(rows):
            yield PlaceErrors(str(names[i]), float(off[i] / rows[i]), float(signed[i] / rows[i]), int(rows[i]))


def _top_hours(over: FloatArray, traits: DayTraits) -> Iterator[FloatArray]:
    for hour in np.unique(traits.top_hour[traits.top_hour >= 0]):
        yield over[traits.top_hour == hour]
