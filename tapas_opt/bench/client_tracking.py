"""Clients' rates an hour ahead: their templates, and a tracked bias from windows up to an hour ago."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tapas_opt.bench.client_templates import ClientTemplates
from tapas_opt.bench.rates import DAY_S, ModelRates
from tapas_opt.learn.bias import BiasSettings, BiasTracker
from tapas_opt.learn.fitting.bias import fit_settings
from tapas_opt.learn.fitting.margin import conformal_upper

__all__ = ["LEAD_S", "Tracked", "track"]

FloatArray = NDArray[np.float64]

LEAD_S = 3600.0
"""How far ahead is predicted."""


@dataclass(frozen=True)
class Tracked:
    """Central and upper load ``[t, client]`` of one model's windows after the split, as fractions of their scale."""

    central: FloatArray
    upper: FloatArray


def track(
    models: Sequence[ModelRates], halves: Sequence[int], early: ClientTemplates, final: ClientTemplates, level: float
) -> list[Tracked]:
    """Follow the clients of each model after its split.

    How biases wander and the multiple of the spread are learned between halves and splits, from the early fit.
    """
    settings, scores = [], []
    for k, (model, half) in enumerate(zip(models, halves, strict=True)):
        t_s, central, residual, spread = _seen(model, k, early, slice(half, model.split))
        settings.append(fit_settings(residual, t_s, largest_bias=1.0, largest_widening=1.0, unit="of the scale"))
        scores.append(((residual - _biases(t_s, residual, settings[-1])) / spread)[central + residual <= 1.0])
    multiple = max(conformal_upper(np.concatenate(scores), level), 0.0)
    return [_after(model, k, final, settings[k], multiple) for k, model in enumerate(models)]


def _after(model: ModelRates, k: int, fitted: ClientTemplates, settings: BiasSettings, multiple: float) -> Tracked:
    """Biases are followed from a day before the split on, so that it does not begin with nothing known."""
    windows_a_day = round(DAY_S / model.step_s)
    begin = max(0, model.split - windows_a_day)
    t_s, central, residual, spread = _seen(model, k, fitted, slice(begin, None))
    following = central + _biases(t_s, residual, settings)
    bounds = (np.clip(following, 0.0, 1.0), np.clip(following + multiple * spread, 0.0, 1.0))
    return Tracked(*(values[model.split - begin :] for values in bounds))


def _seen(
    model: ModelRates, k: int, fitted: ClientTemplates, at: slice
) -> tuple[FloatArray, FloatArray, FloatArray, FloatArray]:
    """Times, central load, residual (NaN for clients not seen by the fit) and spread of some windows."""
    t_s, clients = model.t_s[at], len(model.clients)
    central, spread = fitted.load(k, clients, t_s)
    return t_s, central, model.rate_rps[at] / fitted.scale_of(k, clients) - central, spread


def _biases(t_s: FloatArray, residual: FloatArray, settings: BiasSettings) -> FloatArray:
    """``[t, client]`` bias at each window from those that had ended :data:`LEAD_S` before."""
    lead = round(LEAD_S / (t_s[1] - t_s[0]))
    tracker = BiasTracker([str(c) for c in range(residual.shape[1])], settings)
    biases = np.zeros_like(residual)
    for i, now in enumerate(t_s.tolist()):
        if i >= lead:
            tracker.update(float(t_s[i - lead]), residual[i - lead])
        biases[i] = tracker.bias(now)
    return biases
