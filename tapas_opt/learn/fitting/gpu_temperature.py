"""Fit of the core or memory temperature of each GPU."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tapas_opt.domain.panel import Panel
from tapas_opt.learn.artefact import Feature, Margin
from tapas_opt.learn.fitting.fitted import Fitted
from tapas_opt.learn.fitting.margin import DAY_LEVEL, conformal_upper, day_maxima, spread_of
from tapas_opt.learn.fitting.rising import fit_rising, seen_range
from tapas_opt.learn.fitting.split import Split
from tapas_opt.learn.gpu_temperature import GpuEntry

__all__ = ["fit_gpu_temperature"]

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]
BoolArray = NDArray[np.bool_]

LEAST_SLOPE = 1e-3
"""Slopes stay above zero, so that a ceiling exists."""

LEAST_POWER_SPAN_FRAC = 0.25
"""A GPU that saw less than this part of its hardware's power range has no fit of its own: it hardly worked."""


@dataclass(frozen=True)
class _Fleet:
    """The GPUs of one hardware: coefficients ``[s, g, 3]`` are a, b, c; residuals ``[t, s, g]`` in °C."""

    hardware: str
    coefficients: FloatArray
    margin_c: FloatArray
    residual_c: FloatArray
    pooled: FloatArray
    pooled_margin_c: float
    highest: tuple[float, float]

    def entry(self, i: int) -> GpuEntry:
        """Entry of the i-th server."""
        return self._entry(self.coefficients[i], self.margin_c[i])

    def pooled_entry(self) -> GpuEntry:
        """Entry of a server not seen; it stands for every GPU of it."""
        return self._entry(self.pooled[None], np.array([self.pooled_margin_c]))

    def _entry(self, coefficients: FloatArray, margin_c: FloatArray) -> GpuEntry:
        a, b, c = (tuple(column.tolist()) for column in coefficients.T)
        return GpuEntry(self.hardware, a, b, c, tuple(margin_c.tolist()), *self.highest)


def fit_gpu_temperature(name: str, temperature_c: NDArray[np.float32], panel: Panel, split: Split) -> Fitted:
    """``T_gpu = a·T_in + b·P_gpu + c`` for each GPU, from the readings ``temperature_c`` ``[t, s, g]``.

    Residuals are divided by each GPU's own spread, and their day maxima pooled by hardware, for the margin. A GPU that
    hardly worked in the fitting days takes the coefficients and the margin of all GPUs of its hardware.
    """
    entries: dict[str, GpuEntry] = {}
    pooled: dict[str, GpuEntry] = {}
    rows_train = 0
    for hardware in panel.topology.hardware:
        servers, gpus = panel.of_hardware(hardware), panel.topology.site.hardware[hardware].gpus
        readings = temperature_c[:, servers, :gpus].astype(np.float64)
        fleet = _fit_fleet(hardware, _features(panel)[:, servers, :gpus], readings, panel, split)
        if fleet is None:
            continue
        pooled[hardware] = fleet.pooled_entry()
        entries |= {panel.topology.servers[s]: fleet.entry(i) for i, s in enumerate(servers)}
        rows_train += int(np.isfinite(fleet.residual_c[split.fit]).sum())
    return Fitted(
        name=name,
        features=(
            Feature("inlet_c", "°C", *seen_range(panel.inlet_c[split.fit])),
            Feature("gpu_power_w", "W", *seen_range(panel.gpu_power_w[split.fit])),
        ),
        entries=entries,
        pooled=pooled,
        margin=Margin(DAY_LEVEL, "GPU-day maxima"),
        unit="°C",
        rows_train=rows_train,
    )


def _features(panel: Panel) -> FloatArray:
    """``[t, s, g, 2]`` inlet temperature and own power."""
    inlet = np.broadcast_to(panel.inlet_c[..., None], panel.gpu_power_w.shape)
    return np.stack([inlet, panel.gpu_power_w], axis=-1)


def _fit_fleet(hardware: str, x: FloatArray, y: FloatArray, panel: Panel, split: Split) -> _Fleet | None:
    pooled = fit_rising(x[split.fit].reshape(-1, 2), y[split.fit].ravel())
    if pooled is None:
        return None
    together = np.array([*np.maximum(pooled.slopes, LEAST_SLOPE), pooled.intercept])
    low, high = seen_range(x[split.fit, ..., 1])
    coefficients = np.broadcast_to(together, (*y.shape[1:], 3)).copy()
    own = np.zeros(y.shape[1:], dtype=bool)
    for s, g in np.ndindex(own.shape):
        fit = _fit_gpu(x[split.fit, s, g], y[split.fit, s, g], LEAST_POWER_SPAN_FRAC * (high - low))
        if fit is not None:
            own[s, g], coefficients[s, g] = True, fit
    residual = y - _predicted(coefficients, x)
    day = panel.day[split.calibrate]
    pooled_scores = day_maxima((y - _predicted(together, x))[split.calibrate], day)
    pooled_margin = max(0.0, conformal_upper(pooled_scores.ravel(), DAY_LEVEL))
    margin = np.where(own, _own_margins(residual, own, day, split), pooled_margin)
    highest = (seen_range(x[split.fit, ..., 0])[1], high)
    return _Fleet(hardware, coefficients, margin, residual, together, pooled_margin, highest)


def _fit_gpu(x: FloatArray, y: FloatArray, least_span_w: float) -> FloatArray | None:
    """a, b and c of one GPU; None if it hardly worked, or if its readings deny that heat warms it."""
    power = x[np.isfinite(y) & np.isfinite(x).all(axis=1), 1]
    if not power.size or np.ptp(power) < least_span_w:
        return None
    fit = fit_rising(x, y)
    if fit is None or (fit.slopes < LEAST_SLOPE).any():
        return None
    return np.array([*fit.slopes, fit.intercept])


def _predicted(coefficients: FloatArray, x: FloatArray) -> FloatArray:
    return np.asarray((coefficients[..., :2] * x).sum(axis=-1) + coefficients[..., 2])


def _own_margins(residual: FloatArray, own: BoolArray, day: IntArray, split: Split) -> FloatArray:
    """``[s, g]`` own spread × what day maxima of normalised residuals stay below; NaN for GPUs without own fit."""
    spread = np.where(own, spread_of(residual[split.fit]), np.nan)
    if not own.any():
        return spread
    scores = day_maxima(residual[split.calibrate], day) / spread
    return np.maximum(0.0, spread * conformal_upper(scores.ravel(), DAY_LEVEL))
