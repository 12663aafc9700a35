"""Fits of GPU power over load, and of a server's power and airflow over GPU power and inlet temperature."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from tapas_opt.domain.panel import NO_VM, Panel
from tapas_opt.learn.artefact import Feature, Margin
from tapas_opt.learn.curve import Curve, Surface
from tapas_opt.learn.fitting.fitted import SERVER_DAY, Fitted
from tapas_opt.learn.fitting.margin import DAY_LEVEL, conformal_upper, day_maxima
from tapas_opt.learn.fitting.rising import fit_rising, seen_range, segments
from tapas_opt.learn.fitting.split import Split

__all__ = ["fit_gpu_power", "fit_surface"]

FloatArray = NDArray[np.float64]
BoolArray = NDArray[np.bool_]

LOAD_KNOTS, POWER_KNOTS, INLET_KNOTS = 11, 9, 5
LEAST_ROWS_PER_SEGMENT = 200
"""Between two knots; a knot that would leave fewer is left out, so that no slope is guessed."""

SMALLEST_SPAN = 1e-3


def fit_gpu_power(panel: Panel, split: Split) -> Fitted:
    """GPU power of each hardware, rising piecewise linearly with the load of GPUs whose server runs a VM."""
    busy = (panel.vm_template != NO_VM)[..., None]
    load = np.where(busy, panel.load_frac, np.nan)
    entries: dict[str, Curve] = {}
    residual = np.full(panel.gpu_power_w.shape, np.nan)
    for name in panel.topology.hardware:
        servers = panel.of_hardware(name)
        x, y = load[:, servers], panel.gpu_power_w[:, servers]
        knots = _knots(x[split.fit], LOAD_KNOTS)
        fit = fit_rising(segments(x[split.fit].ravel(), knots), y[split.fit].ravel())
        if fit is None:
            continue
        at_knots = np.maximum(fit.at(segments(knots, knots)), 0.0)
        idle = _idle_power_w(y[split.fit], busy[split.fit][:, servers], at_knots[0])
        curve = Curve(_numbers(knots), _numbers(at_knots), idle, margin_w=0.0)
        residual[:, servers] = y - curve.at(x)
        scores = day_maxima(residual[:, servers][split.calibrate], panel.day[split.calibrate])
        upper = max(0.0, conformal_upper(scores.ravel(), DAY_LEVEL))
        entries[name] = replace(curve, margin_w=upper)
    return Fitted(
        name="gpu_power",
        features=(Feature("load_frac", "1", *seen_range(panel.load_frac[split.fit])),),
        entries=entries,
        pooled={},
        margin=Margin(DAY_LEVEL, "GPU-day maxima"),
        unit="W",
        rows_train=int(np.isfinite(residual[split.fit]).sum()),
    )


def fit_surface(name: str, unit: str, values: FloatArray, panel: Panel, split: Split) -> Fitted:
    """Server power or airflow ``values`` ``[t, s]`` of each hardware, over mean GPU power and inlet temperature.

    Bilinear between knots and rising in both: the slopes of all products of segments are ≥ 0.
    """
    power = panel.server_gpu_power_w
    entries: dict[str, Surface] = {}
    residual = np.full(values.shape, np.nan)
    for hardware in panel.topology.hardware:
        servers = panel.of_hardware(hardware)
        p, t, y = power[:, servers], panel.inlet_c[:, servers], values[:, servers]
        grid = _fit_grid(p[split.fit], t[split.fit], y[split.fit])
        if grid is None:
            continue
        surface = Surface(*grid, margin=0.0)
        residual[:, servers] = y - surface.at(p, t)
        scores = day_maxima(residual[:, servers][split.calibrate], panel.day[split.calibrate])
        upper = max(0.0, conformal_upper(scores.ravel(), DAY_LEVEL))
        entries[hardware] = replace(surface, margin=upper)
    return Fitted(
        name=name,
        features=(
            Feature("gpu_power_w", "W", *seen_range(power[split.fit])),
            Feature("inlet_c", "°C", *seen_range(panel.inlet_c[split.fit])),
        ),
        entries=entries,
        pooled={},
        margin=SERVER_DAY,
        unit=unit,
        rows_train=int(np.isfinite(residual[split.fit]).sum()),
    )


_Numbers = tuple[float, ...]


def _fit_grid(p: FloatArray, t: FloatArray, y: FloatArray) -> tuple[_Numbers, _Numbers, tuple[_Numbers, ...]] | None:
    """Knots of power and inlet, and the fitted values at them."""
    known = np.isfinite(p) & np.isfinite(t) & np.isfinite(y)
    if not known.any():
        return None
    p_knots, t_knots = _knots(p[known], POWER_KNOTS), _knots(t[known], INLET_KNOTS)
    fit = fit_rising(_products(p[known], t[known], p_knots, t_knots), y[known])
    if fit is None:
        return None
    at_knots = fit.at(_products(*np.meshgrid(p_knots, t_knots, indexing="ij"), p_knots, t_knots))
    rising = np.maximum.accumulate(np.maximum.accumulate(np.maximum(at_knots, 0.0), axis=0), axis=1)
    return _numbers(p_knots), _numbers(t_knots), tuple(_numbers(row) for row in rising)


def _products(p: FloatArray, t: FloatArray, p_knots: FloatArray, t_knots: FloatArray) -> FloatArray:
    """``[..., feature]`` segments of power, segments of inlet, and all their products."""
    a, b = segments(p, p_knots), segments(t, t_knots)
    both = (a[..., :, None] * b[..., None, :]).reshape(*a.shape[:-1], -1)
    return np.concatenate([a, b, both], axis=-1)


def _knots(values: FloatArray, count: int) -> FloatArray:
    """Evenly spaced over what was seen, without those that leave too few readings in an interval."""
    known = values[np.isfinite(values)]
    low, high = seen_range(known) if known.size else (0.0, 1.0)
    wanted = np.linspace(low, max(high, low + SMALLEST_SPAN), count)
    kept = [wanted[0]]
    for knot in wanted[1:-1]:
        if min(_between(known, kept[-1], knot), _between(known, knot, wanted[-1])) >= LEAST_ROWS_PER_SEGMENT:
            kept.append(knot)
    return np.array([*kept, wanted[-1]])


def _between(values: FloatArray, low: float, high: float) -> int:
    return int(((values > low) & (values <= high)).sum())


def _idle_power_w(power_w: NDArray[np.float32], busy: BoolArray, otherwise: float) -> float:
    """Median power of GPUs whose server runs no VM; of the least loaded ones where every server always runs one."""
    idle = power_w[~np.broadcast_to(busy, power_w.shape) & np.isfinite(power_w)]
    return float(np.median(idle)) if idle.size else float(otherwise)


def _numbers(values: FloatArray) -> _Numbers:
    return tuple(float(value) for value in values)
