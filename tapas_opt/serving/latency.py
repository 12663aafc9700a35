"""Latency of a configuration by load, worked out once and looked up ever after."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import ArrayLike, NDArray

from tapas_opt.domain.workload import Slo
from tapas_opt.serving.mix import RequestMix
from tapas_opt.serving.pace import Pace
from tapas_opt.serving.stationary import Stationary, places, saturated_requests_per_s, stationary

__all__ = ["LOAD_FRACS", "TIMES_S", "LatencyTable", "placed", "quantile_s"]

FloatArray = NDArray[np.float64]

TIMES_S = np.geomspace(1e-3, 1e3, 481)
"""At these times distributions of latency are known: 3 % from one to the next."""

LOAD_FRACS = np.concatenate([[1e-3], 1.0 - np.geomspace(0.97, 0.03, 27)])
"""Loads that are worked out, relative to saturation; closer together towards it."""

_LOG_TIMES = np.log(TIMES_S)


@dataclass(frozen=True, eq=False)
class LatencyTable:
    """One replica of a configuration under one mix of requests.

    Attributes
    ----------
    saturated_requests_per_s
        What it serves while requests wait.
    at
        Requests inside, utilisation, and the distributions of both latencies at each of :data:`LOAD_FRACS`.
    """

    pace: Pace
    mix: RequestMix
    saturated_requests_per_s: float
    at: Stationary
    _kept: dict[Slo, FloatArray] = field(default_factory=dict, repr=False)

    @classmethod
    def of(cls, pace: Pace, mix: RequestMix) -> LatencyTable:
        """Work it out; some milliseconds."""
        saturated = saturated_requests_per_s(pace, mix)
        return cls(pace, mix, saturated, stationary(pace, mix, LOAD_FRACS * saturated, TIMES_S))

    def mean_requests(self, prompt_tokens: ArrayLike, output_tokens: ArrayLike) -> FloatArray:
        """How many mean requests of the mix are as much work as requests of these lengths, with a full batch."""
        full = places(self.pace, self.mix)
        decode_s = float(self.pace.iteration_s(0.0, full * self.mix.context_tokens)) / full
        prompts, outputs = (np.asarray(x, dtype=np.float64) for x in (prompt_tokens, output_tokens))
        work_s = self.pace.prefill_s_per_token * prompts + decode_s * np.maximum(outputs - 1.0, 0.0)
        mean = self.mix.mean
        mean_s = self.pace.prefill_s_per_token * mean.prompt_tokens + decode_s * self.mix.decoded_tokens
        return np.asarray(work_s / mean_s)

    def by_load(self, column: FloatArray, requests_per_s: ArrayLike) -> FloatArray:
        """What a column ``[L]`` says at steady loads, between two rows; beyond the last load as at the last."""
        return np.asarray(np.interp(np.asarray(requests_per_s), self.at.requests_per_s, column))

    def ttft_s(self, requests_per_s: ArrayLike, quantile: float) -> FloatArray:
        """Quantile of the time to first token at steady loads."""
        return self.by_load(quantile_s(self.at.ttft_cdf, quantile), requests_per_s)

    def tbt_s(self, requests_per_s: ArrayLike, quantile: float) -> FloatArray:
        """Quantile of the time between two tokens, over all tokens, at steady loads."""
        return self.by_load(quantile_s(self.at.tbt_cdf, quantile), requests_per_s)

    def reached_frac(self, cdf: FloatArray, requests_per_s: ArrayLike, time_s: ArrayLike) -> FloatArray:
        """Share of ``cdf`` (``ttft_cdf`` or ``tbt_cdf``) reached at loads ``[n]`` by times ``[n]`` or ``[n, m]``.

        Between two loads and, by their logarithm, two times; nothing is reached by times below the first.
        """
        times = np.asarray(time_s, dtype=np.float64)
        loads = np.asarray(requests_per_s, dtype=np.float64)
        row, down = placed(self.at.requests_per_s, loads.reshape(loads.shape + (1,) * (times.ndim - loads.ndim)))
        column, right = placed(_LOG_TIMES, np.log(np.maximum(times, TIMES_S[0])))
        upper = cdf[row, column] * (1.0 - right) + cdf[row, column + 1] * right
        lower = cdf[row + 1, column] * (1.0 - right) + cdf[row + 1, column + 1] * right
        return np.where(times < TIMES_S[0], 0.0, upper * (1.0 - down) + lower * down)

    def first_token_frac(self, requests_per_s: FloatArray, wait_s: FloatArray, time_s: FloatArray) -> FloatArray:
        """Share of first tokens by times ``[n]`` or ``[n, m]`` at loads ``[n]`` where all wait ``[n]`` for their turn.

        The later of the two counts: what the load makes some of them wait, or what all of them do.
        """
        waited = wait_s.reshape(wait_s.shape + (1,) * (time_s.ndim - wait_s.ndim))
        after_wait = self.reached_frac(self.at.ttft_cdf, np.zeros_like(requests_per_s), time_s - waited)
        return np.minimum(self.reached_frac(self.at.ttft_cdf, requests_per_s, time_s), after_wait)

    def kept_frac(self, slo: Slo) -> FloatArray:
        """``[L]`` share of first tokens, or of gaps if that is less, within a promise at each of the loads."""
        if slo not in self._kept:
            load = self.at.requests_per_s
            ttft = self.reached_frac(self.at.ttft_cdf, load, np.full(len(load), slo.ttft_s))
            tbt = self.reached_frac(self.at.tbt_cdf, load, np.full(len(load), slo.tbt_s))
            self._kept[slo] = np.minimum(ttft, tbt)
        return self._kept[slo]

    def goodput_requests_per_s(self, slo: Slo) -> float:
        """Highest steady load at which both latencies keep the promise at its quantile; 0 where none does."""
        load, spare = self.at.requests_per_s, self.kept_frac(slo) - slo.quantile
        broken = np.flatnonzero(spare < 0.0)
        if not broken.size:
            return float(load[-1])
        if broken[0] == 0:
            return 0.0
        around = [broken[0], broken[0] - 1]
        return float(np.interp(0.0, spare[around], load[around]))


def placed(grid: FloatArray, values: FloatArray) -> tuple[NDArray[np.int64], FloatArray]:
    """Which two neighbours of a rising grid each value lies between, and how far along; its ends hold outside."""
    left = np.clip(np.searchsorted(grid, values, side="right") - 1, 0, len(grid) - 2)
    return left, np.clip((values - grid[left]) / (grid[left + 1] - grid[left]), 0.0, 1.0)


def quantile_s(cdf: FloatArray, quantile: float) -> FloatArray:
    """``[…]`` time by which this share is reached in each row of ``[…, X]``, between two of :data:`TIMES_S`."""
    after = np.clip((cdf < quantile).sum(axis=-1), 1, len(TIMES_S) - 1)[..., None]
    low, high = (np.take_along_axis(cdf, at, axis=-1) for at in (after - 1, after))
    part = np.clip((quantile - low) / np.maximum(high - low, 1e-12), 0.0, 1.0)
    return np.asarray(np.exp(_LOG_TIMES[after - 1] + part * (_LOG_TIMES[after] - _LOG_TIMES[after - 1]))[..., 0])
