"""The requests that an endpoint gets: how long prompts and outputs are."""

from __future__ import annotations

from dataclasses import dataclass, field
from statistics import NormalDist

import numpy as np
from numpy.typing import ArrayLike, NDArray

from tapas_opt.domain.workload import RequestClass
from tapas_opt.errors import Fault, InvalidInput

__all__ = ["CODE", "CONVERSATION", "RequestMix", "arrivals_at_once", "lognormal_tokens"]

FloatArray = NDArray[np.float64]

_SAMPLES = 512


@dataclass(frozen=True, eq=False)
class RequestMix:
    """Prompt and output lengths of requests, each as likely as the other.

    Parameters
    ----------
    prompt_tokens, output_tokens
        ``[n]`` of the same requests; outputs of at least one token.
    at_once
        How many requests come together on average; 1 is chance alone (:func:`arrivals_at_once`).

    Raises
    ------
    InvalidInput
        Where lengths are missing, not finite, below 1, or of different number.
    """

    prompt_tokens: FloatArray = field(repr=False)
    output_tokens: FloatArray = field(repr=False)
    at_once: float = 1.0

    def __post_init__(self) -> None:
        faults = []
        for name, values in (("prompt_tokens", self.prompt_tokens), ("output_tokens", self.output_tokens)):
            if not (values.size and np.isfinite(values).all() and (values >= 1).all()):
                faults.append(Fault(name, "must be finite numbers of at least 1, and at least one of them"))
        if self.prompt_tokens.shape != self.output_tokens.shape:
            faults.append(Fault("output_tokens", "must be as many as prompt_tokens"))
        if faults:
            raise InvalidInput("request mix", faults)

    @classmethod
    def of(cls, prompt_tokens: ArrayLike, output_tokens: ArrayLike, at_once: float = 1.0) -> RequestMix:
        """Requests as they came, such as a trace's; those that ask for nothing count as one token."""
        prompts, outputs = (np.asarray(x, dtype=np.float64) for x in (prompt_tokens, output_tokens))
        return cls(np.maximum(prompts, 1.0), np.maximum(outputs, 1.0), at_once)

    @property
    def mean(self) -> RequestClass:
        """The mean request."""
        return RequestClass("mean", float(self.prompt_tokens.mean()), float(self.output_tokens.mean()))

    @property
    def decoded_tokens(self) -> float:
        """Tokens decoded per request: the first one comes out of the prompt's last iteration."""
        return max(float(self.output_tokens.mean()) - 1.0, 1e-9)

    @property
    def context_tokens(self) -> float:
        """Tokens in memory of a sequence that is decoding at a random moment: long outputs are met more often."""
        held = (self.prompt_tokens + self.output_tokens / 2.0) * (self.output_tokens - 1.0)
        return float(held.sum() / max((self.output_tokens - 1.0).sum(), 1e-9))

    @property
    def reserved_tokens(self) -> float:
        """Tokens kept for a sequence that is decoding at a random moment, its whole output included."""
        kept = (self.prompt_tokens + self.output_tokens) * self.output_tokens
        return float(kept.sum() / self.output_tokens.sum())


def arrivals_at_once(arrival_s: ArrayLike, window_s: float = 5.0, within_s: float = 60.0) -> float:
    """Mean size of the groups in which requests come, from how much their number in windows varies within a minute.

    Groups of geometric size of mean m, each at a random moment, vary by ``2 m − 1`` times as much as single requests
    do. Slower changes are left out: they are the load's.
    """
    arrivals = np.asarray(arrival_s, dtype=np.float64)
    minutes = int((arrivals.max() - arrivals.min()) // within_s)
    if minutes < 1:
        return 1.0
    edges = arrivals.min() + window_s * np.arange(minutes * round(within_s / window_s) + 1)
    counts = np.histogram(arrivals, edges)[0].reshape(minutes, -1)
    return max(1.0, (float(counts.var(axis=1, ddof=1).sum() / max(counts.mean(axis=1).sum(), 1e-12)) + 1.0) / 2.0)


def lognormal_tokens(mean: float, p99: float, most: float) -> FloatArray:
    """``[512]`` evenly spaced quantiles of a lognormal length, cut at ``most`` and brought back to its mean.

    From ``ln(p99/mean) = 2.326·σ − σ²/2`` follows σ, and μ from the mean.
    """
    z99 = NormalDist().inv_cdf(0.99)
    sigma = z99 - np.sqrt(z99**2 - 2.0 * np.log(p99 / mean))
    scores = np.array([NormalDist().inv_cdf((i + 0.5) / _SAMPLES) for i in range(_SAMPLES)])
    lengths = np.clip(np.exp(np.log(mean) - sigma**2 / 2.0 + sigma * scores), 1.0, most)
    return np.asarray(np.maximum(lengths * mean / lengths.mean(), 1.0))


def _made_up(prompt: tuple[float, float, float], output: tuple[float, float, float]) -> RequestMix:
    """Prompts and outputs of given (mean, p99, most), independent of each other."""
    order = np.random.default_rng(7).permutation(_SAMPLES)
    return RequestMix(lognormal_tokens(*prompt), lognormal_tokens(*output)[order])


CONVERSATION = _made_up((1155.0, 4142.0, 14_050.0), (211.0, 601.0, 1_000.0))
CODE = _made_up((2048.0, 7436.0, 7_437.0), (28.0, 249.0, 1_899.0))
"""Lognormal lengths with means and 99th percentiles of the Azure LLM traces of 2023."""
