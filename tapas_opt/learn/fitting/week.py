"""Load by hour of the week: templates that lean on all, and VMs that lean on their template.

Arrays only: VMs' loads and, as fractions, clients' request rates are the same to it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tapas_opt.learn.fitting.margin import conformal_upper
from tapas_opt.learn.load import HOURS_PER_DAY, HOURS_PER_WEEK

__all__ = ["Loads", "OwnDays", "Weeks", "fit_own_days", "fit_weeks", "own_multiple", "week_multiples"]

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]

DAYS_PER_WEEK = HOURS_PER_WEEK // HOURS_PER_DAY
MOST_PARENT_PERIODS = 1e3
"""However much VMs are alike, as many days of its own say as much of one of them as all the others do."""

LEAST_REPEATS = 24
"""Cells seen again in another day or week below which nobody can tell what was chance: then none is believed."""

SPREAD_HOURS = 6.0
"""A VM's spread in an hour of day leans on its usual one, and that on other VMs', as if they were so many hours."""

LEAST_MISSES = 14.4
"""Readings that should lie above its upper value before a template has a multiple of its own: of 95 %, a VM-day's."""

SMALLEST_SPREAD = 0.01


@dataclass(frozen=True)
class Loads:
    """Load readings in a row: of which template and VM (numbers), on which day, in which hour of the week, how much.

    Attributes
    ----------
    hours_each
        How many hours a reading stands for.
    """

    template: IntArray
    vm: IntArray
    day: IntArray
    hour: IntArray
    load: FloatArray
    hours_each: float

    def only(self, chosen: NDArray[np.bool_]) -> Loads:
        """Some of the readings."""
        template, vm, day, hour = (part[chosen] for part in (self.template, self.vm, self.day, self.hour))
        return Loads(template, vm, day, hour, self.load[chosen], self.hours_each)


@dataclass(frozen=True)
class Weeks:
    """Central load of templates and spread around it, ``[k, 168]``; the last one is of all together."""

    central: FloatArray
    spread: FloatArray


@dataclass(frozen=True)
class OwnDays:
    """What VMs do beside their template, ``[v, 24]`` by hour of day; 0 and the usual spread where nothing was read."""

    offset: FloatArray
    spread: FloatArray


def fit_weeks(loads: Loads, templates: int) -> Weeks:
    """Each template leans on all together, and each hour of the week on its hour of day and its day of the week.

    All means are those of :func:`_nested`: what an hour of the week, a weekday or a template has of its own counts as
    far as it is more than chance. The spread is learned from squared residuals in the same way.
    """
    everyone = np.zeros_like(loads.template)

    def both(values: FloatArray, around_all: FloatArray) -> FloatArray:
        """``[k, 168]`` by template from ``values``, and of all from ``around_all``."""
        middle, middle_of_all = values.mean(), around_all.mean()
        shared = _nested(loads, everyone, 1, values - middle) + middle
        own = _nested(loads, loads.template, templates, values - shared[0, loads.hour])
        of_all = _nested(loads, everyone, 1, around_all - middle_of_all) + middle_of_all
        return np.concatenate([shared + own, of_all])

    central = both(loads.load, loads.load)
    squared = (loads.load - central[loads.template, loads.hour]) ** 2
    spread = both(squared, (loads.load - central[-1, loads.hour]) ** 2)
    return Weeks(central, np.sqrt(np.maximum(spread, SMALLEST_SPREAD**2)))


def fit_own_days(loads: Loads, weeks: Weeks, vms: int) -> OwnDays:
    """How each VM differs from its template by hour of day, as far as that is more than chance, and where it is lately.

    To what it usually has beside its template comes the mean of its last day beside that, as far as such a shift lasts:
    times the correlation of one day's mean with the next, learned from all VMs.
    """
    hour = loads.hour % HOURS_PER_DAY
    residual = loads.load - weeks.central[loads.template, loads.hour]
    offset = _believed((loads.vm, vms), (hour, HOURS_PER_DAY), loads.day, residual)
    offset += _lasting_shift(loads, residual - offset[loads.vm, hour], vms)[:, None]
    squared = (residual - offset[loads.vm, hour]) ** 2
    usual = _shrunk(loads, np.zeros_like(hour), squared, np.full((vms, 1), _usual_square(loads, squared)))
    spread = _shrunk(loads, hour, squared, np.broadcast_to(usual, offset.shape))
    return OwnDays(offset, np.maximum(np.sqrt(spread), SMALLEST_SPREAD))


def _lasting_shift(loads: Loads, residual: FloatArray, vms: int) -> FloatArray:
    """``[vm]`` mean residual of the last 24 hours of its template, times the correlation of a day's with the next's."""
    hours = loads.day * HOURS_PER_DAY + loads.hour % HOURS_PER_DAY
    end = np.zeros(int(loads.template.max()) + 1, dtype=np.int64)
    np.maximum.at(end, loads.template, hours)
    age = (end[loads.template] - hours) // HOURS_PER_DAY
    place, days = loads.vm * (age.max() + 1) + age, int(age.max()) + 1
    count = np.bincount(place, minlength=vms * days).reshape(vms, days)
    mean = np.bincount(place, residual, minlength=vms * days).reshape(vms, days) / np.maximum(count, 1)
    both = (count[:, 1:] > 0) & (count[:, :-1] > 0)
    before, after = mean[:, 1:][both], mean[:, :-1][both]
    lasting = float(before @ after) / max(float(before @ before), SMALLEST_SPREAD**2)
    return np.asarray(np.clip(lasting, 0.0, 1.0) * mean[:, 0])


def _nested(loads: Loads, group: IntArray, groups: int, values: FloatArray) -> FloatArray:
    """``[group, 168]`` means of values around 0: by hour of day, what weekdays add, and what hours of the week add."""
    hour, weekday, week = loads.hour % HOURS_PER_DAY, loads.hour // HOURS_PER_DAY, loads.day // DAYS_PER_WEEK
    by_hour = _believed((group, groups), (hour, HOURS_PER_DAY), loads.day, values)
    rest = values - by_hour[group, hour]
    by_weekday = _believed((group, groups), (weekday, DAYS_PER_WEEK), week, rest)
    rest = rest - by_weekday[group, weekday]
    by_week_hour = _believed((group, groups), (loads.hour, HOURS_PER_WEEK), week, rest)
    return np.tile(by_hour, DAYS_PER_WEEK) + np.repeat(by_weekday, HOURS_PER_DAY, axis=1) + by_week_hour


def _believed(
    groups: tuple[IntArray, int], cells: tuple[IntArray, int], period: IntArray, values: FloatArray
) -> FloatArray:
    """``[group, cell]`` means of values around 0, shrunk towards 0 as far as they may be chance.

    A mean over n periods (days or weeks) counts n / (n + k), k being its variance from period to period over the
    variance from cell to cell, both learned from all groups (empirical Bayes: James and Stein 1961). Where cells are
    alike k is large, and none is taken to be special for what was noise.

    Parameters
    ----------
    groups, cells
        Number of each reading's group and cell, and how many there are.
    """
    (group, many), (cell, each) = groups, cells
    period = period - period.min()  # a history in Unix time begins tens of thousands of days after day 0
    periods = int(period.max()) + 1
    place, shape = (group * each + cell) * periods + period, (many, each, periods)
    count = np.bincount(place, minlength=many * each * periods).reshape(shape)
    mean_then = np.bincount(place, values, minlength=count.size).reshape(shape) / np.maximum(count, 1)
    seen = count > 0
    n = seen.sum(axis=2)
    mean = mean_then.sum(axis=2) / np.maximum(n, 1)
    repeats = int(np.maximum(n - 1, 0).sum())
    if repeats < LEAST_REPEATS:
        return np.zeros((many, each))
    within = (np.where(seen, mean_then - mean[..., None], 0.0) ** 2).sum() / repeats
    between = (mean[n > 0] ** 2 - within / n[n > 0]).mean()
    k = min(within / between, MOST_PARENT_PERIODS) if between > 0 else MOST_PARENT_PERIODS
    return np.asarray(mean * (n / (n + k)) if k > 0 else mean)


def _usual_square(loads: Loads, squared: FloatArray) -> float:
    """Median over VMs of their mean square."""
    count = np.bincount(loads.vm)
    return float(np.median(np.bincount(loads.vm, squared)[count > 0] / count[count > 0]))


def week_multiples(weeks: Weeks, loads: Loads, level: float) -> FloatArray:
    """``[k]`` multiples of the spread below which a share ``level`` of later readings stays, at least 0.

    A template with too few readings takes the multiple of all templates together.
    """
    own = _scores(weeks, loads)
    multiple = np.full(len(weeks.central), conformal_upper(own, level))
    for k in np.unique(loads.template):
        scores = own[loads.template == k]
        if scores.size * (1 - level) >= LEAST_MISSES - 1e-9:
            multiple[k] = conformal_upper(scores, level)
    around_all = (loads.load - weeks.central[-1, loads.hour]) / weeks.spread[-1, loads.hour]
    multiple[-1] = conformal_upper(around_all, level)
    return np.asarray(np.maximum(multiple, 0.0))


def own_multiple(weeks: Weeks, own: OwnDays, loads: Loads, level: float) -> float:
    """As :func:`week_multiples`, one for all VMs: residuals are divided by each VM's own spread and pooled."""
    cell = (loads.vm, loads.hour % HOURS_PER_DAY)
    scores = (loads.load - weeks.central[loads.template, loads.hour] - own.offset[cell]) / own.spread[cell]
    return max(conformal_upper(scores, level), 0.0)


def _scores(weeks: Weeks, loads: Loads) -> FloatArray:
    cell = (loads.template, loads.hour)
    return np.asarray((loads.load - weeks.central[cell]) / weeks.spread[cell])


def _shrunk(loads: Loads, hour: IntArray, values: FloatArray, towards: FloatArray) -> FloatArray:
    """``[vm, hour]`` mean of each cell, pulled towards ``towards`` by :data:`SPREAD_HOURS`."""
    cell = loads.vm * towards.shape[1] + hour
    hours = np.bincount(cell, minlength=towards.size).reshape(towards.shape) * loads.hours_each
    total = np.bincount(cell, values, minlength=towards.size).reshape(towards.shape) * loads.hours_each
    return np.asarray((total + SPREAD_HOURS * towards) / (hours + SPREAD_HOURS))
