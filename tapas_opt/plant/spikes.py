"""Load that jumps: for one endpoint by a scenario, for many customers at once by chance."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tapas_opt.errors import Fault, InvalidInput
from tapas_opt.plant.weather import DAY_S

__all__ = ["Bursts", "Spike"]

FloatArray = NDArray[np.float64]

RISE_S = 40.0
"""Inference power of a row was seen to rise by 12 % within 40 s (POLCA)."""

HIGHEST_FRAC = 0.15
SHORTEST_S, LONGEST_S = 600.0, 3600.0


@dataclass(frozen=True, slots=True)
class Spike:
    """An endpoint's demand that multiplies within a minute, stays, and falls again.

    Attributes
    ----------
    factor
        Demand at the top, over what it would have been.
    rise_s, hold_s, fall_s
        How long it rises, stays at the top, and falls; straight in between.

    Raises
    ------
    InvalidInput
        Listing every number that is out of range.
    """

    endpoint: str
    at_s: float
    factor: float = 3.0
    rise_s: float = 60.0
    hold_s: float = 1800.0
    fall_s: float = 600.0

    def __post_init__(self) -> None:
        """Judge it before anything runs."""
        times = (("rise_s", self.rise_s), ("hold_s", self.hold_s), ("fall_s", self.fall_s))
        faults = [Fault(name, f"{value}: must be 0 or more") for name, value in times if not value >= 0]
        if not (self.factor > 0 and np.isfinite(self.factor)):
            faults.append(Fault("factor", f"{self.factor}: must be above 0"))
        if faults:
            raise InvalidInput(f"spike of {self.endpoint}", faults)

    def times(self, t_s: float) -> float:
        """By how much the demand is multiplied at ``t_s``."""
        return 1.0 + (self.factor - 1.0) * trapezoid(t_s - self.at_s, self.rise_s, self.hold_s, self.fall_s)


def trapezoid(since_s: float, rise_s: float, hold_s: float, fall_s: float) -> float:
    """0 before 0, rising to 1, staying there, falling to 0 again."""
    corners = np.cumsum([0.0, rise_s, hold_s, fall_s])
    return float(np.interp(since_s, corners, [0.0, 1.0, 1.0, 0.0]))


class Bursts:
    """Surges that hit many customers at the same moment, drawn day by day from a seed.

    Each comes at any time of a day, rises within 40 s by up to 15 % of what a customer is planned for, reaches about
    half of the customers, and passes within ten minutes to an hour. A function of time: in any order, the same.
    """

    def __init__(self, seed: int, customers: int, per_day: float) -> None:
        self._seed, self._customers, self._per_day = seed, customers, per_day
        self._days: dict[int, list[tuple[float, float, FloatArray]]] = {}

    def at(self, t_s: float) -> FloatArray:
        """``[customers]`` what the surges of now add to each one's load."""
        added = np.zeros(self._customers)
        today = int(t_s // DAY_S)
        for at_s, hold_s, height in self._of(today - 1) + self._of(today):
            added += height * trapezoid(t_s - at_s, RISE_S, hold_s, hold_s)
        return added

    def _of(self, day: int) -> list[tuple[float, float, FloatArray]]:
        if day not in self._days:
            self._days[day] = list(self._drawn(day)) if day >= 0 else []
        return self._days[day]

    def _drawn(self, day: int) -> list[tuple[float, float, FloatArray]]:
        random = np.random.default_rng([self._seed, 46, day])
        drawn = []
        for _ in range(random.poisson(self._per_day)):
            at_s, hold_s = day * DAY_S + random.uniform(0.0, DAY_S), random.uniform(SHORTEST_S, LONGEST_S) / 2.0
            reached = random.random(self._customers) < 0.5
            height = np.where(reached, HIGHEST_FRAC * random.random(self._customers), 0.0)
            drawn.append((at_s, hold_s, height))
        return drawn
