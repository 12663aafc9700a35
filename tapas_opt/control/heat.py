"""How warm a server's air may be, and how much its GPUs may draw in it."""

from __future__ import annotations

from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from tapas_opt.control.conditions import Conditions

__all__ = ["Heat"]

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]


class Heat(Conditions):
    """Temperatures and ceilings of a forecast; everything is computed once, when first asked for."""

    def shares_heat_with(self, other: Heat, within_s: float) -> None:
        """Take temperatures and ceilings over from another forecast, made a moment ago on the same readings.

        They know of a failure only what it does to the supply air. What is not alike is worked out anew: the topology,
        the weather, that air; or a forecast of long ago, since what is not known of a bias widens with time.
        """
        alike = (
            other.fleet.topology is self.fleet.topology
            and other.outdoor_c == self.outdoor_c
            and 0.0 <= self.now_s - other.now_s <= within_s
            and np.array_equal(other.effect.supply_rise_c, self.effect.supply_rise_c)
        )
        if alike:
            known = other.__dict__
            names = ("inlet_c", "gpu_ceiling_w", "ceiling_w")
            self.__dict__.update({name: known[name] for name in names if name in known})

    @cached_property
    def room_load_frac(self) -> FloatArray:
        """``[room]`` the room at the power limit of its rows: the inlet temperature is taken there."""
        topology = self.fleet.topology
        room = topology.aisle_room[topology.row_aisle]
        limit = np.bincount(room, weights=topology.row_budget_w, minlength=len(topology.rooms))
        built = np.bincount(topology.server_room, weights=self.nameplate_w, minlength=len(topology.rooms))
        return np.minimum(1.0, limit / built)

    @cached_property
    def nameplate_w(self) -> FloatArray:
        """``[server]`` the most that each may draw."""
        topology = self.fleet.topology
        most = np.array([topology.site.hardware[name].max_power_w for name in topology.hardware])
        return np.asarray(most[topology.server_hardware])

    @cached_property
    def inlet_c(self) -> FloatArray:
        """``[server]`` upper inlet temperature."""
        learned = self.models.inlet_upper_c(
            self.fleet.topology, self.outdoor_c, self.room_load_frac, self.effect.supply_rise_c
        )
        return learned + self._inlet_more_c

    @cached_property
    def draw_inlet_c(self) -> FloatArray:
        """``[server]`` inlet temperature that power and airflow are predicted at: without a single server's margin.

        Budgets hold for sums of central predictions, whose margin is the domain's.
        """
        return np.asarray(self.inlet_c - self.models.inlet_margin_c(self.fleet.topology))

    def mean_inlet_c(self, hardware: str) -> float:
        """What an average server of a hardware draws at, wherever it is."""
        topology = self.fleet.topology
        on = topology.server_hardware == topology.hardware.index(hardware)
        return float(self.draw_inlet_c[on].mean()) if on.any() else 0.0

    @property
    def _inlet_more_c(self) -> FloatArray:
        """``[server]`` on top of what was learned: what was tracked of it, less what that makes known.

        The margin is wider in weather that history has not seen. Where it is so hot now, and the inlet is read, what
        the model misses is in the tracked bias: only what is hotter than now is still unknown.
        """
        measured_c = self.latest.outdoor_c(self.fleet.topology, self.now_s)
        if measured_c is None:
            return self.tracked.inlet_c
        known_c = self.models.inlet_hotter_c(min(measured_c, self.outdoor_c))
        return np.asarray(self.tracked.inlet_c - np.where(self.tracked.inlet_read, known_c, 0.0))

    @cached_property
    def ceiling_w(self) -> IntArray:
        """``[server]`` the highest GPU power that keeps every GPU below its limits."""
        return np.asarray(self.gpu_ceiling_w.min(axis=1))

    @cached_property
    def gpu_ceiling_w(self) -> IntArray:
        """``[server, gpu]`` the highest power that keeps the GPU below its limits."""
        return self.models.gpu_power_ceilings_w(
            self.fleet.topology,
            self.outdoor_c,
            self.room_load_frac,
            self.effect.supply_rise_c,
            inlet_more_c=self._inlet_more_c,
            gpu_more_c=self.tracked.gpu_c,
            gpu_memory_more_c=self.tracked.gpu_memory_c,
        )
