"""Suite ``gpu-temperature``: a GPU's mean temperature of the next hour, given that hour's power and utilisation.

No inlet is known here: the bias stands for it, and it drifts. So the model is that of ``fit``, straight in power
between the same knots, and its bias and slopes are tracked from hour to hour (:mod:`~tapas_opt.learn.slope_tracker`)::

    T = bias + Σ_k w_k·segment_k(P_mean) + Σ_k w′_k·E[segment_k(P)] + utilisation (mean and highest)

Within the hour power may have stayed near its mean, or jumped between its lowest and highest (E: as often as gives the
mean); on a curve that bends, the two differ, and the truth lies between. Slopes start with those of all servers
together, from the hours before the split; each server's tracker then runs through all its hours in order.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from tapas_opt.bench.suites import SuiteResult, SuiteRow, judged_row, mean_over_rows
from tapas_opt.bench.tables import ColumnKind, first_judged_day, read_table
from tapas_opt.errors import InvalidInput
from tapas_opt.learn.fitting.heat_curve import KNOTS_FRAC
from tapas_opt.learn.fitting.rising import seen_range, segments
from tapas_opt.learn.slope_tracker import AdaptiveUpper, SlopeSettings, SlopeTracker

__all__ = ["run"]

FloatArray = NDArray[np.float64]
BoolArray = NDArray[np.bool_]

HOUR_S = 3600.0
LEVEL = 0.99

NUMBERS = ("power_w_mean", "power_w_min", "power_w_max", "temp_c_mean", "util_pct_mean", "util_pct_max")
COLUMNS: dict[str, ColumnKind] = {"server": "text", "timestamp": "time", **dict.fromkeys(NUMBERS, "number")}

SETTINGS = SlopeSettings(
    bias_var_per_s=0.2 / HOUR_S,
    slope_var_per_s=1e-3 / HOUR_S,
    prior_slope_var=1.0,
    measurement_var=0.05,
    change_frac=0.01,
    longest_gap_s=48 * HOUR_S,
    gate=2.0,
)
"""The same for every server; chosen walk-forward on July to December 2024 of the open data, and not since."""

WINDOW = 2000
"""Hours whose scores make the upper bound: twelve weeks."""

RIDGE = 1e-3
LEAST_ROWS = 100
STEADY_W = 1.0
"""With less between its lowest and highest, power was steady all hour."""


@dataclass(frozen=True)
class _Hours:
    """The hours of one server in order: ``[t]`` times and temperatures, ``[t, input]`` inputs."""

    server: str
    t_s: FloatArray
    temperature_c: FloatArray
    inputs: FloatArray
    judged: BoolArray

    def differences(self) -> tuple[FloatArray, FloatArray]:
        """Inputs and temperatures less those of the hour before, where both hours are before the split."""
        follows = (np.diff(self.t_s) == HOUR_S) & ~self.judged[1:]
        return np.diff(self.inputs, axis=0)[follows], np.diff(self.temperature_c)[follows]


def run(path: Path, train_until: date | None) -> SuiteResult:
    """Predict every hour from ``train_until`` on, knowing everything up to the hour before.

    Raises
    ------
    InvalidInput
        If the tables cannot be read, or there is too little before the split to learn from.
    """
    table = read_table(path, COLUMNS).dropna().drop_duplicates(["server", "timestamp"])
    split = first_judged_day(table["timestamp"], train_until, path)
    before = table[table["timestamp"] < split]
    if len(before) < LEAST_ROWS:
        what = f"there are {len(before)} hours before {split.date()}; at least {LEAST_ROWS} are needed"
        raise InvalidInput.one(str(path), "train_until", what)
    knots = _knots(before["power_w_mean"].to_numpy())
    servers = [_hours(str(name), rows, knots, split) for name, rows in table.groupby("server")]
    slopes, scale = _pooled_slopes(servers)
    rows = [_judged(hours, slopes, scale) for hours in servers if hours.judged[1:].any()]
    return mean_over_rows(rows, "°C", {"train_until": str(split.date()), "level": LEVEL})


def _knots(power_w: FloatArray) -> FloatArray:
    """Those of ``fit``, but the first interval begins at 0 W and the last has no end."""
    low, high = seen_range(power_w)
    return np.concatenate([[0.0], low + (high - low) * np.array(KNOTS_FRAC[1:-1]), [np.inf]])


def _hours(server: str, rows: pd.DataFrame, knots: FloatArray, split: pd.Timestamp) -> _Hours:
    rows = rows.sort_values("timestamp")
    seconds = np.asarray((rows["timestamp"] - pd.Timestamp(0, tz="UTC")).dt.total_seconds(), dtype=np.float64)
    return _Hours(
        server,
        seconds,
        rows["temp_c_mean"].to_numpy(),
        _inputs(*(rows[name].to_numpy() for name in NUMBERS if name != "temp_c_mean"), knots=knots),
        (rows["timestamp"] >= split).to_numpy(),
    )


def _inputs(
    mean_w: FloatArray,
    low_w: FloatArray,
    high_w: FloatArray,
    util: FloatArray,
    most_util: FloatArray,
    *,
    knots: FloatArray,
) -> FloatArray:
    """``[t, input]`` segments of the mean power, mean of the segments between lowest and highest, utilisation."""
    low, high = np.minimum(low_w, mean_w), np.maximum(high_w, mean_w)
    steady = high - low < STEADY_W
    at_high = np.where(steady, 1.0, (mean_w - low) / np.where(steady, 1.0, high - low))[:, None]
    jumping = (1.0 - at_high) * segments(low, knots) + at_high * segments(high, knots)
    return np.hstack([segments(mean_w, knots), jumping, util[:, None], most_util[:, None]])


def _pooled_slopes(servers: list[_Hours]) -> tuple[FloatArray, FloatArray]:
    """Slopes on inputs divided by ``scale``, by ridge regression of the hourly changes of all servers.

    Changes, because the level wanders with the room. Every server counts the same.
    """
    trained = [hours for hours in servers if (~hours.judged).sum() >= LEAST_ROWS] or servers
    spreads = [hours.inputs[~hours.judged].std(axis=0) for hours in trained]
    scale = np.asarray(np.mean(spreads, axis=0) + RIDGE, dtype=np.float64)
    left, right = RIDGE * np.eye(len(scale)), np.zeros(len(scale))
    for hours in trained:
        dx, dy = hours.differences()
        weight = 1.0 / max(len(dy), 1)
        left += weight * (dx / scale).T @ (dx / scale)
        right += weight * (dx / scale).T @ dy
    return np.asarray(np.linalg.solve(left, right)), scale


def _judged(hours: _Hours, slopes: FloatArray, scale: FloatArray) -> SuiteRow:
    """Walk through all hours of a server, and judge those after the split."""
    tracker, bound = SlopeTracker(slopes, SETTINGS), AdaptiveUpper(LEVEL, WINDOW)
    central, upper = np.empty(len(hours.t_s)), np.empty(len(hours.t_s))
    for i, (t_s, reading) in enumerate(zip(hours.t_s, hours.temperature_c, strict=True)):
        inputs = hours.inputs[i] / scale
        central[i], spread = tracker.predict(t_s, inputs)
        upper[i] = central[i] + bound.value * spread
        tracker.update(t_s, inputs, reading)
        if i:
            bound.update((reading - central[i]) / spread)
    before = np.concatenate([[np.nan], hours.temperature_c[:-1]])
    trained = int((~hours.judged).sum())
    extras = {"hours_before": trained, "start": "own hours" if trained else "pooled slopes only"}
    judged = hours.judged
    return judged_row(hours.server, hours.temperature_c[judged], central[judged], upper[judged], before[judged], extras)
