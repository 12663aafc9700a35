"""Fit of load templates, of VMs that differ from theirs, and of scenario days."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from tapas_opt.domain.panel import DAY_S, NO_VM, SLOT_S, Panel
from tapas_opt.learn.artefact import Feature, Margin
from tapas_opt.learn.fitting.fitted import Fitted
from tapas_opt.learn.fitting.margin import READING_LEVEL
from tapas_opt.learn.fitting.split import Split
from tapas_opt.learn.fitting.week import Loads, Weeks, fit_own_days, fit_weeks, own_multiple, week_multiples
from tapas_opt.learn.load import (
    HOURS_PER_DAY,
    HOURS_PER_WEEK,
    LOAD_QUANTILES,
    MOST_DAYS,
    LoadEntry,
    OwnLoadEntry,
    hour_of_week,
)

__all__ = ["fit_loads"]

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]
BoolArray = NDArray[np.bool_]

LEAST_OWN_HOURS = 48.0
"""Hours of readings from which on a VM has an entry of its own."""

SMALLEST_OFFSET_FRAC = 0.02
"""A VM that stays closer to its template than this at every hour of day needs no entry of its own."""

DECIMALS = 4
"""Digits that are kept of loads; no meter of load has more."""


def fit_loads(panel: Panel, split: Split) -> tuple[Fitted, Fitted]:
    """Learn the templates' weeks and scenario days (``vm_load``), and what single VMs do beside them (``own_load``).

    Upper loads are central + multiple × spread, the multiple calibrated on later days. VMs are fitted once more with
    the calibrating days when their multiple is known, since few live long enough to be in the fitting days.
    """
    fit, calibrate = _loads(panel, split.fit), _loads(panel, split.calibrate)
    weeks = fit_weeks(fit, len(panel.templates))
    return _templates(panel, weeks, fit, calibrate), _vms(panel, split, weeks, fit, calibrate)


def _loads(panel: Panel, slots: BoolArray) -> Loads:
    """Readings of VMs in the chosen slots; those missing are left out, not counted as idle."""
    load, template, vm = panel.vm_load_frac[slots], panel.vm_template[slots], panel.vm[slots]
    known = np.isfinite(load) & (template != NO_VM)
    t_s = np.broadcast_to(panel.t_s[slots][:, None], load.shape)[known]
    day = np.asarray(t_s // DAY_S, dtype=np.int64)
    return Loads(template[known], vm[known], day, hour_of_week(t_s), load[known], hours_each=SLOT_S / 3600.0)


def _templates(panel: Panel, weeks: Weeks, fit: Loads, calibrate: Loads) -> Fitted:
    multiples = [week_multiples(weeks, calibrate, level) for level in LOAD_QUANTILES]
    uppers = _rising([np.clip(weeks.central + m[:, None] * weeks.spread, 0.0, 1.0) for m in multiples])
    central = np.clip(weeks.central, 0.0, 1.0)
    days = _scenario_days(panel, central)

    def entry(k: int) -> LoadEntry:
        upper, upper_99 = (_tuple(each[k]) for each in uppers)
        return LoadEntry(_tuple(central[k]), upper, upper_99, tuple(map(_tuple, days[k])))

    return Fitted(
        name="vm_load",
        features=(Feature("hour_of_week", "h", 0.0, HOURS_PER_WEEK - 1.0),),
        entries={panel.templates[k]: entry(k) for k in np.unique(fit.template)},
        pooled={"all": entry(-1)},
        margin=Margin(READING_LEVEL, "readings"),
        unit="1",
        rows_train=fit.load.size,
    )


def _scenario_days(panel: Panel, central: FloatArray) -> FloatArray:
    """``[k, day, 24]`` mean load of each template, and last of all, in each hour of the last whole days.

    An hour in which no VM of a template was read has the template's central load.
    """
    number = np.asarray(panel.t_s // DAY_S, dtype=np.int64)
    whole = [d for d in np.unique(number) if (number == d).sum() * SLOT_S >= DAY_S]
    days = np.array(whole[-MOST_DAYS:] or [number[-1]], dtype=np.int64)
    loads = _loads(panel, np.isin(number, days))
    shape = (len(central), days.size, HOURS_PER_DAY)
    cell = np.searchsorted(days, loads.day) * HOURS_PER_DAY + loads.hour % HOURS_PER_DAY
    count, total = np.zeros(shape), np.zeros(shape)
    for k, place in ((slice(0, -1), loads.template * shape[1] * HOURS_PER_DAY + cell), (slice(-1, None), cell)):
        cells = count[k].size
        count[k] = np.bincount(place, minlength=cells).reshape(count[k].shape)
        total[k] = np.bincount(place, loads.load, minlength=cells).reshape(count[k].shape)
    hours = hour_of_week(days[:, None] * DAY_S + 3600.0 * np.arange(HOURS_PER_DAY))
    return np.where(count > 0, total / np.maximum(count, 1), central[:, hours])


def _vms(panel: Panel, split: Split, weeks: Weeks, fit: Loads, calibrate: Loads) -> Fitted:
    until_now = _loads(panel, split.fit | split.calibrate)
    vms = _living(panel, until_now)
    entries: dict[str, OwnLoadEntry] = {}
    again = np.isin(calibrate.vm, np.unique(fit.vm))
    if vms.size and again.any():
        early = fit_own_days(fit, weeks, len(panel.vms))
        later = calibrate.only(again)
        multiples = [own_multiple(weeks, early, later, level) for level in LOAD_QUANTILES]
        own = fit_own_days(until_now, weeks, len(panel.vms))
        reaches = _rising([m * own.spread for m in multiples])
        template = np.full(len(panel.vms), NO_VM)
        template[until_now.vm] = until_now.template
        for v in vms[np.abs(own.offset[vms]).max(axis=1) >= SMALLEST_OFFSET_FRAC]:
            numbers = (_tuple(values[v]) for values in (own.offset, *reaches))
            entries[panel.vms[v]] = OwnLoadEntry(panel.templates[template[v]], *numbers)
    return Fitted(
        name="own_load",
        features=(Feature("hour_of_day", "h", 0.0, HOURS_PER_DAY - 1.0),),
        entries=entries,
        pooled={},
        margin=Margin(READING_LEVEL, "readings"),
        unit="1",
        rows_train=until_now.load.size,
    )


def _living(panel: Panel, loads: Loads) -> IntArray:
    """VMs with enough readings that still ran on the last day: nobody asks about those that are gone."""
    hours = np.bincount(loads.vm, minlength=len(panel.vms)) * loads.hours_each
    running = np.zeros(len(panel.vms), dtype=bool)
    last = panel.vm[panel.t_s > panel.t_s[-1] - DAY_S]
    running[last[last != NO_VM]] = True
    return np.flatnonzero(running & (hours >= LEAST_OWN_HOURS))


def _rising(levels: list[FloatArray]) -> list[FloatArray]:
    """Each at least the one before."""
    return list(np.maximum.accumulate(np.stack(levels), axis=0))


def _tuple(values: FloatArray) -> tuple[float, ...]:
    return tuple(values.round(DECIMALS).tolist())
