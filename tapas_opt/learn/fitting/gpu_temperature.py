"""Fit of the core or memory temperature of each GPU."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tapas_opt.domain.panel import Panel
from tapas_opt.learn.artefact import Feature, Margin
from tapas_opt.learn.fitting.fitted import Fitted
from tapas_opt.learn.fitting.heat_coefficients import (
    LEAST_SPREAD_C,
    GpuReadings,
    Shared,
    gpu_coefficients,
    shared_by_all,
)
from tapas_opt.learn.fitting.heat_margin import aged_upper, flat, rising_with_power, suspects
from tapas_opt.learn.fitting.margin import DAY_LEVEL, conformal_upper, day_maxima, spread_of
from tapas_opt.learn.fitting.rising import seen_range
from tapas_opt.learn.fitting.split import Split
from tapas_opt.learn.gpu_temperature import GpuEntry, HeatCurve

__all__ = ["fit_gpu_temperature"]

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]
BoolArray = NDArray[np.bool_]

SHARED_SERVERS = 32
"""What all GPUs of a hardware share is learned from this many servers: from more it would be the same."""

BLOCK_SERVERS = 32

USUAL_STEEPNESS = 1.5
"""GPUs whose margin over b is up to so many times the median share one curve; another one's server has its own."""


def fit_gpu_temperature(name: str, temperature_c: NDArray[np.float32], panel: Panel, split: Split) -> Fitted:
    """``T_gpu = a·T_in + b·φ(P_gpu, T_in) + c`` for each GPU, from the readings ``temperature_c`` ``[t, s, g]``.

    φ is learned for each hardware, then a, b and c for each GPU by least squares. A GPU that hardly worked in the
    fitting days takes the coefficients and the margin of all GPUs of its hardware. The residuals' day maxima, over each
    GPU's own spread, are pooled by hardware for the margin.
    """
    topology = panel.topology
    entries: dict[str, GpuEntry] = {}
    pooled: dict[str, GpuEntry] = {}
    rows_train = 0
    for hardware in topology.hardware:
        servers = panel.of_hardware(hardware)
        fleet = _fit_fleet(_Source(temperature_c, panel, servers, topology.site.hardware[hardware].gpus), split)
        if fleet is None:
            continue
        *own, pooled[hardware] = fleet.entries(hardware)
        entries |= {topology.servers[s]: entry for s, entry in zip(servers, own, strict=True)}
        rows_train += fleet.rows
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


@dataclass(frozen=True)
class _Fleet:
    """All GPUs of one hardware, in the order of their servers.

    Attributes
    ----------
    coefficients, margin_c
        ``[gpu, 3]`` a, b and c, and ``[gpu]``; NaN where a GPU has no fit of its own.
    pooled_margin_c
        That of such GPUs, at every power.
    """

    gpus: int
    shared: Shared
    coefficients: FloatArray
    margin_c: FloatArray
    pooled_margin_c: float
    rows: int

    def entries(self, hardware: str) -> Iterator[GpuEntry]:
        """One for each server, and last that of a server not seen; it stands for every GPU of it."""
        steepness = self.margin_c / self.coefficients[:, 1]
        known = steepness[np.isfinite(steepness)]
        usual = USUAL_STEEPNESS * float(np.median(known)) if known.size else 0.0
        shapes = (flat(self.shared.curve), rising_with_power(self.shared.curve, usual))
        for first in range(0, len(self.margin_c), self.gpus):
            mine = slice(first, first + self.gpus)
            a_b_c, margin, steepest = self.coefficients[mine], self.margin_c[mine], float(steepness[mine].max())
            if np.isnan(steepest):
                yield self._of_idle(hardware, a_b_c, margin, shapes[0])
            else:
                curve = shapes[1] if steepest <= usual else rising_with_power(self.shared.curve, steepest)
                yield _entry(hardware, a_b_c, margin, curve)
        yield _entry(hardware, self.shared.coefficients[None], np.array([self.pooled_margin_c]), shapes[0])

    def _of_idle(self, hardware: str, coefficients: FloatArray, margin_c: FloatArray, curve: HeatCurve) -> GpuEntry:
        """A server with GPUs that hardly worked: they take what all have, and every margin holds at every power."""
        worked, most = np.isfinite(margin_c), max(self.shared.curve.margin_share)
        coefficients = np.where(worked[:, None], coefficients, self.shared.coefficients)
        return _entry(hardware, coefficients, np.where(worked, margin_c * most, self.pooled_margin_c), curve)


def _entry(hardware: str, coefficients: FloatArray, margin_c: FloatArray, curve: HeatCurve) -> GpuEntry:
    a, b, c = (tuple(column.tolist()) for column in coefficients.T)
    return GpuEntry(hardware, a, b, c, tuple(margin_c.tolist()), curve)


@dataclass(frozen=True)
class _Source:
    """Where the readings of the servers of one hardware come from, some servers at a time."""

    temperature_c: NDArray[np.float32]
    panel: Panel
    servers: IntArray
    gpus: int

    def blocks(self, slots: BoolArray) -> Iterator[GpuReadings]:
        """All GPUs, in the order of their servers."""
        for first in range(0, len(self.servers), BLOCK_SERVERS):
            yield self._of(self.servers[first : first + BLOCK_SERVERS], slots)

    def some(self, slots: BoolArray) -> GpuReadings:
        """The GPUs of :data:`SHARED_SERVERS` servers, evenly spread over all."""
        chosen = np.unique(np.linspace(0, len(self.servers) - 1, SHARED_SERVERS).astype(np.int64))
        return self._of(self.servers[chosen], slots)

    def _of(self, servers: IntArray, slots: BoolArray) -> GpuReadings:
        at = np.flatnonzero(slots)[:, None]

        def by_gpu(values: NDArray[np.float32]) -> FloatArray:
            rows = values[at, servers, : self.gpus].reshape(len(at), -1)
            return np.ascontiguousarray(rows.T, dtype=np.float64)

        inlet = np.ascontiguousarray(self.panel.inlet_c[at, servers].T, dtype=np.float64)
        power, temperature = by_gpu(self.panel.gpu_power_w), by_gpu(self.temperature_c)
        return GpuReadings(np.repeat(inlet, self.gpus, axis=0), power, temperature, effective_w=power)


@dataclass(frozen=True, slots=True)
class _Own:
    """What GPUs have of their own, NaN where they have no fit of their own.

    Attributes
    ----------
    coefficients
        ``[gpu, 3]`` a, b, c.
    spread_c
        ``[gpu]`` of the residuals in the fitting days.
    fitted, calibrated
        ``[gpu, day]`` highest residual of each day over spread and share.
    as_pooled_c
        ``[gpu, day]`` highest residual of each calibrating day with the coefficients of all, in °C.
    rows
        ``[gpu]`` readings in the fitting days.
    """

    coefficients: FloatArray
    spread_c: FloatArray
    fitted: FloatArray
    calibrated: FloatArray
    as_pooled_c: FloatArray
    rows: IntArray

    @classmethod
    def joined(cls, parts: list[_Own]) -> _Own:
        return cls(*(np.concatenate([getattr(part, name) for part in parts]) for name in cls.__slots__))


def _fit_fleet(source: _Source, split: Split) -> _Fleet | None:
    shared = shared_by_all(source.some(split.fit))
    if shared is None:
        return None
    used = split.fit | split.calibrate
    day, fitting = source.panel.day[used], split.fit[used]
    own = _Own.joined([_fit_block(block, shared, day, fitting) for block in source.blocks(used)])
    margin, pooled_margin = _margins(own)
    return _Fleet(source.gpus, shared, own.coefficients, margin, pooled_margin, rows=int(own.rows.sum()))


def _fit_block(readings: GpuReadings, shared: Shared, day: IntArray, fitting: BoolArray) -> _Own:
    """Fit some GPUs on the fitting slots of ``[gpu, t]`` and score all slots."""
    readings = readings.through(shared.curve)
    coefficients = gpu_coefficients(readings.at(fitting), shared)
    share = shared.curve.margin_share_at(readings.power_w)
    residual = readings.residual(coefficients)
    spread = np.maximum(spread_of(residual[:, fitting].T), LEAST_SPREAD_C)
    score = residual / share / spread[:, None]
    as_pooled = readings.residual(np.broadcast_to(shared.coefficients, coefficients.shape))
    return _Own(
        coefficients,
        spread,
        day_maxima(score[:, fitting].T, day[fitting]).T,
        day_maxima(score[:, ~fitting].T, day[~fitting]).T,
        day_maxima(as_pooled[:, ~fitting].T, day[~fitting]).T,
        np.isfinite(as_pooled[:, fitting]).sum(axis=1),
    )


def _margins(own: _Own) -> tuple[FloatArray, float]:
    """``[gpu]`` own margins, and that of a GPU without a fit of its own, in °C at the highest power.

    GPUs with a bad sensor stay out of the pools, and have at least the margin that their own days ask for.
    """
    bad = suspects(own.calibrated)
    pooled = max(0.0, conformal_upper(own.as_pooled_c[~bad], DAY_LEVEL))
    if not np.isfinite(own.calibrated[~bad]).any():
        return np.full(bad.shape, pooled), pooled
    score = np.full(bad.shape, aged_upper(own.fitted[~bad], own.calibrated[~bad]))
    for g in np.flatnonzero(bad):
        score[g] = max(score[g], conformal_upper(own.calibrated[g], DAY_LEVEL))
    return own.spread_c * score, pooled
