"""The machines of a site as they really are: no two GPUs and no two places are alike."""

from __future__ import annotations

from dataclasses import dataclass
from zlib import crc32

import numpy as np
from numpy.typing import NDArray

from tapas_opt.domain.failure import air_density_frac
from tapas_opt.domain.site import Hardware
from tapas_opt.domain.topology import Topology
from tapas_opt.plant.parameters import Parameters

__all__ = ["Machines", "machines_of"]

FloatArray = NDArray[np.float64]
BoolArray = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Machines:
    """Constants of servers ``[S]`` and GPUs ``[S, G]``, G being the largest number of GPUs in any server.

    Attributes
    ----------
    has_gpu
        False where a server has fewer than G GPUs; such places draw nothing.
    resistance_k_per_w
        Rise of each GPU over its inlet per watt, at reference flow.
    host_idle_w, host_load_w
        What everything but GPUs and fans draws when idle, and in addition at full GPU load.
    host_w_per_w
        What the host draws more for each watt that its GPUs do.
    air_density_frac
        Density of the air over that of standard air: fans move volume, and heat goes with mass.
    inlet_offset_c, recirculation_weight
        What the place in row and rack adds to the supply air, and its part of recirculated heat (1 on average).
    """

    has_gpu: BoolArray
    gpu_idle_w: FloatArray
    gpu_max_w: FloatArray
    gpu_limit_c: FloatArray
    memory_limit_c: FloatArray
    resistance_k_per_w: FloatArray
    max_power_w: FloatArray
    max_airflow_cfm: FloatArray
    fan_full_w: FloatArray
    host_idle_w: FloatArray
    host_load_w: FloatArray
    host_w_per_w: FloatArray
    air_density_frac: float
    inlet_offset_c: FloatArray
    recirculation_weight: FloatArray


def machines_of(topology: Topology, p: Parameters) -> Machines:
    """Draw the machines of a site.

    The draw depends only on the site's and the servers' names: every plant of one site, whatever its seed, has the
    same machines, so that what is learned in one run holds in the next; a server added changes no other.
    """
    hardware = [topology.site.hardware[name] for name in topology.hardware]
    gpus = max(item.gpus for item in hardware)
    of_gpu = _per_server(topology, [[item.gpus, item.gpu_idle_power_w, item.gpu_max_power_w] for item in hardware])
    limits = _per_server(
        topology, [[item.gpu_temperature_limit_c, item.gpu_memory_temperature_limit_c] for item in hardware]
    )
    of_server = _per_server(topology, [_server_constants(item, p) for item in hardware])
    has_gpu = np.arange(gpus) < of_gpu[:, :1]
    draws = _draws(topology, gpus + 1)
    height = _height_in_rack(topology)
    return Machines(
        has_gpu=has_gpu,
        gpu_idle_w=np.where(has_gpu, of_gpu[:, 1:2], 0.0),
        gpu_max_w=np.where(has_gpu, of_gpu[:, 2:3], 0.0),
        gpu_limit_c=np.broadcast_to(limits[:, :1], has_gpu.shape),
        memory_limit_c=np.broadcast_to(limits[:, 1:], has_gpu.shape),
        resistance_k_per_w=_resistances(of_gpu, draws[:, :gpus], p),
        max_power_w=of_server[:, 0],
        max_airflow_cfm=of_server[:, 1],
        fan_full_w=of_server[:, 2],
        host_idle_w=of_server[:, 3],
        host_load_w=of_server[:, 4],
        host_w_per_w=of_server[:, 4] / np.maximum(of_gpu[:, 0] * (of_gpu[:, 2] - of_gpu[:, 1]), 1.0),
        air_density_frac=air_density_frac(topology.site.altitude_m),
        inlet_offset_c=_inlet_offsets(topology, height, draws[:, gpus], p),
        recirculation_weight=1.0 + p.recirculation_top_weight * (2.0 * height - 1.0),
    )


def _per_server(topology: Topology, table: list[list[float]]) -> FloatArray:
    return np.array(table, dtype=np.float64)[topology.server_hardware]


def _server_constants(item: Hardware, p: Parameters) -> list[float]:
    """Maximum power, flow, full fan power, idle host power, extra host power at full GPU load.

    The host's share is what the stated idle and maximum power leave after GPUs, fans (slow, and flat out) and power
    supplies: no server ever draws more than its nameplate.
    """
    fan_full = p.fan_power_frac * item.max_power_w
    fan_idle = fan_full * p.fan_floor**3
    idle = _output_w(item.idle_power_w, item.max_power_w) - item.gpus * item.gpu_idle_power_w - fan_idle
    full = _output_w(item.max_power_w, item.max_power_w) - item.gpus * item.gpu_max_power_w - fan_full
    host_idle = max(idle, 0.0)
    return [item.max_power_w, item.max_airflow_cfm, fan_full, host_idle, max(full - host_idle, 0.0)]


def _output_w(input_w: float, max_power_w: float) -> float:
    """What power supplies deliver when they draw ``input_w``: the inverse of :func:`physics.supply_loss_w`."""
    share = input_w / max_power_w
    # input = output + 0.01 + 0.02·output + 0.02·output², all relative to the maximum.
    root = np.sqrt(1.02**2 + 4 * 0.02 * max(share - 0.01, 0.0))
    return float(max_power_w * (root - 1.02) / (2 * 0.02))


def _draws(topology: Topology, count: int) -> FloatArray:
    """Standard normal numbers ``[S, count]``, each row from the names of site and server."""
    site = crc32(topology.site.name.encode())
    rows = [np.random.default_rng([site, crc32(name.encode())]).standard_normal(count) for name in topology.servers]
    return np.clip(np.array(rows), -2.5, 2.5)


def _resistances(of_gpu: FloatArray, draws: FloatArray, p: Parameters) -> FloatArray:
    """The rear half of the GPUs breathes what the front half has warmed; each GPU differs a little besides."""
    gpus, max_w = of_gpu[:, :1], of_gpu[:, 2:3]
    rear = np.arange(draws.shape[1]) >= gpus / 2
    rise = np.where(rear, p.rear_rise_k, p.front_rise_k)
    return rise / max_w * (1.0 + p.resistance_spread * draws)


def _height_in_rack(topology: Topology) -> FloatArray:
    """0 at the bottom of a rack, 1 at its top, ½ where a rack holds one server."""
    return _place_among_siblings(topology.server_rack)


def _place_among_siblings(parent: NDArray[np.int64]) -> FloatArray:
    counts = np.bincount(parent)
    first = np.concatenate([[0], np.cumsum(counts)[:-1]])
    place = np.arange(len(parent)) - first[parent]
    last = counts[parent] - 1
    return np.where(last > 0, place / np.maximum(last, 1), 0.5)


def _inlet_offsets(topology: Topology, height: FloatArray, draws: FloatArray, p: Parameters) -> FloatArray:
    rows = [crc32(f"{topology.site.name}/{name}".encode()) for name in topology.rows]
    by_row = p.row_spread_k * np.clip([np.random.default_rng(seed).standard_normal() for seed in rows], -2.0, 2.0)
    along_row = _place_among_siblings(topology.rack_row)[topology.server_rack]
    row_end = p.row_end_rise_k * (2.0 * along_row - 1.0) ** 2
    return np.asarray(
        by_row[topology.server_row] + row_end + p.rack_top_rise_k * (height - 0.5) + p.server_spread_k * draws
    )
