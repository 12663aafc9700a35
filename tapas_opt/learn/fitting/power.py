"""Fits of GPU power over load, and of a server's power and airflow over GPU power and inlet temperature."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from tapas_opt.domain.panel import NO_VM, Panel, mean_of_present
from tapas_opt.learn.artefact import Feature, Margin
from tapas_opt.learn.curve import Curve, Surface
from tapas_opt.learn.fitting.fitted import SERVER_DAY, Fitted
from tapas_opt.learn.fitting.margin import DAY_LEVEL, day_maxima, upper_of_days
from tapas_opt.learn.fitting.rising import MOST_ROWS, fit_rising, seen_range, segments
from tapas_opt.learn.fitting.split import Split

__all__ = ["fit_gpu_power", "fit_surface"]

FloatArray = NDArray[np.float64]
BoolArray = NDArray[np.bool_]
IntArray = NDArray[np.int64]

LOAD_KNOTS, POWER_KNOTS, INLET_KNOTS = 11, 9, 5
LEAST_ROWS_PER_SEGMENT = 200
"""Between two knots; a knot that would leave fewer is left out, so that no slope is guessed."""

SMALLEST_SPAN = 1e-3
DRAWN = int(1.25 * MOST_ROWS)
"""Readings that a fit looks at, some of which will be missing: a month of a large site has a hundred times as many."""


def fit_gpu_power(panel: Panel, split: Split) -> Fitted:
    """GPU power of each hardware, rising piecewise linearly with the load of GPUs whose server runs a VM."""
    entries: dict[str, Curve] = {}
    seen = [np.empty(0)]
    rows_train = 0
    for name in panel.topology.hardware:
        servers = panel.of_hardware(name)
        t, s = _drawn(split.fit, servers, DRAWN // panel.topology.site.hardware[name].gpus)
        busy = panel.vm_template[t, s] != NO_VM
        load, power = (np.asarray(values[t, s], np.float64) for values in (panel.load_frac, panel.gpu_power_w))
        curve = _curve(load[busy].ravel(), power[busy].ravel(), power[~busy].ravel())
        seen.append(load[np.isfinite(load)])
        if curve is None:
            continue
        rows_train += sum(_busy_readings(panel, at, servers) for at in _days(panel, split.fit))
        entries[name] = replace(curve, margin_w=_margin(panel, split, _above_curve(panel, servers, curve)))
    return Fitted(
        name="gpu_power",
        features=(Feature("load_frac", "1", *_range(seen)),),
        entries=entries,
        pooled={},
        margin=Margin(DAY_LEVEL, "GPU-day maxima"),
        unit="W",
        rows_train=rows_train,
    )


def fit_surface(name: str, unit: str, values: FloatArray, panel: Panel, split: Split) -> Fitted:
    """Server power or airflow ``values`` ``[t, s]`` of each hardware, over mean GPU power and inlet temperature.

    Bilinear between knots and rising in both: the slopes of all products of segments are ≥ 0.
    """
    entries: dict[str, Surface] = {}
    seen_w, seen_c = [np.empty(0)], [np.empty(0)]
    rows_train = 0
    for hardware in panel.topology.hardware:
        servers = panel.of_hardware(hardware)
        t, s = _drawn(split.fit, servers, DRAWN)
        power, inlet = mean_of_present(panel.gpu_power_w[t, s]), panel.inlet_c[t, s]
        seen_w.append(power[np.isfinite(power)])
        seen_c.append(inlet[np.isfinite(inlet)])
        surface = _surface(power, inlet, values[t, s])
        if surface is None:
            continue
        above = _above_surface(panel, servers, values, surface)
        rows_train += sum(int(np.isfinite(above(at)).sum()) for at in _days(panel, split.fit))
        entries[hardware] = replace(surface, margin=_margin(panel, split, above))
    return Fitted(
        name=name,
        features=(Feature("gpu_power_w", "W", *_range(seen_w)), Feature("inlet_c", "°C", *_range(seen_c))),
        entries=entries,
        pooled={},
        margin=SERVER_DAY,
        unit=unit,
        rows_train=rows_train,
    )


# Which readings.


def _drawn(slots: BoolArray, servers: IntArray, at_most: int) -> tuple[IntArray, IntArray]:
    """Slots and servers of a fixed draw of about so many pairs; all of them where there are no more."""
    t, total = np.flatnonzero(slots), int(slots.sum()) * servers.size
    pair = np.arange(total)
    if total > at_most:
        pair = np.unique(np.random.default_rng(0).integers(total, size=at_most))
    return t[pair // servers.size], servers[pair % servers.size]


def _days(panel: Panel, slots: BoolArray) -> list[IntArray]:
    """The chosen slots of each day: what is as large as history is looked at a day at a time."""
    return [np.flatnonzero(slots & (panel.day == day)) for day in np.unique(panel.day[slots])]


def _range(seen: list[FloatArray]) -> tuple[float, float]:
    known = np.concatenate(seen)
    return seen_range(known) if known.size else (0.0, 0.0)


def _busy_readings(panel: Panel, at: IntArray, servers: IntArray) -> int:
    where = np.ix_(at, servers)
    busy = (panel.vm_template[where] != NO_VM)[..., None]
    return int((busy & np.isfinite(panel.load_frac[where]) & np.isfinite(panel.gpu_power_w[where])).sum())


# Margins.


_Above = Callable[[IntArray], FloatArray]
"""From some slots to how far readings lie above the model then, ``[t, …]``."""


def _margin(panel: Panel, split: Split, above: _Above) -> float:
    """What 99 % of day maxima stay below, also on the worst of the calibrating days."""
    worst = [day_maxima(above(at), panel.day[at]).ravel() for at in _days(panel, split.calibrate)]
    return max(0.0, upper_of_days(np.stack(worst), DAY_LEVEL))


def _above_curve(panel: Panel, servers: IntArray, curve: Curve) -> _Above:
    def above(at: IntArray) -> FloatArray:
        where = np.ix_(at, servers)
        busy = (panel.vm_template[where] != NO_VM)[..., None]
        return np.where(busy, panel.gpu_power_w[where] - curve.at(panel.load_frac[where]), np.nan)

    return above


def _above_surface(panel: Panel, servers: IntArray, values: FloatArray, surface: Surface) -> _Above:
    def above(at: IntArray) -> FloatArray:
        where = np.ix_(at, servers)
        return np.asarray(values[where] - surface.at(mean_of_present(panel.gpu_power_w[where]), panel.inlet_c[where]))

    return above


# Fits.


_Numbers = tuple[float, ...]


def _curve(load: FloatArray, power: FloatArray, idle: FloatArray) -> Curve | None:
    """The curve through busy GPUs, and the median of idle ones (or its start where every server always runs a VM)."""
    knots = _knots(load, LOAD_KNOTS)
    fit = fit_rising(segments(load, knots), power)
    if fit is None:
        return None
    at_knots = np.maximum(fit.at(segments(knots, knots)), 0.0)
    known = idle[np.isfinite(idle)]
    idle_w = float(np.median(known)) if known.size else float(at_knots[0])
    return Curve(_numbers(knots), _numbers(at_knots), idle_w, margin_w=0.0)


def _surface(p: FloatArray, t: FloatArray, y: FloatArray) -> Surface | None:
    known = np.isfinite(p) & np.isfinite(t) & np.isfinite(y)
    if not known.any():
        return None
    p_knots, t_knots = _knots(p[known], POWER_KNOTS), _knots(t[known], INLET_KNOTS)
    fit = fit_rising(_products(p[known], t[known], p_knots, t_knots), y[known])
    if fit is None:
        return None
    at_knots = fit.at(_products(*np.meshgrid(p_knots, t_knots, indexing="ij"), p_knots, t_knots))
    rising = np.maximum.accumulate(np.maximum.accumulate(np.maximum(at_knots, 0.0), axis=0), axis=1)
    return Surface(_numbers(p_knots), _numbers(t_knots), tuple(_numbers(row) for row in rising), margin=0.0)


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


def _numbers(values: FloatArray) -> _Numbers:
    return tuple(float(value) for value in values)
