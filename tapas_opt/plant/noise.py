"""Noise that is smooth in time and known at any time: a few waves of random period and phase."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

__all__ = ["SmoothNoise"]

WAVES = 6
"""Their sum is close to normal, and a step costs six sines per series."""


class SmoothNoise:
    """Independent series of mean 0 and variance 1, each a sum of waves between two periods.

    A series is a function of time, so that a simulation may start anywhere, skip and go back, and two with the same
    seed agree whatever their steps.
    """

    def __init__(self, seed: Sequence[int], count: int, shortest_s: float, longest_s: float) -> None:
        random = np.random.default_rng(seed)
        periods = np.exp(random.uniform(np.log(shortest_s), np.log(longest_s), (count, WAVES)))
        self._rate = 2.0 * np.pi / periods
        self._phase = random.uniform(0.0, 2.0 * np.pi, (count, WAVES))

    def at(self, t_s: float) -> NDArray[np.float64]:
        """``[count]`` values at ``t_s``; a wave's variance is ½, hence the factor."""
        return np.asarray(np.sqrt(2.0 / WAVES) * np.sin(self._rate * t_s + self._phase).sum(axis=1))

    @classmethod
    def joined(cls, parts: Sequence[SmoothNoise]) -> SmoothNoise:
        """All series of the parts, one after the other."""
        whole = cls([0], 0, 1.0, 2.0)
        if parts:
            whole._rate = np.concatenate([part._rate for part in parts])
            whole._phase = np.concatenate([part._phase for part in parts])
        return whole
