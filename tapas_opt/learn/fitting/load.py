"""Fit of load templates by hour of the week, shrunk towards all templates."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tapas_opt.domain.panel import NO_VM, SLOT_S, Panel
from tapas_opt.learn.artefact import Feature, Margin
from tapas_opt.learn.fitting.fitted import Fitted
from tapas_opt.learn.fitting.margin import READING_LEVEL, conformal_upper
from tapas_opt.learn.fitting.split import Split
from tapas_opt.learn.load import HOURS_PER_WEEK, LoadEntry, hour_of_week

__all__ = ["fit_vm_load"]

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]
BoolArray = NDArray[np.bool_]

DAYS_PER_WEEK = 7
PARENT_VM_HOURS = 2.0
"""An hour of the week counts for itself like this many VM-hours of its own: with fewer the parent has more to say."""

LEAST_READINGS = 288
"""Calibrating readings below which a template takes its parent's multiple of the spread: those of one VM-day."""

SMALLEST_SPREAD = 0.01


@dataclass(frozen=True)
class _Readings:
    """Load readings in a row: which template, which hour of the week, how much."""

    template: IntArray
    hour: IntArray
    load: FloatArray

    @classmethod
    def of(cls, panel: Panel, slots: BoolArray) -> _Readings:
        """Readings of VMs in the chosen slots; those missing are left out, not counted as idle."""
        load, template = panel.vm_load_frac[slots], panel.vm_template[slots]
        hour = np.broadcast_to(hour_of_week(panel.t_s[slots])[:, None], load.shape)
        known = np.isfinite(load) & (template != NO_VM)
        return cls(template[known], hour[known], load[known])


@dataclass(frozen=True)
class _Weeks:
    """Central load, spread around it and multiple of the spread; ``[k, 168]`` and ``[k]``, the parent last."""

    central: FloatArray
    spread: FloatArray
    multiple: FloatArray

    def upper(self) -> FloatArray:
        """``[k, 168]`` central + multiple × spread, within 0..1."""
        return np.asarray(np.clip(self.central + np.maximum(self.multiple, 0.0)[:, None] * self.spread, 0.0, 1.0))


def fit_vm_load(panel: Panel, split: Split) -> Fitted:
    """Central and upper load of each template by hour of the week.

    The mean of an hour of the week is ``(n·own + k·towards) / (n + k)`` with n the VM-hours seen and k =
    :data:`PARENT_VM_HOURS`, towards the template's own hour of the day, and that likewise towards all templates. The
    upper value is central + multiple × spread, the multiple calibrated on later days.
    """
    fit, calibrate = _Readings.of(panel, split.fit), _Readings.of(panel, split.calibrate)
    weeks = _calibrated(_fitted_weeks(fit, len(panel.templates)), calibrate)
    upper = weeks.upper()
    seen = np.unique(fit.template)
    return Fitted(
        name="vm_load",
        features=(Feature("hour_of_week", "h", 0.0, HOURS_PER_WEEK - 1.0),),
        entries={panel.templates[k]: _entry(weeks.central[k], upper[k]) for k in seen},
        pooled={"all": _entry(weeks.central[-1], upper[-1])},
        margin=Margin(READING_LEVEL, "readings"),
        unit="1",
        rows_train=fit.load.size,
    )


def _fitted_weeks(readings: _Readings, templates: int) -> _Weeks:
    """The parent from all readings; each template leans on its own hours of the day, these on the parent."""
    everyone = np.zeros_like(readings.template)
    parent_by_day = _shrunk(everyone, readings.hour % 24, readings.load, np.full((1, 24), readings.load.mean()))
    parent = _shrunk(everyone, readings.hour, readings.load, np.tile(parent_by_day, DAYS_PER_WEEK))
    off_parent = readings.load - parent[0, readings.hour]
    by_day = _shrunk(readings.template, readings.hour % 24, off_parent, np.zeros((templates, 24)))
    towards = parent + np.tile(by_day, DAYS_PER_WEEK)
    central = _shrunk(readings.template, readings.hour, readings.load, towards)
    squared = (readings.load - central[readings.template, readings.hour]) ** 2
    usual = np.broadcast_to(_typical(readings.template, squared, templates), towards.shape)
    spread = _shrunk(readings.template, readings.hour, squared, usual)
    usual_off_parent = np.full((1, HOURS_PER_WEEK), (off_parent**2).mean())
    parent_spread = _shrunk(everyone, readings.hour, off_parent**2, usual_off_parent)
    both = np.sqrt(np.concatenate([spread, parent_spread]))
    return _Weeks(np.concatenate([central, parent]), np.maximum(both, SMALLEST_SPREAD), np.zeros(templates + 1))


def _shrunk(group: IntArray, hour: IntArray, values: FloatArray, towards: FloatArray) -> FloatArray:
    """``[group, hour]`` mean of each cell, pulled towards ``towards`` by :data:`PARENT_VM_HOURS`."""
    cell, hours = group * towards.shape[1] + hour, SLOT_S / 3600.0
    count = np.bincount(cell, minlength=towards.size).reshape(towards.shape) * hours
    total = np.bincount(cell, values, minlength=towards.size).reshape(towards.shape) * hours
    return np.asarray((total + PARENT_VM_HOURS * towards) / (count + PARENT_VM_HOURS))


def _typical(group: IntArray, values: FloatArray, groups: int) -> FloatArray:
    """``[group, 1]`` mean of each group; of all where a group has none."""
    count, total = np.bincount(group, minlength=groups), np.bincount(group, values, minlength=groups)
    return np.asarray(np.where(count > 0, total / np.maximum(count, 1), values.mean()))[:, None]


def _calibrated(weeks: _Weeks, readings: _Readings) -> _Weeks:
    """Multiples of the spread below which the promised share of later readings stays."""
    parent = (readings.load - weeks.central[-1, readings.hour]) / weeks.spread[-1, readings.hour]
    cell = (readings.template, readings.hour)
    own = (readings.load - weeks.central[cell]) / weeks.spread[cell]
    everyone = conformal_upper(own, READING_LEVEL)
    multiple = np.full(weeks.multiple.size, everyone)
    for k in np.unique(readings.template):
        scores = own[readings.template == k]
        if scores.size >= LEAST_READINGS:
            multiple[k] = conformal_upper(scores, READING_LEVEL)
    multiple[-1] = conformal_upper(parent, READING_LEVEL)
    return _Weeks(weeks.central, weeks.spread, multiple)


def _entry(central: FloatArray, upper: FloatArray) -> LoadEntry:
    return LoadEntry(tuple(np.clip(central, 0.0, 1.0).tolist()), tuple(upper.tolist()))
