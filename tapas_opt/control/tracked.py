"""What tracked biases come to: what to add to predictions now, and what to tell."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from tapas_opt.domain.result import Constraint
from tapas_opt.domain.topology import Topology

__all__ = ["Tracked", "untracked"]

FloatArray = NDArray[np.float64]
BoolArray = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Tracked:
    """What readings add to predictions: a bias, and a widening where the bias is not well known.

    Attributes
    ----------
    inlet_c, server_power_w, airflow_cfm
        ``[server]`` on top of the upper inlet temperature, and of central power and airflow.
    inlet_read
        ``[server]`` whether its inlet was read and believed lately, so that the bias is one of this weather.
    gpu_c, gpu_memory_c
        ``[server, gpu]`` on top of upper temperatures.
    power_disbelieved, airflow_disbelieved
        ``[server]`` meters that are not believed.
    rise_frac
        By family of domains, ``[domain]``: how much what nobody decides upon rises within minutes; NaN if not known.
    """

    inlet_c: FloatArray
    gpu_c: FloatArray
    gpu_memory_c: FloatArray
    server_power_w: FloatArray
    airflow_cfm: FloatArray
    power_disbelieved: BoolArray
    airflow_disbelieved: BoolArray
    inlet_read: BoolArray
    rise_frac: Mapping[Constraint, FloatArray] = field(default_factory=dict)


def untracked(topology: Topology) -> Tracked:
    """Nothing is known: the learned models, with their margins, speak alone."""
    servers = len(topology.servers)
    width = max(topology.site.hardware[name].gpus for name in topology.hardware)
    none, gpus, good = np.zeros(servers), np.zeros((servers, width)), np.zeros(servers, dtype=bool)
    return Tracked(none, gpus, gpus, none, none, good, good, good)
