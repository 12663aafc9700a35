"""What a sensor has lately read above its model's prediction: a tracked bias, because a fit alone drifts.

For each sensor the bias b is taken to wander around zero (Ornstein and Uhlenbeck 1930), and a residual r, reading less
central prediction, shows it with noise::

    db = −b/τ·dt + √q·dw        r = b + v,  v ~ N(0, R)

Exactly discretised over Δ seconds, with ρ = exp(−Δ/τ) and the variance that b has when nothing is known, σ² = q·τ/2::

    predict   m⁻ = ρ·m            P⁻ = ρ²·P + (1 − ρ²)·σ²
    update    ν  = r − m⁻         S  = P⁻ + R          K = P⁻/S
              m  = m⁻ + K·ν       P  = (1 − K)·P⁻

which is the Kalman filter (Kalman 1960; Welch and Bishop 2006, §1). It begins at m = 0, P = σ², and it goes back there
when a sensor falls silent: knowledge decays with age. Readings with ν² > gate²·S are not believed at once; when
``persistent`` of them in a row lie on the same side, P is set back to σ² and they are followed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from math import isnan
from statistics import NormalDist
from typing import Annotated, Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import ConfigDict, Field, TypeAdapter

from tapas_opt.domain.fields import STRICT, NonNegative, Positive, field_faults
from tapas_opt.errors import Fault, InvalidInput

__all__ = ["BiasSettings", "BiasTracker"]

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]

FORMAT = "tapas-opt/bias/1"

NOTICEABLE_FRAC = 0.1
"""A margin counts as widened when it grew by more than this share of what the settled tracker's own would be."""

REPORTED_LEVEL = 0.99
ROUNDING = 1e-9


@dataclass(frozen=True, slots=True)
class BiasSettings:
    """How biases wander and how far they are believed; residuals are in ``unit``, variances in its square.

    Attributes
    ----------
    process_var_per_s
        q: variance that a bias gains each second.
    measurement_var
        R: variance of one residual around its bias.
    time_constant_s
        τ: without readings a bias decays to 1/e in this time.
    step_s
        How far apart readings normally come; up to this age nothing is widened.
    gate
        Innovations beyond this many standard deviations √S are not believed at once.
    persistent
        The how manieth such innovation in a row, all on one side, is followed.
    largest_bias, largest_widening
        Hard bounds.
    """

    __pydantic_config__: ClassVar[ConfigDict] = STRICT
    process_var_per_s: Positive
    measurement_var: Positive
    time_constant_s: Positive
    step_s: Positive
    gate: Positive = 4.0
    persistent: Annotated[int, Field(ge=2, le=1000)] = 3
    largest_bias: Positive = 10.0
    largest_widening: NonNegative = 10.0
    unit: str = "°C"

    @property
    def prior_var(self) -> float:
        """σ² = q·τ/2, the variance of a bias of which nothing is known."""
        return self.process_var_per_s * self.time_constant_s / 2

    @property
    def settled_var(self) -> float:
        """P⁻ of a sensor that has long been read every ``step_s``.

        The fixed point M of predict and update, M = ρ²·M·R/(M + R) + (1 − ρ²)·σ², that is the positive root of
        M² − (c − (1 − ρ²)·R)·M − c·R = 0 with c = (1 − ρ²)·σ² (the scalar Riccati equation).
        """
        forgotten = -np.expm1(-2 * self.step_s / self.time_constant_s)
        c = forgotten * self.prior_var
        half = (c - forgotten * self.measurement_var) / 2
        return float(half + np.sqrt(half**2 + c * self.measurement_var))

    @property
    def settled_spread(self) -> float:
        """√S of a sensor that has long been read every ``step_s``: what a margin learned with the tracker has seen."""
        return float(np.sqrt(self.settled_var + self.measurement_var))


@dataclass(frozen=True, slots=True)
class _Sensor:
    """One sensor as stored: m, P, when it was last read, disbelieved readings in a row (− below), how far off."""

    __pydantic_config__: ClassVar[ConfigDict] = STRICT
    bias: Annotated[float, Field(allow_inf_nan=False)]
    variance: NonNegative
    t_s: Annotated[float, Field(allow_inf_nan=False)] | None
    streak: int
    surprise: Annotated[float, Field(allow_inf_nan=False)]


@dataclass(frozen=True, slots=True)
class _State:
    __pydantic_config__: ClassVar[ConfigDict] = STRICT
    format: Literal["tapas-opt/bias/1"]
    settings: BiasSettings
    sensors: Mapping[str, _Sensor]


class BiasTracker:
    """One scalar Kalman filter for each sensor, all at once; see the module's docstring for the equations.

    Parameters
    ----------
    names
        The sensors, in the order of every array given and returned.

    Raises
    ------
    InvalidInput
        If two sensors have the same name.
    """

    def __init__(self, names: Sequence[str], settings: BiasSettings) -> None:
        self.names = tuple(names)
        self.settings = settings
        if len(set(self.names)) < len(self.names):
            twice = sorted({name for name in self.names if self.names.count(name) > 1})
            raise InvalidInput("bias tracker", [Fault(f"names.{name}", "is there twice") for name in twice])
        self._bias: FloatArray = np.zeros(len(self.names))
        self._variance: FloatArray = np.full(len(self.names), settings.prior_var)
        self._t_s: FloatArray = np.full(len(self.names), np.nan)
        self._streak: IntArray = np.zeros(len(self.names), dtype=np.int64)
        self._surprise: FloatArray = np.zeros(len(self.names))

    @property
    def read_at_s(self) -> FloatArray:
        """``[sensor]`` when each was last read; NaN for never."""
        return self._t_s.copy()

    def update(self, t_s: float, residual: FloatArray) -> None:
        """Take in the residuals ``[sensor]`` read at ``t_s``: reading − central prediction, NaN where none came.

        A sensor without a reading, or whose reading is not later than its last one, is left alone and ages.
        """
        s = self.settings
        reading = np.asarray(residual, dtype=np.float64).reshape(len(self.names))
        fresh = np.isfinite(reading) & ~(t_s <= self._t_s)
        bias, variance = self._ahead(t_s)
        innovation = np.where(fresh, reading - bias, 0.0)
        odd = np.abs(innovation) > s.gate * np.sqrt(variance + s.measurement_var)
        streak = _streak(self._streak, innovation, odd, s.persistent)
        followed = odd & (np.abs(streak) >= s.persistent)
        variance = np.where(followed, s.prior_var, variance)
        gain = np.where(odd & ~followed, 0.0, variance / (variance + s.measurement_var))
        moved = np.clip(bias + gain * innovation, -s.largest_bias, s.largest_bias)
        self._bias = np.where(fresh, moved, self._bias)
        self._variance = np.where(fresh, (1 - gain) * variance, self._variance)
        self._surprise = np.where(fresh, reading - moved, self._surprise)
        self._streak = np.where(fresh, streak, self._streak)
        self._t_s = np.where(fresh, t_s, self._t_s)

    def bias(self, t_s: float) -> FloatArray:
        """``[sensor]`` what to add to the central prediction at ``t_s``; within ``±largest_bias``."""
        return self._ahead(t_s)[0]

    def widening(self, t_s: float, level: float) -> FloatArray:
        """``[sensor]`` what to add at ``t_s`` to an upper margin of ``level``, 0 … ``largest_widening``.

        ``z(level)·(√(P⁻ + R) − √(P∞ + R))`` above zero, where P∞ is the settled tracker's P⁻: it grows with age and is
        0 up to ``step_s``. While at least two readings in a row are too far off to be believed at once, what they
        are off by is added. A single one moves nothing.
        """
        s = self.settings
        z = NormalDist().inv_cdf(level)
        spread = np.sqrt(self._ahead(t_s)[1] + s.measurement_var)
        unsure = max(0.0, z) * np.maximum(0.0, spread - s.settled_spread * (1 + ROUNDING))
        return np.minimum(unsure + self._disbelieved(), s.largest_widening)

    def is_widened(self, t_s: float) -> NDArray[np.bool_]:
        """``[sensor]`` whose margin is noticeably widened at ``t_s``."""
        widening = self.widening(t_s, REPORTED_LEVEL)
        least = NOTICEABLE_FRAC * NormalDist().inv_cdf(REPORTED_LEVEL) * self.settings.settled_spread
        return np.asarray((widening >= min(least, self.settings.largest_widening)) & (widening > 0))

    def widened(self, t_s: float, most: int | None = None) -> tuple[str, ...]:
        """Say for each sensor whose margin is noticeably widened (or the first ``most``) by how much and why."""
        widening = self.widening(t_s, REPORTED_LEVEL)
        return tuple(
            f"{self.names[i]}: {self._reason(i, t_s)}; its margin is widened by {widening[i]:.2g} {self.settings.unit}"
            for i in np.flatnonzero(self.is_widened(t_s)).tolist()[:most]
        )

    def of(self, names: Sequence[str]) -> BiasTracker:
        """Return a tracker of ``names`` that knows what this one knows of them; new ones begin with nothing known."""
        other = BiasTracker(names, self.settings)
        known = {name: i for i, name in enumerate(self.names)}
        here = np.array([i for i, name in enumerate(other.names) if name in known], dtype=np.int64)
        there = np.array([known[other.names[i]] for i in here], dtype=np.int64)
        for mine, theirs in zip(other._arrays(), self._arrays(), strict=True):
            mine[here] = theirs[there]
        return other

    def to_json(self) -> dict[str, Any]:
        """Everything it knows, as plain mappings; what :meth:`from_json` gives back behaves bit for bit alike."""
        columns = zip(self.names, *(values.tolist() for values in self._arrays()), strict=True)
        sensors = {
            name: {
                "bias": bias,
                "variance": variance,
                "t_s": None if isnan(t_s) else t_s,
                "streak": streak,
                "surprise": surprise,
            }
            for name, bias, variance, t_s, streak, surprise in columns
        }
        return {"format": FORMAT, "settings": asdict(self.settings), "sensors": sensors}

    @classmethod
    def from_json(cls, raw: object) -> BiasTracker:
        """Read what :meth:`to_json` wrote.

        Raises
        ------
        InvalidInput
            Listing every fault: a field unknown, missing, not finite or out of its bounds.
        """
        state, faults = field_faults(TypeAdapter(_State), raw)
        faults = faults or list(_cross_faults(state))  # type: ignore[arg-type]
        if state is None or faults:
            raise InvalidInput("bias tracker", faults)
        tracker = cls(tuple(state.sensors), state.settings)
        for i, sensor in enumerate(state.sensors.values()):
            tracker._bias[i], tracker._variance[i] = sensor.bias, sensor.variance
            tracker._t_s[i] = np.nan if sensor.t_s is None else sensor.t_s
            tracker._streak[i], tracker._surprise[i] = sensor.streak, sensor.surprise
        return tracker

    def _arrays(self) -> tuple[NDArray[Any], ...]:
        return self._bias, self._variance, self._t_s, self._streak, self._surprise

    def _ahead(self, t_s: float) -> tuple[FloatArray, FloatArray]:
        """``m⁻`` and ``P⁻`` of each sensor at ``t_s``; a sensor never read stays at the beginning."""
        age = np.where(np.isnan(self._t_s), 0.0, np.maximum(0.0, t_s - self._t_s)) / self.settings.time_constant_s
        kept = np.exp(-2 * age)
        return np.exp(-age) * self._bias, kept * self._variance - np.expm1(-2 * age) * self.settings.prior_var

    def _disbelieved(self) -> FloatArray:
        """``[sensor]`` how far off the last reading was, where at least two in a row were too far off."""
        return np.where(np.abs(self._streak) > 1, np.abs(self._surprise), 0.0)

    def _reason(self, i: int, t_s: float) -> str:
        s = self.settings
        if np.isnan(self._t_s[i]):
            return "no reading yet"
        if abs(self._bias[i]) >= s.largest_bias:
            return f"its bias is at the largest allowed, {s.largest_bias:g} {s.unit}; look at the sensor"
        if abs(self._streak[i]) >= s.persistent:
            return f"a lasting change of its readings is being followed, {self._bias[i]:+.2g} {s.unit} by now"
        if abs(self._streak[i]) > 1:
            side = "above" if self._streak[i] > 0 else "below"
            return f"readings lie far {side} what was expected, the last by {abs(self._surprise[i]):.2g} {s.unit}"
        age = t_s - self._t_s[i]
        if age > s.step_s * (1 + ROUNDING):
            return f"its last reading is {age:,.0f} s old, normally one comes every {s.step_s:,.0f} s"
        return "its bias is known from few readings so far"


def _streak(before: IntArray, innovation: FloatArray, odd: NDArray[np.bool_], most: int) -> IntArray:
    """Disbelieved readings in a row, counted up above and down below what was expected, to ``most`` at the most."""
    side = np.sign(innovation).astype(np.int64)
    longer = np.clip(np.where(side * before > 0, before, 0) + side, -most, most)
    return np.where(odd, longer, 0)


def _cross_faults(state: _State) -> Sequence[Fault]:
    """What no single field shows."""
    s = state.settings
    rules: tuple[tuple[str, Callable[[_Sensor], bool], str], ...] = (
        ("bias", lambda x: abs(x.bias) <= s.largest_bias, f"must lie within ±{s.largest_bias:g}"),
        ("variance", lambda x: x.variance <= s.prior_var * (1 + ROUNDING), f"must be at most {s.prior_var:g}"),
        ("streak", lambda x: abs(x.streak) <= s.persistent, f"must lie within ±{s.persistent}"),
    )
    return [
        Fault(f"sensors.{name}.{field}", f"{getattr(sensor, field)!r}: {must}")
        for name, sensor in state.sensors.items()
        for field, holds, must in rules
        if not holds(sensor)
    ]
