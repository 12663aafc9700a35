"""History as dense arrays over time, server and GPU: what is missing is NaN, and every fit is vectorised."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tapas_opt.domain.topology import Topology

__all__ = ["DAY_S", "NO_VM", "SLOT_S", "Panel", "mean_of_present"]

FloatArray = NDArray[np.float64]
Float32Array = NDArray[np.float32]
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
        ``[t, s, g]``, single precision: sixty million readings of each must fit in memory, and seven digits are more
        than a sensor has. Whoever sums or fits casts its slice. NaN also where a server has fewer GPUs.
    vm, vm_template, vm_load_frac
        ``[t, s]`` number in ``vms`` of the VM that the server runs or :data:`NO_VM`, number of its template in
        ``templates``, and its load.
    vm_configuration
        ``[t, s]`` number in ``configurations`` of what that VM runs; :data:`NO_VM` without a VM or where it is unknown.
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
    load_frac: Float32Array
    gpu_power_w: Float32Array
    gpu_c: Float32Array
    gpu_memory_c: Float32Array
    meter_w: FloatArray
    vms: tuple[str, ...]
    vm: NDArray[np.int32]
    templates: tuple[str, ...]
    vm_template: IntArray
    vm_load_frac: FloatArray
    configurations: tuple[str, ...]
    vm_configuration: IntArray
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
            digest.update(np.ascontiguousarray(values).data)
        digest.update(np.ascontiguousarray(self.vm_load_frac).data)
        for readings in (self.load_frac, self.gpu_power_w, self.gpu_c, self.gpu_memory_c):
            digest.update(np.ascontiguousarray(readings).data)
        return digest.hexdigest()[:16]

    def of_hardware(self, hardware: str) -> IntArray:
        """Numbers of the servers of one hardware."""
        return np.flatnonzero(self.topology.server_hardware == self.topology.hardware.index(hardware))


def mean_of_present(values: NDArray[np.floating[Any]]) -> FloatArray:
    """Mean over the last axis of what is not NaN, in double precision; NaN where nothing is.

    One entry of the last axis at a time, so that no copy of a large array is made.
    """
    total, count = np.zeros(values.shape[:-1]), np.zeros(values.shape[:-1])
    for last in range(values.shape[-1]):
        one = values[..., last]
        present = np.isfinite(one)
        total += np.where(present, one, 0.0)
        count += present
    return np.asarray(np.where(count > 0, total / np.maximum(count, 1), np.nan))
