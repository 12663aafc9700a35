"""History as dense arrays over time, server and GPU: what is missing is NaN, and every fit is vectorised."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tapas_opt.domain.topology import Topology

__all__ = ["DAY_S", "NO_VM", "SLOT_S", "Panel", "mean_of_present"]

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]

SLOT_S = 300
DAY_S = 86_400
NO_VM = -1
"""Template number of a server that runs no VM."""


@dataclass(frozen=True)
class Panel:
    """A history in slots of five minutes. Index letters: t slot, s server, g GPU, r row, m room.

    Attributes
    ----------
    t_s, day
        ``[t]`` start of each slot, and how many whole days after the first it lies.
    load_frac, gpu_power_w, gpu_c, gpu_memory_c
        ``[t, s, g]``; NaN also where a server has fewer GPUs.
    vm_template, vm_load_frac
        ``[t, s]`` number in ``templates`` of the VM that the server runs or :data:`NO_VM`, and that VM's load.
    room_load_frac
        ``[t, m]`` power of a room's servers over their nameplates, of those servers that reported.
    """

    topology: Topology
    t_s: FloatArray
    day: IntArray
    outdoor_c: FloatArray
    inlet_c: FloatArray
    server_power_w: FloatArray
    airflow_cfm: FloatArray
    load_frac: FloatArray
    gpu_power_w: FloatArray
    gpu_c: FloatArray
    gpu_memory_c: FloatArray
    meter_w: FloatArray
    templates: tuple[str, ...]
    vm_template: IntArray
    vm_load_frac: FloatArray
    room_load_frac: FloatArray

    @property
    def server_gpu_power_w(self) -> FloatArray:
        """``[t, s]`` mean power of a server's GPUs."""
        return mean_of_present(self.gpu_power_w)

    @property
    def fingerprint(self) -> str:
        """A hash over the readings, so that a model can say what it was learned from."""
        digest = hashlib.sha256()
        for values in (self.t_s, self.outdoor_c, self.inlet_c, self.server_power_w, self.airflow_cfm, self.meter_w):
            digest.update(np.ascontiguousarray(values).tobytes())
        for values in (self.gpu_power_w, self.gpu_c, self.gpu_memory_c, self.vm_load_frac):
            digest.update(np.ascontiguousarray(values).tobytes())
        return digest.hexdigest()[:16]

    def of_hardware(self, hardware: str) -> IntArray:
        """Numbers of the servers of one hardware."""
        return np.flatnonzero(self.topology.server_hardware == self.topology.hardware.index(hardware))


def mean_of_present(values: FloatArray) -> FloatArray:
    """Mean over the last axis of what is not NaN; NaN where nothing is."""
    present = np.isfinite(values)
    total = np.where(present, values, 0.0).sum(axis=-1)
    count = present.sum(axis=-1)
    return np.asarray(np.where(count > 0, total / np.maximum(count, 1), np.nan))
