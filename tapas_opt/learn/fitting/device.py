"""What a recording of one GPU says about the form of its models: lag, resistance, concavity, power by use and clock."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tapas_opt.errors import InvalidInput

__all__ = ["DeviceForm", "LagForm", "PowerForm", "characterise_power", "characterise_temperature", "lagged"]

FloatArray = NDArray[np.float64]

TIME_CONSTANTS_S = (0.0, *np.geomspace(0.5, 1_000.0, 110).tolist())
"""Looked through one by one, 7 % apart; whole degrees tell them no better. 0: at once."""

LEAST_RATIO = 3.0
"""Two lags must differ by this factor: nearer ones are one lag between two of those looked through."""

LEAST_SAMPLES, LEAST_POWER_SPAN_W = 60, 20.0
WORTH_IT = 0.95
"""A further term counts when it leaves less than this part of the error unexplained."""

UTIL_EDGES = (0.0, 0.01, 0.25, 0.5, 0.75, 0.95, 1.0)
BUSY_FRAC, LEAST_CLOCK_RATIO = 0.9, 1.1


@dataclass(frozen=True, slots=True)
class LagForm:
    """``T = c + Σ_k R_k·lag(P; τ_k)``: first-order lags side by side.

    Attributes
    ----------
    time_constants_s, resistances_c_per_w
        τ and R of each, the fastest first.
    rmse_c
        What it leaves unexplained.
    """

    time_constants_s: tuple[float, ...]
    resistances_c_per_w: tuple[float, ...]
    rmse_c: float

    @property
    def resistance_c_per_w(self) -> float:
        """Σ R: how much warmer a GPU becomes in the end for each W more."""
        return sum(self.resistances_c_per_w)


@dataclass(frozen=True, slots=True)
class DeviceForm:
    """How a GPU's temperature follows its power.

    Attributes
    ----------
    one, two
        With a single lag, and with two. The second is None where two explain hardly more than one.
    rounding_c
        Root mean square error that rounding to the sensor's steps alone would leave: step / √12.
    slope_low_c_per_w, slope_high_c_per_w
        Steady-state slope at the 5th and the 95th percentile of power, when a term in P² is let in; a concave curve,
        as of fans that speed up, has the smaller slope at high power.
    bend_c
        How far that curve bends from a straight line between these two powers, in °C; below zero it is convex.
    curved_rmse_c
        What the form with P² leaves unexplained.
    """

    samples: int
    power_w: tuple[float, float]
    temperature_c: tuple[float, float]
    one: LagForm
    two: LagForm | None
    rounding_c: float
    slope_low_c_per_w: float
    slope_high_c_per_w: float
    bend_c: float
    curved_rmse_c: float

    @property
    def best(self) -> LagForm:
        """The form with two lags where it explains more."""
        return self.two or self.one

    @property
    def straight(self) -> bool:
        """Whether a term in P² explains next to nothing, so that steady-state temperature is linear in power."""
        return self.curved_rmse_c >= WORTH_IT * self.best.rmse_c


@dataclass(frozen=True, slots=True)
class PowerForm:
    """How a GPU's power follows its use.

    Attributes
    ----------
    by_util
        ``(lowest utilisation of the bin, median power in W, samples)``; empty bins are left out.
    clock_exponent
        n of ``P − P_idle ∝ clock^n`` where the GPU is busy; None when clocks hardly varied.
    """

    by_util: tuple[tuple[float, float, int], ...]
    clock_exponent: float | None


def lagged(t_s: FloatArray, value: FloatArray, time_constants_s: FloatArray) -> FloatArray:
    """``[t, τ]`` the value after first-order lags, integrated exactly over steps of any length.

    ``τ·dx/dt = v − x`` from x = v at the start; between two samples v is their mean. With τ = 0 it is the value itself.
    """
    tau = np.maximum(time_constants_s, 1e-9)
    kept = np.exp(-np.diff(t_s)[:, None] / tau)
    between = (value[1:] + value[:-1]) / 2.0
    out = np.empty((t_s.size, tau.size))
    out[0] = value[0]
    for i in range(t_s.size - 1):
        out[i + 1] = between[i] + (out[i] - between[i]) * kept[i]
    return np.where(time_constants_s > 0, out, value[:, None])


def characterise_temperature(t_s: FloatArray, power_w: FloatArray, temperature_c: FloatArray) -> DeviceForm:
    """Fit lags to a temperature that follows power, inlet air taken as constant over the recording.

    Every time constant up to half the recording's length is tried, and every pair; what was so before the first sample
    is a coefficient of its own. Samples with a NaN are left out.

    Raises
    ------
    InvalidInput
        If there are too few samples, or power hardly changes: a steady load tells nothing of lags.
    """
    known = np.isfinite(power_w) & np.isfinite(temperature_c)
    t, p, c = t_s[known] - t_s[known][:1], power_w[known], temperature_c[known]
    _judge(p)
    fits = _Fits(t, p, c)
    one, two = fits.best_one(), fits.best_two()
    best = one if two is None or two.rmse_c > WORTH_IT * one.rmse_c else two
    low, high = (float(value) for value in np.quantile(p, (0.05, 0.95)))
    slope, curvature, curved_rmse = fits.curved(best)
    steps = np.unique(np.abs(np.diff(np.unique(c))))
    return DeviceForm(
        samples=int(p.size),
        power_w=(float(p.min()), float(p.max())),
        temperature_c=(float(c.min()), float(c.max())),
        one=one,
        two=best if best is not one else None,
        rounding_c=float(steps[0] / np.sqrt(12.0)) if steps.size else 0.0,
        slope_low_c_per_w=slope + 2.0 * curvature * low,
        slope_high_c_per_w=slope + 2.0 * curvature * high,
        bend_c=-curvature * (high - low) ** 2 / 4.0,
        curved_rmse_c=curved_rmse,
    )


def characterise_power(power_w: FloatArray, util_frac: FloatArray, sm_clock_mhz: FloatArray) -> PowerForm:
    """Power by bins of utilisation, and how the dynamic part follows the clock."""
    known = np.isfinite(power_w) & np.isfinite(util_frac)
    p, util, clock = power_w[known], util_frac[known], sm_clock_mhz[known]
    bin_of = np.clip(np.searchsorted(UTIL_EDGES, util, side="right") - 1, 0, len(UTIL_EDGES) - 1)
    by_util = tuple(
        (edge, float(np.median(p[bin_of == i])), int((bin_of == i).sum()))
        for i, edge in enumerate(UTIL_EDGES)
        if (bin_of == i).any()
    )
    return PowerForm(by_util, _clock_exponent(p, util, clock, idle_w=by_util[0][1] if by_util else 0.0))


def _clock_exponent(p: FloatArray, util: FloatArray, clock: FloatArray, idle_w: float) -> float | None:
    busy = (util >= BUSY_FRAC) & np.isfinite(clock) & (clock > 0) & (p > idle_w)
    if busy.sum() < LEAST_SAMPLES:
        return None
    low, high = np.quantile(clock[busy], (0.05, 0.95))
    if high < LEAST_CLOCK_RATIO * low:
        return None
    return float(np.polyfit(np.log(clock[busy]), np.log(p[busy] - idle_w), 1)[0])


def _judge(power_w: FloatArray) -> None:
    if power_w.size < LEAST_SAMPLES:
        what = f"{power_w.size} samples with power and temperature; at least {LEAST_SAMPLES} are needed"
        raise InvalidInput.one("recording", "samples", what)
    low, high = np.quantile(power_w, (0.01, 0.99))
    if high - low < LEAST_POWER_SPAN_W:
        what = (
            f"stays within {low:.0f} and {high:.0f} W; lags show when the load changes, by {LEAST_POWER_SPAN_W:.0f} W"
        )
        raise InvalidInput.one("recording", "power_w", what)


class _Fits:
    """Least squares over columns that are made once: 1, and for each τ the lagged power, its square, and the start.

    Only sums of products are kept, so that a fit is a matter of a few numbers.
    """

    def __init__(self, t: FloatArray, p: FloatArray, c: FloatArray) -> None:
        self.tau = np.array([tau for tau in TIME_CONSTANTS_S if tau <= t[-1] / 2.0])
        k, self._mean_w = self.tau.size, float(p.mean())
        of_power, of_square = lagged(t, p - self._mean_w, self.tau), lagged(t, (p - self._mean_w) ** 2, self.tau)
        start = np.where(self.tau > 0, np.exp(-t[:, None] / np.maximum(self.tau, 1e-9)), 0.0)
        columns = np.concatenate([np.ones((t.size, 1)), of_power, start, of_square], axis=1)
        self._power, self._start, self._square = 1 + np.arange(k), 1 + k + np.arange(k), 1 + 2 * k + np.arange(k)
        self._rest = c - c.mean()
        self._gram, self._with_c = columns.T @ columns, columns.T @ self._rest

    def best_one(self) -> LagForm:
        """The single lag that explains most."""
        return min((self._form(i) for i in range(self.tau.size)), key=lambda form: form.rmse_c)

    def best_two(self) -> LagForm | None:
        """The two lags that explain most, of those that both warm; None if there are none."""
        apart = np.argwhere(self.tau[None, :] >= LEAST_RATIO * np.maximum(self.tau[:, None], self.tau[1]))
        pairs = (self._form(i, j) for i, j in apart.tolist())
        return min((form for form in pairs if min(form.resistances_c_per_w) > 0), key=_rmse, default=None)

    def curved(self, form: LagForm) -> tuple[float, float, float]:
        """Slope at no power, half the change of the slope per W, and error, with a term in P² after the slowest lag."""
        number = [int(np.flatnonzero(self.tau == tau)[0]) for tau in form.time_constants_s]
        chosen = [*(self._power[i] for i in number), self._square[number[-1]], *self._common(number)]
        coefficient, rmse = self._solved(chosen)
        slope, square = float(coefficient[: len(number)].sum()), float(coefficient[len(number)])
        # About the mean power m: s·(P − m) + q·(P − m)² has the slope s − 2·q·m at P = 0.
        return slope - 2.0 * square * self._mean_w, square, rmse

    def _form(self, *number: int) -> LagForm:
        coefficient, rmse = self._solved([*(self._power[i] for i in number), *self._common(number)])
        return LagForm(tuple(float(self.tau[i]) for i in number), tuple(coefficient[: len(number)].tolist()), rmse)

    def _common(self, number: tuple[int, ...] | list[int]) -> list[int]:
        return [0, *(int(self._start[i]) for i in number)]

    def _solved(self, chosen: list[int]) -> tuple[FloatArray, float]:
        gram, with_c = self._gram[np.ix_(chosen, chosen)], self._with_c[chosen]
        coefficient = np.linalg.lstsq(gram, with_c, rcond=1e-12)[0]
        explained = 2.0 * coefficient @ with_c - coefficient @ gram @ coefficient
        return coefficient, float(np.sqrt(max(self._rest @ self._rest - explained, 0.0) / self._rest.size))


def _rmse(form: LagForm) -> float:
    return form.rmse_c
