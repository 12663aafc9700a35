"""The one place that says how good models are: on given days, through the functions that control asks."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import fields, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tapas_opt.domain.panel import Panel
from tapas_opt.learn.judging.judgement import DayErrors, Judgement, PlaceErrors
from tapas_opt.learn.judging.subject import highest, subjects
from tapas_opt.learn.judging.tally import DayTraits, Tally
from tapas_opt.learn.models import LearnedModels

__all__ = ["HOTTEST_DAYS_FRAC", "TOP_HOURS_FRAC", "DayErrors", "Judgement", "PlaceErrors", "judge"]

FloatArray = NDArray[np.float64]
BoolArray = NDArray[np.bool_]
IntArray = NDArray[np.int64]

HOTTEST_DAYS_FRAC = 0.2
"""Of the judged days, by outdoor maximum; at least one."""

TOP_HOURS_FRAC = 0.05
"""Of the judged hours, by the servers' mean power; at least one."""

LEAST_OF_A_DAY = 0.5
"""Of the slots of the fullest day."""

HOUR_S = 3600.0


def judge(models: LearnedModels, panel: Panel, days: BoolArray, observed: Panel | None = None) -> dict[str, Judgement]:
    """Judge every model on the chosen days.

    Predictions come from the inputs of ``panel``, as they do in service, and are compared with what ``observed`` holds.

    Parameters
    ----------
    days
        ``[t]`` slots to judge on.
    observed
        Another panel of the same site, such as a simulated truth; the sensors themselves if not given. Slots that it
        does not have are not judged.

    Returns
    -------
    dict
        By the name of each model, in the order of their files.
    """
    chosen = days if observed is None else days & np.isin(panel.t_s, observed.t_s)
    tallies = [(subject, Tally(subject)) for subject in subjects(models, panel.topology, panel.templates)]
    for at, traits in _days(panel, chosen):
        day = _of(panel, _span(at))
        seen = day if observed is None else _of(observed, _span(np.searchsorted(observed.t_s, panel.t_s[at])))
        for subject, tally in tallies:
            tally.add(subject.compare(day, seen), traits)
    return {subject.artefact.name: tally.judgement() for subject, tally in tallies}


def _days(panel: Panel, chosen: BoolArray) -> Iterator[tuple[IntArray, DayTraits]]:
    """Slots of each chosen day, and what is special about it; one that had hardly begun has no maximum yet."""
    slots = np.flatnonzero(chosen)
    days, count = np.unique(panel.day[slots], return_counts=True)
    whole = days[count >= LEAST_OF_A_DAY * count.max(initial=0)]
    by_day = {int(day): slots[panel.day[slots] == day] for day in whole}
    hottest = _hottest({day: panel.outdoor_c[at] for day, at in by_day.items()})
    top = _top_hours(panel, slots)
    for day, at in by_day.items():
        yield at, DayTraits(float(panel.t_s[at[0]]), day in hottest, top[at])


def _span(at: IntArray) -> slice | IntArray:
    """A slice where there are no gaps: a view instead of a copy."""
    return slice(int(at[0]), int(at[-1]) + 1) if at[-1] - at[0] + 1 == at.size else at


def _hottest(outdoor_c: dict[int, FloatArray]) -> set[int]:
    """Days with the highest outdoor maxima; days without weather are none of them."""
    maxima = {day: float(highest(values.reshape(-1, 1))[0]) for day, values in outdoor_c.items() if values.size}
    known = sorted((day for day, value in maxima.items() if np.isfinite(value)), key=lambda day: -maxima[day])
    return set(known[: max(1, round(HOTTEST_DAYS_FRAC * len(known)))])


def _top_hours(panel: Panel, slots: IntArray) -> IntArray:
    """``[t]`` number of the hour where it is one of those of highest power, −1 elsewhere."""
    hour = np.asarray(panel.t_s // HOUR_S, dtype=np.int64)
    out = np.full(hour.size, -1, dtype=np.int64)
    power = panel.server_power_w[slots]
    known = np.isfinite(power)
    watts, servers = np.where(known, power, 0.0).sum(axis=1), known.sum(axis=1)
    hours, where = np.unique(hour[slots], return_inverse=True)
    mean = np.bincount(where, weights=watts) / np.maximum(np.bincount(where, weights=servers), 1)
    top = np.argsort(-mean, kind="stable")[: max(1, round(TOP_HOURS_FRAC * hours.size))]
    chosen = np.isin(where, top)
    out[slots[chosen]] = hour[slots[chosen]]
    return out


def _of(panel: Panel, at: slice | IntArray) -> Panel:
    """The panel at some slots: every array of it begins with time."""
    values = ((item.name, getattr(panel, item.name)) for item in fields(panel))
    stretch: dict[str, Any] = {name: value[at] for name, value in values if isinstance(value, np.ndarray)}
    return replace(panel, **stretch)
