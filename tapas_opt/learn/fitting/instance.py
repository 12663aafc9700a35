"""Fit of what instances draw by configuration, hardware and load."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from tapas_opt.domain.configuration import LOAD_LEVELS
from tapas_opt.domain.panel import Panel, mean_of_present
from tapas_opt.learn.artefact import Feature
from tapas_opt.learn.fitting.fitted import SERVER_DAY, Fitted
from tapas_opt.learn.fitting.margin import DAY_LEVEL, conformal_upper, day_maxima
from tapas_opt.learn.fitting.rising import fit_rising, segments
from tapas_opt.learn.fitting.split import Split
from tapas_opt.learn.instance import InstanceEntry, instance_key

__all__ = ["fit_instance_power"]

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]
BoolArray = NDArray[np.bool_]

LEVELS = np.array(LOAD_LEVELS)
KNOTS = np.array([0.0, 0.25, 0.5, 0.75, 1.0])
"""Power bends between the levels too; a straight line through all readings there would miss it at the levels."""

NEAR_FRAC = 0.1
"""Readings so close to a load level count as readings of it."""


def fit_instance_power(panel: Panel, split: Split) -> Fitted:
    """Power over load of each configuration on each hardware, rising and straight between the load levels.

    A configuration enters when the fitting days have enough readings of it and a later day has one; margins are
    calibrated on server-days of the calibrating days. Without configurations in the history the model is empty.
    """
    entries = {instance_key(entry.configuration, entry.hardware): entry for entry in _entries(panel, split)}
    return Fitted(
        name="instance_power",
        features=(Feature("load_frac", "1", 0.0, 1.0),),
        entries=entries,
        pooled={},
        margin=SERVER_DAY,
        unit="W",
        rows_train=sum(sum(entry.readings) for entry in entries.values()),
    )


def _entries(panel: Panel, split: Split) -> Iterator[InstanceEntry]:
    for number, configuration in enumerate(panel.configurations):
        for hardware in panel.topology.hardware:
            servers = panel.of_hardware(hardware)
            runs = panel.vm_configuration[:, servers] == number
            runs &= np.isfinite(panel.vm_load_frac[:, servers])
            entry = _entry(panel, split, servers, runs, (configuration, hardware)) if runs.any() else None
            if entry is not None:
                yield entry


def _entry(
    panel: Panel, split: Split, servers: IntArray, runs: BoolArray, name: tuple[str, str]
) -> InstanceEntry | None:
    """None with too few readings."""
    ran = np.flatnonzero(runs.any(axis=0))
    servers, runs = servers[ran], runs[:, ran]
    load = np.where(runs, panel.vm_load_frac[:, servers], np.nan)
    gpus = panel.gpu_power_w[:, servers]
    fitting = split.fit[:, None] & runs
    mean = _fitted(load, mean_of_present(gpus), fitting, split, panel.day)
    hottest = _fitted(load, _hottest(gpus), fitting, split, panel.day)
    if mean is None or hottest is None:
        return None
    known = load[fitting & np.isfinite(gpus).any(axis=2)]
    low, middle, high = (int((np.abs(known - level) <= NEAR_FRAC).sum()) for level in LEVELS)
    return InstanceEntry(*name, mean[0], hottest[0], mean[1], hottest[1], (low, middle, high))


def _fitted(
    load: FloatArray, power: FloatArray, fitting: BoolArray, split: Split, day: IntArray
) -> tuple[tuple[float, float, float], float] | None:
    """Power at the levels, and what a later server-day's maximum may lie above the straight lines between them."""
    fitted = fit_rising(segments(load[fitting], KNOTS), power[fitting])
    if fitted is None:
        return None
    at_levels = np.maximum(fitted.at(segments(LEVELS, KNOTS)), 0.0)
    later = split.calibrate
    over = day_maxima(power[later] - np.interp(load[later], LEVELS, at_levels), day[later])
    if not np.isfinite(over).any():
        return None
    low, middle, high = at_levels.tolist()
    return (low, middle, high), max(conformal_upper(over.ravel(), DAY_LEVEL), 0.0)


def _hottest(gpus: NDArray[np.float32]) -> FloatArray:
    """Highest over the last axis of what is not NaN; NaN where nothing is."""
    hottest = gpus[..., 0]
    for g in range(1, gpus.shape[-1]):
        hottest = np.fmax(hottest, gpus[..., g])
    return hottest.astype(np.float64)
