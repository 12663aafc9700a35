"""What learned models say of a room that draws so much: the heat and the air, which nobody has measured."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tapas_opt.domain.panel import mean_of_present
from tapas_opt.domain.topology import Topology
from tapas_opt.learn.models import LearnedModels

__all__ = ["Heat", "Room"]

FloatArray = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Heat:
    """Central predictions, ``[server]`` or ``[server, gpu]`` with NaN where there is no GPU."""

    inlet_c: FloatArray
    airflow_cfm: FloatArray
    gpu_c: FloatArray
    gpu_memory_c: FloatArray


class Room:
    """A site as its models know it; nothing in it has a memory: each moment is predicted by itself.

    Attributes
    ----------
    has_gpu
        ``[server, gpu]``.
    gpu_limit_c, idle_gpu_w
        ``[server]`` of each of its GPUs.
    span_w
        ``[server]`` range between idle and nameplate, of the server and of a GPU.
    """

    def __init__(self, topology: Topology, models: LearnedModels) -> None:
        self.topology = topology
        self._models = models
        hardware = [topology.site.hardware[name] for name in topology.hardware]
        of = topology.server_hardware
        self.gpu_limit_c = np.array([item.gpu_temperature_limit_c for item in hardware])[of]
        self.has_gpu = topology.has_gpu
        self.idle_gpu_w = np.array([models.gpu_power.entries[name].idle_power_w for name in topology.hardware])[of]
        self.span_w = (
            np.array([item.max_power_w - item.idle_power_w for item in hardware])[of],
            np.array([item.gpu_max_power_w - item.gpu_idle_power_w for item in hardware])[of],
        )
        nameplate_w = np.array([item.max_power_w for item in hardware])[of]
        self._room_w = np.bincount(topology.server_room, nameplate_w, len(topology.rooms))
        self._servers_of = [(name, np.flatnonzero(of == h)) for h, name in enumerate(topology.hardware)]
        self._racks = np.bincount(topology.rack_row, minlength=len(topology.rows))

    def inlet_c(self, outdoor_c: FloatArray, server_power_w: FloatArray) -> FloatArray:
        """``[server]`` from outdoor temperature ``[room]`` and how full the rooms are."""
        load = np.bincount(self.topology.server_room, server_power_w, len(self.topology.rooms)) / self._room_w
        return self._models.inlet_central_c(self.topology, outdoor_c, load, np.zeros(len(self.topology.rooms)))

    def heat(self, outdoor_c: FloatArray, server_power_w: FloatArray, gpu_power_w: FloatArray) -> Heat:
        """Everything that follows from what is drawn."""
        inlet_c = self.inlet_c(outdoor_c, server_power_w)
        mean_w = mean_of_present(gpu_power_w)
        airflow_cfm = np.zeros(len(inlet_c))
        for name, servers in self._servers_of:
            airflow_cfm[servers] = self._models.airflow_cfm(name, mean_w[servers], inlet_c[servers])
        return Heat(
            inlet_c=inlet_c,
            airflow_cfm=airflow_cfm,
            gpu_c=self._models.gpu_temperature_central_c(self.topology, inlet_c, gpu_power_w),
            gpu_memory_c=self._models.gpu_memory_temperature_central_c(self.topology, inlet_c, gpu_power_w),
        )

    def server_power_w(self, gpu_mean_w: FloatArray, inlet_c: FloatArray) -> FloatArray:
        """``[server]`` what servers draw whose GPUs draw this in the mean."""
        power_w = np.zeros(len(inlet_c))
        for name, servers in self._servers_of:
            power_w[servers] = self._models.server_power_w(name, gpu_mean_w[servers], inlet_c[servers])
        return power_w

    def idle_power_w(self, inlet_c: FloatArray) -> FloatArray:
        """``[server]`` power of servers that run no VM."""
        return self.server_power_w(self.idle_gpu_w, inlet_c)

    def rows_w(self, server_power_w: FloatArray) -> FloatArray:
        """``[row]`` what its servers draw."""
        return self._summed(server_power_w, self.topology.server_row, len(self.topology.rows))

    def upses_w(self, server_power_w: FloatArray, row_more_w: FloatArray) -> FloatArray:
        """``[UPS]`` power; what a row draws beyond its servers is spread over its racks, and racks over their feeds."""
        t = self.topology
        rack_w = self._summed(server_power_w, t.server_rack, len(t.racks)) + (row_more_w / self._racks)[t.rack_row]
        return t.on_upses(rack_w)

    def aisles_cfm(self, airflow_cfm: FloatArray) -> FloatArray:
        """``[aisle]`` what its servers' fans move."""
        return self._summed(airflow_cfm, self.topology.server_aisle, len(self.topology.aisles))

    @staticmethod
    def _summed(values: FloatArray, of: NDArray[np.int64], count: int) -> FloatArray:
        return np.asarray(np.bincount(of, values, count), dtype=np.float64)
