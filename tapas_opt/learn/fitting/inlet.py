"""Fit of the inlet temperature of each server."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np
from numpy.typing import NDArray

from tapas_opt.domain.panel import Panel
from tapas_opt.learn.artefact import Feature
from tapas_opt.learn.fitting.fitted import SERVER_DAY, Fitted
from tapas_opt.learn.fitting.margin import DAY_LEVEL, day_maxima, spread_of, upper_of_days
from tapas_opt.learn.fitting.neighbours import from_neighbours
from tapas_opt.learn.fitting.rising import RisingFit, fit_rising, seen_range
from tapas_opt.learn.fitting.split import Split
from tapas_opt.learn.inlet import InletEntry, outdoor_segments

__all__ = ["fit_inlet"]

FloatArray = NDArray[np.float64]


def fit_inlet(panel: Panel, split: Split) -> Fitted:
    """``T_in[s]`` piecewise linear in the outdoor temperature and linear in the load of its room.

    Residuals are divided by each server's own spread, and their day maxima pooled by hardware, for the margin. A server
    without readings of its own is taken for what its neighbours make of it.
    """
    x = _features(panel)
    fits = {s: fit for s in range(x.shape[1]) if (fit := fit_rising(x[split.fit, s], panel.inlet_c[split.fit, s]))}
    residual: FloatArray = np.full(panel.inlet_c.shape, np.nan)
    for s, fit in fits.items():
        residual[:, s] = panel.inlet_c[:, s] - fit.at(x[:, s])
    margin = np.full(residual.shape[1], np.nan)
    pooled: dict[str, InletEntry] = {}
    for name in panel.topology.hardware:
        servers = np.array([s for s in panel.of_hardware(name) if s in fits], dtype=np.int64)
        if servers.size:
            margin[servers] = _margins(residual[:, servers], panel, split)
            pooled[name] = _pooled(name, x[:, servers], panel.inlet_c[:, servers], panel, split)
            pooled |= _of_neighbours(name, fits, x, panel, split)
    return Fitted(
        name="inlet_temperature",
        features=tuple(_seen(panel, split)),
        entries={panel.topology.servers[s]: _entry(panel, s, fit, margin[s]) for s, fit in fits.items()},
        pooled=pooled,
        margin=SERVER_DAY,
        unit="°C",
        rows_train=int(np.isfinite(residual[split.fit]).sum()),
    )


def _features(panel: Panel) -> FloatArray:
    """``[t, s, 4]`` outdoor temperature below, between and above the knots, and room load."""
    room = panel.topology.server_room
    load = panel.room_load_frac[:, room, None]
    return np.concatenate([outdoor_segments(panel.outdoor_c)[:, room], load], axis=2)


def _seen(panel: Panel, split: Split) -> Iterator[Feature]:
    yield Feature("outdoor_c", "°C", *seen_range(panel.outdoor_c[split.fit]))
    yield Feature("room_load_frac", "1", *seen_range(panel.room_load_frac[split.fit]))


def _margins(residual: FloatArray, panel: Panel, split: Split) -> FloatArray:
    """``[s]`` own spread × what day maxima of normalised residuals stay below, on the worst calibrating day too."""
    spread = spread_of(residual[split.fit])
    scores = day_maxima(residual[split.calibrate], panel.day[split.calibrate]) / spread
    return np.maximum(0.0, spread * upper_of_days(scores, DAY_LEVEL))


def _pooled(name: str, x: FloatArray, inlet_c: FloatArray, panel: Panel, split: Split) -> InletEntry:
    """One fit for all servers; its margin covers how they differ."""
    fit = fit_rising(x[split.fit].reshape(-1, x.shape[2]), inlet_c[split.fit].ravel())
    assert fit is not None  # each of these servers had readings enough
    scores = day_maxima((inlet_c - fit.at(x))[split.calibrate], panel.day[split.calibrate])
    return _inlet_entry(name, fit, upper_of_days(scores, DAY_LEVEL))


def _of_neighbours(
    name: str, fits: Mapping[int, RisingFit], x: FloatArray, panel: Panel, split: Split
) -> dict[str, InletEntry]:
    """Entries of servers without readings of their own; the margin is what those with readings would have needed."""
    coefficients = np.full((x.shape[1], x.shape[2] + 1), np.nan)
    for s, fit in fits.items():
        coefficients[s] = (*fit.slopes, fit.intercept)
    estimated = from_neighbours(coefficients, panel.topology)
    servers = [s for s in panel.of_hardware(name) if np.isfinite(estimated[s]).all()]
    lost = [s for s in servers if s not in fits]
    known = [s for s in servers if s in fits]
    if not lost or not known:
        return {}
    expected = np.einsum("tsk,sk->ts", x[split.calibrate][:, known], estimated[known, :-1]) + estimated[known, -1]
    off = panel.inlet_c[split.calibrate][:, known] - expected
    margin_c = upper_of_days(day_maxima(off, panel.day[split.calibrate]), DAY_LEVEL)
    fitted = {s: RisingFit(estimated[s, :-1], float(estimated[s, -1])) for s in lost}
    return {panel.topology.servers[s]: _inlet_entry(name, fit, margin_c) for s, fit in fitted.items()}


def _entry(panel: Panel, s: int, fit: RisingFit, margin_c: float) -> InletEntry:
    return _inlet_entry(panel.topology.hardware[panel.topology.server_hardware[s]], fit, margin_c)


def _inlet_entry(hardware: str, fit: RisingFit, margin_c: float) -> InletEntry:
    low, middle, high, load = fit.slopes.tolist()
    return InletEntry(hardware, fit.intercept, (low, middle, high), load, max(0.0, float(margin_c)))
