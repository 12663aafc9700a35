"""Load templates of a service's clients.

A client is to its model what a VM is to its template. Its load is its rate as a fraction of somewhat more than the most
that it was ever seen to ask for, so that the same code serves, and nothing above that is ever forecast.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tapas_opt.bench.rates import DAY_S, ModelRates
from tapas_opt.learn.fitting.week import Loads, OwnDays, Weeks, fit_own_days, fit_weeks
from tapas_opt.learn.load import HOURS_PER_DAY, hour_of_week

__all__ = ["ClientTemplates", "fit_clients", "headroom"]

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]

HEADROOM, MOST_HEADROOM = 1.3, 3.0
DOUBTED_DAYS = 0.5


@dataclass(frozen=True)
class ClientTemplates:
    """Templates of all clients of some models, fitted to their first windows.

    Attributes
    ----------
    scale
        ``[client]`` rate of a load of 1; NaN for clients not seen yet. Clients of all models in a row.
    first
        ``[model]`` number of each model's first client.
    """

    weeks: Weeks
    own: OwnDays
    scale: FloatArray
    first: IntArray

    def load(self, k: int, clients: int, t_s: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Central load and spread of model k's clients ``[t, client]``, as fractions of their scale."""
        mine, hour = slice(self.first[k], self.first[k] + clients), hour_of_week(t_s)
        offset, spread = (of[mine].T[hour % HOURS_PER_DAY] for of in (self.own.offset, self.own.spread))
        return np.clip(self.weeks.central[k, hour][:, None] + offset, 0.0, 1.0), spread

    def scale_of(self, k: int, clients: int) -> FloatArray:
        """``[client]`` the scale of model k's clients."""
        return self.scale[self.first[k] : self.first[k] + clients]


def fit_clients(models: Sequence[ModelRates], ends: Sequence[int]) -> ClientTemplates:
    """Fit templates to the first ``ends[k]`` windows of each model."""
    counts = [len(model.clients) for model in models]
    histories = [model.history(end) for model, end in zip(models, ends, strict=True)]
    scale = np.concatenate([_scale(model, history) for model, history in zip(models, histories, strict=True)])
    first = np.concatenate([[0], np.cumsum(counts)[:-1]]).astype(np.int64)
    loads = _loads(models, histories, scale, first)
    weeks = fit_weeks(loads, len(models))
    return ClientTemplates(weeks, fit_own_days(loads, weeks, sum(counts)), scale, first)


def headroom(days: FloatArray) -> FloatArray:
    """How many times the highest rate of so many days the scale is: the fewer, the less says the most that was seen."""
    return np.minimum(HEADROOM * (1 + DOUBTED_DAYS / days), MOST_HEADROOM)


def _scale(model: ModelRates, history: FloatArray) -> FloatArray:
    windows = np.isfinite(history).sum(axis=0)
    highest = model.highest_before(len(history))
    return np.where(windows > 0, headroom(np.maximum(windows, 1) * model.step_s / DAY_S) * highest, np.nan)


def _loads(models: Sequence[ModelRates], windows: Sequence[FloatArray], scale: FloatArray, first: IntArray) -> Loads:
    """Known windows ``[t, client]`` of each model, from its first one on, as loads."""
    parts = []
    for k, (model, rate) in enumerate(zip(models, windows, strict=True)):
        load = rate / scale[first[k] : first[k] + rate.shape[1]]
        at, client = np.nonzero(np.isfinite(load))
        t_s = model.t_s[at]
        numbers = (np.full(at.size, k), client + first[k], (t_s // DAY_S).astype(np.int64), hour_of_week(t_s))
        parts.append((*numbers, load[at, client]))
    template, vm, day, hour, loads = (np.concatenate(part) for part in zip(*parts, strict=True))
    return Loads(template, vm, day, hour, loads, hours_each=models[0].step_s / 3600.0)
