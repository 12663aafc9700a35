"""Outdoor temperature: a daily cycle, and fronts that pass in days."""

from __future__ import annotations

import numpy as np

from tapas_opt.plant.noise import SmoothNoise

__all__ = ["DAY_S", "WEEK_S", "Weather"]

DAY_S = 86_400.0
WEEK_S = 7 * DAY_S


class Weather:
    """Outdoor temperature of a temperate summer, drawn from a seed, known at any time in any order.

    Defaults resemble July in typical years of New York and Leesburg, Virginia: daily swing 7–13 K with its top in
    the afternoon, daily means scattered by 2–3 K.

    Parameters
    ----------
    mean_c, daily_swing_k, front_spread_k
        Mean, difference between day and night, and standard deviation of what fronts add over days.
    hottest_hour
        Hour of the day at which the cycle has its top.
    """

    def __init__(
        self,
        seed: int,
        *,
        mean_c: float = 22.0,
        daily_swing_k: float = 9.0,
        front_spread_k: float = 3.0,
        hottest_hour: float = 15.0,
    ) -> None:
        self._mean_c = mean_c
        self._daily_swing_k = daily_swing_k
        self._front_spread_k = front_spread_k
        self._hottest_hour = hottest_hour
        self._fronts = SmoothNoise([seed, 11], 1, 2.5 * DAY_S, 14 * DAY_S)
        self._gusts = SmoothNoise([seed, 12], 1, 1800.0, 6 * 3600.0)

    def outdoor_c(self, t_s: float) -> float:
        """Outdoor temperature in °C at ``t_s``."""
        cycle = np.cos(2.0 * np.pi * (t_s / 3600.0 - self._hottest_hour) / 24.0)
        front, gust = self._fronts.at(t_s)[0], self._gusts.at(t_s)[0]
        return float(self._mean_c + 0.5 * self._daily_swing_k * cycle + self._front_spread_k * front + 0.4 * gust)
