"""One kind of sensor held against what its peers usually read at the same state of what drives it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import inf
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tapas_opt.domain.history import Refused
from tapas_opt.domain.panel import DAY_S, SLOT_S
from tapas_opt.domain.plausible import lag_of, median_of_present, stands_still

__all__ = ["LEAST_PEERS", "Relation", "Tolerance", "late_sensors", "refuse"]

Floats = NDArray[np.floating[Any]]
FloatArray = NDArray[np.float64]
Float32Array = NDArray[np.float32]
IntArray = NDArray[np.int64]
BoolArray = NDArray[np.bool_]

SIGMA_PER_MAD = 1.4826
SIGMAS = 6.0
"""A sensor is off when it is further from its peers than this many times their usual distance."""

READING_FACTOR = 3.0
"""A single reading may be this many times as far off as a day: transients and noise average out over a day."""

EXPLAINED_SLOTS = 3
"""A reading may follow any state of its driver within these slots."""

SAMPLES_A_DAY = 48
KNOTS, LEAST_READINGS, MOST_READINGS = 60, 600, 100_000
"""Of a curve of medians."""

TABLE = 2_048
"""Places of a curve that are computed; between them it is as fine as any sensor."""

LEAST_DAYS, LEAST_PEERS = 3, 3
MOST_DAYS_OFF_FRAC = 1 / 3
"""A sensor that is off on more days than this says nothing about the others either."""

STILL_READINGS = 12
"""An hour: from then on a sensor that does not move is looked at."""

NEVER_STILL_FRAC = 0.01
"""Where fewer consecutive readings of a kind are equal than this, no good sensor stands still for an hour."""

MOST_LAG_SLOTS, LEAST_LAG_SLOTS = 24, 2
LEAST_CORRELATION = 0.5
BLOCK_SLOTS, LEAST_BLOCK_SLOTS = 4 * int(DAY_S / SLOT_S), int(DAY_S / SLOT_S)
"""Lags are looked for in blocks of this many slots, as a sensor need not be late for ever; not in less than a day."""


@dataclass(frozen=True)
class Tolerance:
    """How far a good sensor may be from its peers.

    Attributes
    ----------
    off
        Least tolerance of a day's median, in the unit of the sensor or, if ``relative``, as a share of what is usual.
    still_span_frac
        A reading that stands still is refused when its driver moved by this share of its range meanwhile.
    still_span
        And by at least this much, in the unit of the driver: where little happens, steady readings are true.
    """

    off: float
    relative: bool = False
    still_span_frac: float = inf
    still_span: float = 1e-9

    def amount(self, off: float) -> str:
        """Such as ``+6.3 °C`` or ``-12 %``."""
        return f"{100.0 * off:+.0f} %" if self.relative else f"{off:+.1f} °C"


@dataclass(frozen=True)
class Relation:
    """Sensors of one kind ``values`` ``[t, k]``, what drives them, and whose they are.

    Attributes
    ----------
    driver
        ``[t, k]``; sensors of one ``group`` read about the same over it.
    base
        ``[t, k]`` what to subtract first, or None.
    """

    table: str
    column: str
    names: Sequence[str]
    values: Floats
    driver: Float32Array
    base: Float32Array | None
    group: IntArray
    day: IntArray
    tolerance: Tolerance


def refuse(relation: Relation) -> list[Refused]:
    """Turn what the relation denies into NaN, in place: one record for each sensor and reason."""
    judge = _Judge(relation)
    if np.isfinite(judge.off).any():
        judge.still()
        judge.late()
        judge.off_peers()
        relation.values[judge.wrong] = np.nan
    return judge.records


class _Judge:
    def __init__(self, relation: Relation) -> None:
        self.records: list[Refused] = []
        self._r = relation
        self._values = np.ascontiguousarray(relation.values, dtype=np.float32)
        self.wrong = np.zeros(self._values.shape, dtype=bool)
        self._usual, self.off = _usual(relation, self._values)

    def still(self) -> None:
        """Readings that do not move for an hour or more although what drives them does."""
        r = self._r
        never = _equal_frac(self._values) <= NEVER_STILL_FRAC
        least = 0.0 if never else max(r.tolerance.still_span_frac * _range(r.driver), r.tolerance.still_span)
        still = stands_still(self._values, r.driver, STILL_READINGS, least)
        for k in np.flatnonzero(still.any(axis=0)).tolist():
            self._refuse(k, still[:, k], "stuck: for hours the same reading, while what drives it moved")

    def late(self) -> None:
        """Blocks of days in which a sensor's changes follow those of its driver best after some time."""
        for k, slots, minutes in late_sensors(self._values, self._r.driver):
            self._refuse(k, slots, f"late: follows what drives it after {minutes:.0f} min")

    def off_peers(self) -> None:
        """Sensors that are off as a whole, on some days, or in single readings."""
        self.off[self.wrong] = np.nan
        days, daily = _daily(self.off, self._r.day)
        level = median_of_present(daily, 0)
        self.off -= level.astype(np.float32)
        for group in np.unique(self._r.group):
            of = np.flatnonzero((self._r.group == group) & np.isfinite(level))
            if of.size >= LEAST_PEERS:
                of = self._off_throughout(of, level)
                wander = daily[:, of] - level[of]
                common = median_of_present(wander, 1)
                wander -= np.where(np.isfinite(common), common, 0.0)[:, None]
                far = self._far(wander)
                if len(days) >= LEAST_DAYS:
                    self._off_on_days(of, days, wander, far)
                self._off_readings(of, READING_FACTOR * far, level)

    def _off_throughout(self, of: IntArray, level: FloatArray) -> IntArray:
        """Refuse sensors whose usual distance from what is usual is not their peers', and hand back the others."""
        away = level[of] - np.median(level[of])
        whole = np.abs(away) > self._far(away)
        for k, off in zip(of[whole].tolist(), away[whole].tolist(), strict=True):
            self._refuse(k, np.ones(len(self.wrong), dtype=bool), f"{self._amount(off)} off its peers throughout")
        return of[~whole]

    def _off_on_days(self, of: IntArray, days: IntArray, wander: FloatArray, far: float) -> None:
        """Refuse days on which a sensor is off what it usually is, and what is as far off on the days beside them."""
        bad = np.abs(wander) > far
        for i in np.flatnonzero(bad.any(axis=0)).tolist():
            k, on = int(of[i]), days[bad[:, i]]
            slots = np.isin(self._r.day, on)
            slots |= np.isin(self._r.day, np.concatenate([on - 1, on + 1])) & (np.abs(self.off[:, k]) > far)
            slots |= bad[:, i].mean() > MOST_DAYS_OFF_FRAC
            most = float(wander[np.nanargmax(np.abs(wander[:, i])), i])
            reason = f"up to {self._amount(most)} off what it usually reads beside its peers, on {on.size} days"
            self._refuse(k, slots, reason)

    def _off_readings(self, of: IntArray, far: float, level: FloatArray) -> None:
        """Refuse readings that no state of their driver within the last slots explains."""
        strange = np.zeros(self.wrong.shape, dtype=bool)
        strange[:, of] = np.abs(self.off[:, of]) > far
        t, k = np.nonzero(strange & ~self.wrong)
        for back in range(1, EXPLAINED_SLOTS):
            then = self._usual[np.maximum(t - back, 0), k]
            moved = then / self._usual[t, k] - 1.0 if self._r.tolerance.relative else then - self._usual[t, k]
            explained = np.where(np.sign(moved) == np.sign(self.off[t, k]), np.abs(moved), 0.0)
            strange[t, k] &= (np.abs(self.off[t, k]) - explained > far) & np.isfinite(then)
        for i in np.flatnonzero(strange.any(axis=0)).tolist():
            reason = f"single readings more than {self._amount(far)[1:]} off what its driver explains"
            self._refuse(i, strange[:, i], reason)

    def _far(self, away: FloatArray) -> float:
        return max(self._r.tolerance.off, SIGMAS * _sigma(away))

    def _amount(self, off: float) -> str:
        return self._r.tolerance.amount(off)

    def _refuse(self, k: int, slots: BoolArray, reason: str) -> None:
        """Refuse readings of a sensor that were not refused before."""
        new = slots & ~self.wrong[:, k] & np.isfinite(self._values[:, k])
        self.wrong[:, k] |= new
        if new.any():
            self.records.append(Refused(self._r.table, self._r.column, self._r.names[k], int(new.sum()), reason))


def late_sensors(values: Float32Array, driver: Float32Array) -> Iterator[tuple[int, BoolArray, float]]:
    """Sensors that follow what drives them late, the slots of the blocks in which they do, and by how many minutes."""
    late: dict[int, list[tuple[slice, int]]] = {}
    for first in range(0, len(values) - LEAST_BLOCK_SLOTS + 1, BLOCK_SLOTS):
        block = slice(first, first + BLOCK_SLOTS)
        lag, best, now = lag_of(values[block], driver[block], MOST_LAG_SLOTS)
        found = (lag >= LEAST_LAG_SLOTS) & (best >= LEAST_CORRELATION) & (best >= 2.0 * now)
        for k in np.flatnonzero(found).tolist():
            late.setdefault(k, []).append((block, int(lag[k])))
    for k, blocks in late.items():
        slots = np.zeros(len(values), dtype=bool)
        for block, _ in blocks:
            slots[block] = True
        yield k, slots, float(np.median([lag for _, lag in blocks])) * SLOT_S / 60.0


def _usual(r: Relation, values: Float32Array) -> tuple[Float32Array, Float32Array]:
    """``[t, k]`` what peers read at this state, and how far each reading is off it."""
    over = values if r.base is None else values - r.base
    usual = np.full(over.shape, np.nan, dtype=np.float32)
    for group in np.unique(r.group):
        of = slice(None) if (r.group == group).all() else np.flatnonzero(r.group == group)
        curve = _curve(r.driver[:, of], over[:, of])
        if curve is not None:
            usual[:, of] = _along(r.driver[:, of], *curve)
    if not r.tolerance.relative:
        return usual, over - usual
    usual[usual <= 0] = np.nan
    return usual, over / usual - np.float32(1.0)


def _curve(driver: Floats, over: Floats) -> tuple[FloatArray, FloatArray] | None:
    """Medians of the readings between quantiles of the driver, made to rise."""
    known = np.flatnonzero(np.isfinite(driver) & np.isfinite(over))
    if known.size < LEAST_READINGS:
        return None
    some = known[:: max(1, known.size // MOST_READINGS)]
    d, y = driver.ravel()[some].astype(np.float64), over.ravel()[some].astype(np.float64)
    order = np.argsort(d)
    parts = np.array_split(order, KNOTS)
    at, middle = (np.array([np.median(of[part]) for part in parts]) for of in (d, y))
    return at, np.maximum.accumulate(middle)


def _along(x: Float32Array, at: FloatArray, values: FloatArray) -> Float32Array:
    """The curve at ``x``, from a table: a hundred million readings are looked up in seconds; NaN stays NaN."""
    step = (at[-1] - at[0]) / TABLE or 1.0
    table = np.interp(at[0] + step * np.arange(TABLE + 1), at, values).astype(np.float32)
    place = np.clip((x - np.float32(at[0])) / np.float32(step), 0, TABLE)
    missing = np.isnan(place)
    place[missing] = 0
    found = table[np.rint(place).astype(np.int32)]
    found[missing] = np.nan
    return np.asarray(found)


def _daily(off: Float32Array, day: IntArray) -> tuple[IntArray, FloatArray]:
    """Days, and ``[day, k]`` the median of some readings of each; a day of a few slots may have none of them."""
    there = np.flatnonzero(np.isfinite(off).any(axis=1))
    thin = there[:: max(1, there.size // (np.unique(day[there]).size * SAMPLES_A_DAY))]
    days = np.unique(day[thin])
    return days, np.stack([median_of_present(off[thin[day[thin] == d]], 0) for d in days])


def _equal_frac(values: Float32Array) -> float:
    """Share of consecutive readings that are equal."""
    pairs = np.isfinite(values[1:]) & np.isfinite(values[:-1])
    return float((values[1:] == values[:-1])[pairs].mean()) if pairs.any() else 1.0


def _range(values: Floats) -> float:
    known = values[np.isfinite(values)]
    low, high = np.quantile(known[:: max(1, known.size // MOST_READINGS)], (0.001, 0.999))
    return float(high - low)


def _sigma(values: FloatArray) -> float:
    known = values[np.isfinite(values)]
    return float(SIGMA_PER_MAD * np.median(np.abs(known - np.median(known)))) if known.size else inf
