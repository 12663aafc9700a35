"""What a forecast is made of: a fleet at a moment, its weather and failures, and what models and sensors say of it."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from tapas_opt.control.fleet import Fleet
from tapas_opt.control.profiles import Profiles
from tapas_opt.control.telemetry import Latest
from tapas_opt.control.tracked import Tracked
from tapas_opt.domain.failure import Effect, Failure, effect_of
from tapas_opt.learn.models import LearnedModels

__all__ = ["DAY_HOURS", "HOURS", "HOUR_S", "Conditions"]

IntArray = NDArray[np.int64]

HOURS = 168
HOUR_S = 3600.0
DAY_HOURS = 24


@dataclass(frozen=True)
class Conditions:
    """What predictions are made for; the parts of a :class:`~tapas_opt.control.forecast.Forecast` all stand on it.

    Attributes
    ----------
    outdoor_c
        Outdoor temperature to plan for.
    failures
        What is taken to have failed.
    tracked
        What readings have shown to be missing from the models' predictions.
    by_day
        Whether hours count those of scenario days, one day after the other, and not those of the week.
    """

    fleet: Fleet
    models: LearnedModels
    profiles: Profiles
    latest: Latest
    now_s: float
    outdoor_c: float
    failures: tuple[Failure, ...]
    tracked: Tracked
    by_day: bool = False

    @property
    def hour(self) -> int:
        """Hour of the week; the week starts with the epoch of ``now_s``, as history does."""
        return int(self.now_s // HOUR_S) % HOURS

    @cached_property
    def effect(self) -> Effect:
        """Feeds and capacities under the failures."""
        return effect_of(self.fleet.topology, self.failures)

    def servers_by_hardware(self) -> list[tuple[str, IntArray]]:
        """Each hardware with the numbers of its servers."""
        topology = self.fleet.topology
        return [(name, np.flatnonzero(topology.server_hardware == h)) for h, name in enumerate(topology.hardware)]

    # Hours that are looked at.

    def hours_of_day(self) -> tuple[IntArray, tuple[str, ...]]:
        """``[slot, day]`` hours of the week of each of the next 24 hours of day, and the slots' names."""
        hours = (self.hour + np.arange(DAY_HOURS)[:, None] + DAY_HOURS * np.arange(7)) % HOURS
        return hours, tuple(f"h{int(hour) % DAY_HOURS:02d}" for hour in hours[:, 0])

    def hours_of_week(self) -> tuple[IntArray, tuple[str, ...]]:
        """``[slot, 1]`` each of the next 168 hours, and the slots' names, by day and hour of the week."""
        hours = (self.hour + np.arange(HOURS)[:, None]) % HOURS
        names = tuple(f"d{int(hour) // DAY_HOURS}h{int(hour) % DAY_HOURS:02d}" for hour in hours[:, 0])
        return hours, names

    def hours_of_days(self, newest: int) -> IntArray:
        """``[slot, 1]`` on the newest of the scenario days, one after the other, the hours of :meth:`hours_of_day`."""
        known = self.models.load_scenarios("").shape[0]
        of_day = (self.hour + np.arange(DAY_HOURS)) % DAY_HOURS
        return np.asarray((DAY_HOURS * np.arange(known - newest, known)[:, None] + of_day).reshape(-1, 1))

    def next_hour(self) -> IntArray:
        """``[slot, hour]`` one slot that covers this hour and the next."""
        return np.array([[self.hour, (self.hour + 1) % HOURS]])
