"""An engine at a steady load: how many requests are inside, and the distributions of both latencies.

Four parts, each a textbook queue; docs/instances.md has the formulas with their sources, and how far off they are.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tapas_opt.serving.mix import RequestMix
from tapas_opt.serving.pace import Pace

__all__ = ["Stationary", "places", "saturated_requests_per_s", "stationary"]

FloatArray = NDArray[np.float64]
Transform = NDArray[np.complex128]

_GRID = 4096
_STEPS_IN_MEAN = 24
"""Waits are computed on a grid of so many steps, each such a part of the mean own prefill: up to 170 of them."""

_Z = np.exp(-2j * np.pi * np.arange(_GRID // 2 + 1) / _GRID)
"""Transforms are generating functions ``Σ p(k) z^k`` at these roots of unity, as fast Fourier transform has them."""

_NEVER_FULLER = 0.998
_REST_NODES = 16


@dataclass(frozen=True, slots=True)
class Stationary:
    """An engine at each of several loads.

    Attributes
    ----------
    requests_per_s, inside, busy_frac, read_frac
        ``[L]`` load; mean number of requests inside, waiting ones included; share of time in iterations; share of time
        that prompt tokens take.
    ttft_cdf, tbt_cdf
        ``[L, X]`` share of first tokens, and of gaps between tokens, no later than each of the times asked for.
    """

    requests_per_s: FloatArray
    inside: FloatArray
    busy_frac: FloatArray
    read_frac: FloatArray
    ttft_cdf: FloatArray
    tbt_cdf: FloatArray


def places(pace: Pace, mix: RequestMix) -> int:
    """Sequences that find a place in the batch and in memory."""
    return max(1, int(min(pace.batch, pace.kv_tokens / mix.reserved_tokens)))


def _theta_s(pace: Pace, mix: RequestMix, sequences: FloatArray) -> FloatArray:
    """Iteration without prompts: θ(b) = step + step_per_kv_token · b · context."""
    return pace.iteration_s(0.0, sequences * mix.context_tokens)


def saturated_requests_per_s(pace: Pace, mix: RequestMix) -> float:
    """Requests per second with the batch always full, or with prompts in every iteration, whichever is less.

    b sequences allow ``b / (decoded · θ(b) + b · read)``, prompts ``1 / (θ(b) · prompt / chunk + read)``, where
    read = prefill · prompt; the first rises with b and the second falls.
    """
    b = np.linspace(1.0 / 64.0, 1.0, 64) * places(pace, mix)
    theta = _theta_s(pace, mix, b)
    prompt = float(mix.prompt_tokens.mean())
    read_s = pace.prefill_s_per_token * prompt
    decodes = b / (mix.decoded_tokens * theta + b * read_s)
    return float(np.minimum(decodes, 1.0 / (theta * prompt / pace.chunk_tokens + read_s)).max())


def stationary(pace: Pace, mix: RequestMix, requests_per_s: FloatArray, times_s: FloatArray) -> Stationary:
    """Judge an engine at each of these loads ``[L]``, all below saturation, at these times ``[X]``."""
    batch = _Batch(pace, mix, np.asarray(requests_per_s, dtype=np.float64))
    ttft = _Ttft(batch)
    return Stationary(
        requests_per_s=batch.load,
        inside=batch.mean + batch.load * ttft.mean_s,
        busy_frac=1.0 - batch.probability[:, 0],
        read_frac=batch.read_frac,
        ttft_cdf=ttft.cdf(times_s),
        tbt_cdf=_tbt_cdf(batch, times_s),
    )


class _Batch:
    """How many sequences are in the batch: processor sharing with rates that depend on the number, and a last place.

    With i inside, each brings ``read + decoded · θ(i) / i`` seconds of the engine's time, so that
    ``P(i) = P(i − 1) · load · (read + decoded · θ(i) / i + own / i)``; own is the time of its own prefill, in which it
    has a place and decodes nothing. Beyond the last place the rate stays as it is.
    """

    def __init__(self, pace: Pace, mix: RequestMix, load: FloatArray) -> None:
        self.pace, self.mix, self.load = pace, mix, load
        prompt = float(mix.prompt_tokens.mean())
        self.read_frac = load * pace.prefill_s_per_token * prompt
        i = np.arange(1, places(pace, mix) + 1, dtype=np.float64)
        own_s = float(pace.unloaded_ttft_s(mix.prompt_tokens).mean())
        brings_s = pace.prefill_s_per_token * prompt + (mix.decoded_tokens * _theta_s(pace, mix, i) + own_s) / i
        ratio = load[:, None] * brings_s
        self.probability, self.waits_frac = _birth_death(ratio)
        self.leaves_per_s = 1.0 / brings_s[-1]
        self.counts = np.arange(len(i) + 1, dtype=np.float64)
        self.mean = self.probability @ self.counts
        some = np.maximum(1.0 - self.probability[:, 0], 1e-12)
        self.theta_s = _theta_s(pace, mix, self.mean / some)


def _birth_death(ratio: FloatArray) -> tuple[FloatArray, FloatArray]:
    """``[L, B + 1]`` probabilities from the ratios ``[L, B]`` of neighbours, and ``[L]`` of the last.

    What is beyond the last, a geometric tail, is counted with it.
    """
    logs = np.concatenate([np.zeros((len(ratio), 1)), np.cumsum(np.log(ratio), axis=1)], axis=1)
    weights = np.exp(logs - logs.max(axis=1, keepdims=True))
    tail = np.minimum(ratio[:, -1], _NEVER_FULLER)
    weights[:, -1] /= 1.0 - tail
    probability = weights / weights.sum(axis=1, keepdims=True)
    return probability, probability[:, -1]


class _Ttft:
    """Time to first token: wait for a place, for others' prompts, for the iteration under way, and the own prefill.

    All four are laid on one grid and added by multiplying their transforms.
    """

    def __init__(self, batch: _Batch) -> None:
        pace, mix, theta = batch.pace, batch.mix, batch.theta_s[:, None]
        chunks = mix.prompt_tokens / pace.chunk_tokens
        read = pace.prefill_s_per_token * mix.prompt_tokens
        alone, among = theta * np.ceil(chunks) + read, theta * chunks + read
        # Prompts that follow each other share an iteration; one that comes alone leaves the rest of its last one empty.
        alone_frac = 1.0 - np.minimum(batch.load * among.mean(axis=1), 1.0)[:, None]
        service = among + alone_frac * (alone - among)
        self.utilisation = np.minimum(batch.load * service.mean(axis=1), _NEVER_FULLER)
        self.step_s = alone.mean(axis=1) / _STEPS_IN_MEAN
        self.grid_s = np.arange(_GRID) * self.step_s[:, None]
        turn = self._turn(service, mix.at_once)
        own = np.fft.rfft(_histogram(alone, self.step_s))
        self._pmf = np.fft.irfft(turn * self._place(batch) * self._iteration(batch) * own, _GRID, axis=1)
        self.mean_s = (self._pmf * self.grid_s).sum(axis=1)

    def cdf(self, times_s: FloatArray) -> FloatArray:
        """``[L, X]`` at these times; beyond the grid all have come."""
        rows = zip(self.grid_s, np.clip(np.cumsum(self._pmf, axis=1), 0.0, 1.0), strict=True)
        return np.array([np.interp(times_s, grid, cdf, left=0.0, right=1.0) for grid, cdf in rows])

    def _turn(self, service: FloatArray, at_once: float) -> Transform:
        """M/G/1 with arrivals in groups: what is left of the groups before, and who of the own group comes first.

        ``(1 − ρ) / (1 − ρ R) · p / (1 − (1 − p) S)``, S the transform of a service, R that of what is left of a
        group's, p = 1 / mean group; groups are geometric, so that as many come before one as would make a group.
        """
        steps = _histogram(service, self.step_s)
        one = np.fft.rfft(steps)
        ahead = (1.0 / at_once) / (1.0 - (1.0 - 1.0 / at_once) * one)
        left = _tail_sum(1.0 - one * ahead) / np.maximum(at_once * steps @ np.arange(_GRID), 1e-9)[:, None]
        left[:, 0] = 1.0
        rho = self.utilisation[:, None]
        return np.asarray(ahead * (1.0 - rho) / (1.0 - rho * left))

    def _place(self, batch: _Batch) -> Transform:
        """M/G/k: who finds no place waits exponentially, longer by (1 + SCV) / 2 of the outputs (Allen and Cunneen).

        On the grid that is geometric, ``(1 − q) / (1 − q z)``.
        """
        outputs = batch.mix.output_tokens
        stretch = (1.0 + float(outputs.var() / outputs.mean() ** 2)) / 2.0
        rate = np.maximum(batch.leaves_per_s - batch.load, 1e-3 * batch.leaves_per_s) / stretch
        q = np.exp(-self.step_s * rate)[:, None]
        return _sometimes((1.0 - q) / (1.0 - q * _Z), batch.waits_frac)

    def _iteration(self, batch: _Batch) -> Transform:
        """An iteration that only decodes is met with what is left of it: m steps alike, ``(1 − z^m) / (m (1 − z))``."""
        steps, row = np.unique(np.ceil(batch.theta_s / self.step_s), return_inverse=True)
        left = _tail_sum(1.0 - _Z ** steps[:, None]) / steps[:, None]
        left[:, 0] = 1.0
        met = (1.0 - batch.probability[:, 0]) * (1.0 - self.utilisation)
        return _sometimes(left[row], met)


def _tail_sum(rest: Transform) -> Transform:
    """``rest / (1 − z)``: from ``1 − Σ p(k) z^k`` the transform of ``P(> k)``; at z = 1 the caller has to say it."""
    less = 1.0 - _Z
    less[0] = 1.0
    return np.asarray(rest / less)


def _sometimes(transform: Transform, probability: FloatArray) -> Transform:
    """With this probability ``[L]`` distributed as the transform has it, otherwise zero."""
    return np.asarray(1.0 - probability[:, None] + probability[:, None] * transform)


def _histogram(values: FloatArray, step: FloatArray) -> FloatArray:
    """``[L, grid]`` probability of the values ``[L, n]`` on grids of these steps."""
    at = np.minimum(np.rint(values / step[:, None]).astype(np.int64), _GRID - 1)
    at += _GRID * np.arange(len(step))[:, None]
    counts = np.bincount(at.ravel(), minlength=_GRID * len(step))
    return np.asarray(counts.reshape(len(step), _GRID) / values.shape[1])


def _tbt_cdf(batch: _Batch, times_s: FloatArray) -> FloatArray:
    """``[L, X]``: a gap is an iteration without prompts, with a whole chunk or with the rest of a prompt."""
    pace, prompts = batch.pace, batch.mix.prompt_tokens
    chunks = np.floor(prompts / pace.chunk_tokens)
    rests = np.quantile(prompts - chunks * pace.chunk_tokens, (np.arange(_REST_NODES) + 0.5) / _REST_NODES)
    theta = _theta_s(pace, batch.mix, batch.counts)
    mean_s = batch.probability @ theta / (1.0 - batch.read_frac)
    whole = np.minimum(batch.load * float(chunks.mean()) * mean_s, 1.0)
    part = np.minimum(batch.load * mean_s, 1.0 - whole)
    tokens = batch.probability * batch.counts
    passed = np.cumsum(tokens, axis=1) / tokens.sum(axis=1, keepdims=True)

    def reached(extra_s: float) -> FloatArray:
        return np.asarray(passed[:, np.maximum(np.searchsorted(theta + extra_s, times_s, side="right") - 1, 0)])

    some = np.mean([reached(pace.prefill_s_per_token * float(rest)) for rest in rests], axis=0)
    all_of_it = reached(pace.prefill_s_per_token * pace.chunk_tokens)
    return np.asarray((1 - whole - part)[:, None] * reached(0.0) + whole[:, None] * all_of_it + part[:, None] * some)
