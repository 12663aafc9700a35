"""Whether one set of models does worse than another on the same days, and whether models have drifted."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

import numpy as np
from numpy.typing import ArrayLike, NDArray

from tapas_opt.learn.artefact import ModelErrors
from tapas_opt.learn.judging.judgement import DayErrors, Judgement
from tapas_opt.learn.models import LearnedModels

__all__ = ["STEPS", "Change", "Drift", "changes", "day_name", "days_text", "drifts", "short_of_promise"]

FloatArray = NDArray[np.float64]

DAY_S = 86_400.0
SINCE_1970_S = 1e9
"""Clocks beyond this count from 1970, and their days have dates."""

STEPS: Mapping[str, float] = {"°C": 0.1, "W": 1.0, "CFM": 1.0, "1": 0.001}
"""Mean errors closer than this are alike: the grid on which decisions are made does not tell them apart."""

WORSE_FRAC = 0.05
"""A set is worse where a mean error is higher by more than this part of it."""

DRIFT_FRAC = 0.25
"""Days differ; a model has drifted where its mean error is higher by more than this part of that at its fit."""

COVERAGE_STEP = 0.005
"""Coverages closer than this are alike."""

CONFIDENCE = 0.99
"""Many models are looked at every time: at 95 % too many refits would be turned down by chance alone."""

LEAST_DAYS = 3
"""With fewer days than this nothing can be said of how days differ."""


@dataclass(frozen=True)
class Change:
    """A model of the set in use beside the same of a new set, on the same days.

    Attributes
    ----------
    worse
        Why the new one is worse, in words; empty where it is not.
    """

    name: str
    unit: str
    mae_in_use: float
    mae_new: float
    coverage_in_use: float
    coverage_new: float
    level: float
    worse: tuple[str, ...]


@dataclass(frozen=True)
class Drift:
    """A model that does worse on the latest days than on the days it was judged on when it was fitted.

    Attributes
    ----------
    from_s, until_s
        Beginning of the first and of the last day looked at.
    words
        The alarm as one sentence.
    """

    name: str
    unit: str
    mae_at_fit: float
    mae_now: float
    coverage_at_fit: float
    coverage_now: float
    from_s: float
    until_s: float
    words: str


def changes(in_use: Mapping[str, Judgement], new: Mapping[str, Judgement]) -> tuple[Change, ...]:
    """Compare two sets judged on the same days.

    A new model is worse where its mean error is higher by more than a twentieth and a step of :data:`STEPS`, or where
    its coverage is below its promise and below that of the model in use; both by more than chance explains (Student's
    t on the differences by day; for coverage also the binomial tail).
    """
    return tuple(_change(in_use[name], new[name]) for name in new if name in in_use)


def drifts(models: LearnedModels, now: Mapping[str, Judgement]) -> tuple[Drift, ...]:
    """Which models do worse on the judged days than what their files say of them.

    An alarm needs a mean error higher by a quarter and a step of :data:`STEPS`, or a coverage below the promise and
    below that at the fit; both by more than chance explains, as in :func:`changes`.
    """
    found = (_drift(artefact.errors, now[artefact.name]) for artefact in models.artefacts())
    return tuple(drift for drift in found if drift is not None)


def days_text(from_s: float, until_s: float) -> str:
    """``day 40``, ``days 40–47`` or dates, from the beginnings of the first and of the last day."""
    first, last = (day_name(t_s) for t_s in (from_s, until_s))
    if first == last:
        return f"{first}" if from_s >= SINCE_1970_S else f"day {first}"
    return f"{first}–{last}" if from_s >= SINCE_1970_S else f"days {first}–{last}"


def day_name(t_s: float) -> str:
    """A date, or the number of a day on a clock that began at 0."""
    if t_s < SINCE_1970_S:
        return str(int(t_s // DAY_S))
    return datetime.fromtimestamp(t_s, UTC).date().isoformat()


def _change(old: Judgement, new: Judgement) -> Change:
    reasons = tuple(_worse(old, new))
    return Change(new.name, new.unit, old.mae, new.mae, old.coverage, new.coverage, new.level, reasons)


def _worse(old: Judgement, new: Judgement) -> Iterator[str]:
    if not old.rows or not new.rows:
        return
    if new.mae - old.mae > max(WORSE_FRAC * old.mae, STEPS.get(new.unit, 0.0)) and _above(
        _paired(old, new, "mae"), [0.0]
    ):
        yield f"mean error {old.mae:.3g} → {new.mae:.3g} {_unit(new)}".rstrip()
    less = old.coverage - new.coverage
    if less > COVERAGE_STEP and short_of_promise(new) and _above(-_paired(old, new, "coverage"), [0.0]):
        yield f"coverage {old.coverage:.1%} → {new.coverage:.1%} of {new.promise}, {new.level:.0%} promised"


def _drift(fit: ModelErrors, now: Judgement) -> Drift | None:
    parts = list(_drift_words(fit, now)) if now.rows and fit.rows_test else []
    if not parts:
        return None
    from_s, until_s = now.by_day[0].from_s, now.by_day[-1].from_s
    words = f"DRIFT: {now.name} {', '.join(parts)} on {days_text(from_s, until_s)}"
    return Drift(now.name, now.unit, fit.mae, now.mae, fit.coverage, now.coverage, from_s, until_s, words)


def _drift_words(fit: ModelErrors, now: Judgement) -> Iterator[str]:
    usual = fit.mae_by_day or (fit.mae,)
    if now.mae - fit.mae > max(DRIFT_FRAC * fit.mae, STEPS.get(now.unit, 0.0)) and _above(_by_day(now, "mae"), usual):
        yield f"{fit.mae:.2g} → {now.mae:.2g} {_unit(now)}".rstrip()
    promised = min(now.level, fit.coverage)
    less = promised - now.coverage
    if less > COVERAGE_STEP and _misses_too_often(now, promised) and _above(-_by_day(now, "coverage"), [-promised]):
        yield f"covers {now.coverage:.1%} of {now.promise} ({fit.coverage:.1%} at its fit)"


def _unit(judgement: Judgement) -> str:
    return "" if judgement.unit == "1" else judgement.unit


def _paired(old: Judgement, new: Judgement, what: str) -> FloatArray:
    """New less old of each day that both were judged on."""
    before = {day.from_s: day for day in old.by_day}
    both = [(before[day.from_s], day) for day in new.by_day if day.from_s in before]
    return _values([day for _, day in both], what) - _values([day for day, _ in both], what)


def _by_day(judgement: Judgement, what: str) -> FloatArray:
    values = _values(judgement.by_day, what)
    return values[np.isfinite(values)]


def _values(days: Sequence[DayErrors], what: str) -> FloatArray:
    return np.array([np.nan if getattr(day, what) is None else getattr(day, what) for day in days], dtype=np.float64)


def _above(days: FloatArray, reference: ArrayLike) -> bool:
    """Whether the mean of days is above that of the reference by more than chance: Welch's t-test, one-sided."""
    from scipy.stats import t as student  # noqa: PLC0415  slow to import, and only a comparison needs it

    known, usual = days[np.isfinite(days)], np.asarray(reference, dtype=np.float64)
    if known.size < LEAST_DAYS:
        return True
    parts = [(values.var(ddof=1) / values.size, values.size - 1) for values in (known, usual) if values.size > 1]
    error = sum(part for part, _ in parts)
    if error == 0.0:
        return bool(known.mean() > usual.mean())
    freedom = error**2 / sum(part**2 / dof for part, dof in parts)
    return bool(known.mean() - usual.mean() > student.ppf(CONFIDENCE, freedom) * np.sqrt(error))


def short_of_promise(judgement: Judgement) -> bool:
    """Whether less is covered than promised, by more than chance explains."""
    missed = judgement.level - _by_day(judgement, "coverage")
    return _misses_too_often(judgement, judgement.level) and _above(missed, [0.0])


def _misses_too_often(judgement: Judgement, promised: float) -> bool:
    """Whether so many misses would be rare if the promise held: the binomial tail."""
    from scipy.stats import binom  # noqa: PLC0415  slow to import, and only a comparison needs it

    misses = round((1.0 - judgement.coverage) * judgement.promises)
    return bool(binom.sf(misses - 1, judgement.promises, 1.0 - promised) < 1.0 - CONFIDENCE)
