"""Suite ``inlet-temperature``: the inlet of each node one day ahead, and that of a node whose sensor is lost."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from tapas_opt.bench.suites import SuiteResult, SuiteRow, judged_row
from tapas_opt.bench.tables import ColumnKind, first_judged_day, read_table
from tapas_opt.errors import InvalidInput
from tapas_opt.learn.ahead import tracked
from tapas_opt.learn.fitting.ahead import fit_ahead
from tapas_opt.learn.fitting.margin import DAY_LEVEL, conformal_upper, coverage, spread_of
from tapas_opt.learn.peers import fit_peers

__all__ = ["run"]

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]
BoolArray = NDArray[np.bool_]

COLUMNS: dict[str, ColumnKind] = {
    "node": "text",
    "rack": "text",
    "day": "time",
    "inlet_c_mean": "number",
    "node_power_w_mean": "number",
}

LEAST_POWER_W = 100.0
"""A node that is on draws more; where less is read, its meter was broken, or it was off and its air stood still."""

INLET_RANGE_C = (5.0, 60.0)
DAY_S = 86_400.0
LEAST_DAYS = 8
LEAST_SPREAD_C = 0.01
WIDE_QUANTILE = 0.9
"""Nodes of which too little was seen get the margin of those that are hard to predict."""


@dataclass(frozen=True)
class NodeDays:
    """Inlet temperature ``[day, node]``, NaN where there is none to be believed; ``rack`` ``[node]`` by number."""

    nodes: tuple[str, ...]
    rack: IntArray
    inlet_c: FloatArray
    day_s: FloatArray
    learned: int
    """Number of days before the first judged one."""
    split: str
    """That day."""
    dropped: int


def run(path: Path, train_until: date | None) -> SuiteResult:
    """Judge on all node-days from ``train_until`` on that have a reading and had one on the day before.

    *One day ahead.* Of ``T_in = f(T_out, L_room)`` only each node's base is left, because the table has no outdoor
    temperature and tomorrow's load is not known; what remains is followed by a tracked bias and by how deviations go
    back (:mod:`tapas_opt.learn.ahead`). Nothing of the judged day itself is used. Coefficients and margins come from
    the days before ``train_until`` alone; the tracked bias goes on with each day.

    *Lost sensor.* Each node in turn is taken to have no sensor from ``train_until`` on, and is estimated from the other
    nodes of its rack, and the rest of the room, on the same day (:mod:`tapas_opt.learn.peers`), with what was learned
    before. The baseline is the node's mean plus how much warmer than usual the other nodes are on that day.
    """
    days = _read(path, train_until)
    central, upper = _day_ahead(days)
    lost, offsets = _lost_sensor(days)
    judged = slice(days.learned, None)
    yesterday = np.vstack([np.full((1, len(days.nodes)), np.nan), days.inlet_c[:-1]])
    inlet, before = days.inlet_c[judged], yesterday[judged]
    rows = tuple(_rows(days, inlet, central[judged], upper[judged], before, lost[judged]))
    if not rows:
        raise InvalidInput.one(str(path), "inlet_c_mean", "no judged day has a reading and one on the day before")
    strict = np.isfinite(inlet) & np.isfinite(before)
    return SuiteResult(
        rows,
        mae=_mean_off(inlet, central[judged], strict),
        persistence_mae=_mean_off(inlet, before, strict),
        coverage=coverage(np.where(strict, inlet - upper[judged], np.nan), 0.0),
        unit="°C",
        extras={
            "train_until": days.split,
            "level": DAY_LEVEL,
            "node_days": int(strict.sum()),
            "dropped": days.dropped,
            "margin_c": float(np.nanmean(np.where(strict, upper[judged] - central[judged], np.nan))),
            "lost_sensor_mae": _mean_off(inlet, lost[judged], np.isfinite(inlet)),
            "lost_sensor_baseline_mae": _mean_off(inlet, offsets[judged], np.isfinite(inlet)),
            "lost_sensor_node_days": int(np.isfinite(inlet).sum()),
        },
    )


def _read(path: Path, train_until: date | None) -> NodeDays:
    """Lay the table out by day and node; of two rows for one node-day the later one holds."""
    table = read_table(path, COLUMNS)
    split = first_judged_day(table.day, train_until, path)
    good = (table.node_power_w_mean >= LEAST_POWER_W) & table.inlet_c_mean.between(*INLET_RANGE_C) & table.day.notna()
    learned = table.day[good & (table.day < split)].dt.normalize().nunique()
    if learned < LEAST_DAYS:
        what = (
            f"{split.date()}: {learned} days before it have a reading; at least {LEAST_DAYS} are needed to learn from"
        )
        raise InvalidInput.one(str(path), "train_until", what)
    first = table.day.min().normalize()
    number = (table.day - first).dt.days
    nodes = tuple(sorted(table.node.unique(), key=_by_number))
    racks = table.drop_duplicates("node", keep="last").set_index("node").loc[list(nodes), "rack"]
    inlet_c = np.full((int(number.max()) + 1, len(nodes)), np.nan)
    at = number[good].astype("int64"), pd.Categorical(table.node[good], categories=nodes).codes
    inlet_c[at] = table.inlet_c_mean[good]
    day_s = np.arange(len(inlet_c), dtype=np.float64) * DAY_S
    rack = pd.factorize(racks)[0].astype(np.int64)
    return NodeDays(nodes, rack, inlet_c, day_s, (split - first).days, str(split.date()), int((~good).sum()))


def _by_number(name: str) -> tuple[int, str]:
    return (int(name), "") if name.isdigit() else (0, name)


def _day_ahead(days: NodeDays) -> tuple[FloatArray, FloatArray]:
    """``[day, node]`` central inlet temperature for each day, known on the evening before, and its 99 % upper bound.

    Margins: fitted on the first half of the days before the split, how far readings of the second half lay above,
    over each node's own spread there, pooled over all nodes.
    """
    half = days.learned // 2
    errors = _errors_ahead(days, half)
    spread = np.maximum(spread_of(errors[half : days.learned]), LEAST_SPREAD_C)
    spread = np.where(np.isfinite(spread), spread, np.nanquantile(spread, WIDE_QUANTILE))
    scores = (errors[half : days.learned] / spread).ravel()
    central = days.inlet_c - _errors_ahead(days, days.learned)
    return central, central + spread * conformal_upper(scores, DAY_LEVEL)


def _errors_ahead(days: NodeDays, learned: int) -> FloatArray:
    """``[day, node]`` reading − what was expected on the day before, by what the first ``learned`` days teach."""
    seen = days.inlet_c[:learned]
    some = np.isfinite(seen).any(axis=0)
    base = np.where(some, np.nanmedian(np.where(some, seen, 0.0), axis=0), np.nanmedian(seen))
    residual = days.inlet_c - base
    room = np.zeros(len(days.nodes), dtype=np.int64)
    model = fit_ahead(residual[:learned], days.day_s[:learned], room)
    bias = tracked(residual, days.day_s, model.settings)
    expected = model.next_residual(residual, bias, room)[:-1]
    return np.vstack([np.full((1, len(days.nodes)), np.nan), residual[1:] - expected])


def _lost_sensor(days: NodeDays) -> tuple[FloatArray, FloatArray]:
    """``[day, node]`` inlet of each node from the others on the same day; by neighbours, and by fixed offsets."""
    peers = fit_peers(days.inlet_c[: days.learned], days.rack)
    off = days.inlet_c - peers.mean
    known = np.isfinite(off)
    others = np.nansum(off, axis=1)[:, None] - np.where(known, off, 0.0)
    offsets = peers.mean + others / np.maximum(1, known.sum(axis=1)[:, None] - known)
    return peers.without_own(days.inlet_c), offsets


def _rows(
    days: NodeDays, inlet: FloatArray, central: FloatArray, upper: FloatArray, before: FloatArray, lost: FloatArray
) -> Iterator[SuiteRow]:
    """One row for each node that has a day to judge."""
    for i, node in enumerate(days.nodes):
        known = np.isfinite(inlet[:, i])
        if (known & np.isfinite(before[:, i])).any():
            extras = {"lost_sensor_mae": float(np.abs(inlet[known, i] - lost[known, i]).mean())}
            yield judged_row(node, inlet[:, i], central[:, i], upper[:, i], before[:, i], extras)


def _mean_off(reading: FloatArray, prediction: FloatArray, judged: BoolArray) -> float:
    return float(np.abs(reading - prediction)[judged].mean())
