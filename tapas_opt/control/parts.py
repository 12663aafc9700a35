"""VMs that take parts of servers: which GPUs are free, a placement stated on them, and what it means for servers."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from tapas_opt.control.events import VmOnServer
from tapas_opt.control.fleet import Fleet
from tapas_opt.control.forecast import Forecast
from tapas_opt.domain.topology import Topology
from tapas_opt.domain.workload import Vm
from tapas_opt.placement.blocks import on_hosts
from tapas_opt.placement.check_hosts import free_part
from tapas_opt.placement.problem import PlacementPlan, PlacementPrices, PlacementProblem

__all__ = ["alone", "any_part", "entries_of", "free_gpus", "on_parts", "on_servers", "without_their_gpus"]

IntArray = NDArray[np.int64]
BoolArray = NDArray[np.bool_]


def any_part(vms: Sequence[Vm]) -> bool:
    """Whether a batch has to be placed on GPUs; else servers are free or not."""
    return any(vm.gpus is not None for vm in vms)


def on_parts(problem: PlacementProblem, forecast: Forecast, examples: Sequence[Vm]) -> PlacementProblem:
    """A problem stated for servers in service, on the blocks of GPUs that nobody has.

    ``examples`` are one VM of each type.
    """
    topology = forecast.fleet.topology
    hardware = [topology.site.hardware[name] for name in topology.hardware]
    type_gpus = np.array([[vm.gpus or item.gpus for item in hardware] for vm in examples], dtype=np.int64)
    return on_hosts(problem, free_gpus(forecast.fleet), topology.server_gpus, type_gpus, _ceilings_w(forecast))


def free_gpus(fleet: Fleet) -> BoolArray:
    """``[server, gpu]`` whether nobody has it; false beyond a server's last one."""
    free = fleet.topology.has_gpu
    for s, vms in enumerate(fleet.occupants()):
        for placed in vms:
            free[s, list(placed.gpus) if placed.gpus else slice(None)] = False
    return free


def without_their_gpus(fleet: Fleet, topology: Topology) -> list[str]:
    """VMs with numbers of GPUs that their servers do not have in another topology, which has these servers."""
    number = {name: s for s, name in enumerate(topology.servers)}
    hardware = [topology.site.hardware[name] for name in topology.hardware]
    count = {name: hardware[topology.server_hardware[s]].gpus for name, s in number.items()}
    return sorted(name for name, p in fleet.vms.items() if p.gpus and max(p.gpus) >= count[p.server])


def on_servers(problem: PlacementProblem, plan: PlacementPlan, vms: Sequence[Vm]) -> tuple[VmOnServer, ...]:
    """Where a plan puts VMs: servers, and the GPUs of those that take parts."""
    if problem.hosts is None:
        return tuple(VmOnServer(vm, plan.server_of[vm.name]) for vm in vms if vm.name in plan.server_of)
    server = dict(zip(problem.servers, problem.hosts.server, strict=True))
    return tuple(
        VmOnServer(vm, server[plan.server_of[vm.name]], plan.gpus_of[vm.name] if vm.gpus is not None else ())
        for vm in vms
        if vm.name in plan.server_of
    )


def entries_of(problem: PlacementProblem) -> dict[str, list[int]]:
    """Numbers on a problem's server axis, by server."""
    entries: dict[str, list[int]] = {}
    for s, name in enumerate(problem.servers if problem.hosts is None else problem.hosts.server):
        entries.setdefault(name, []).append(s)
    return entries


def alone(problem: PlacementProblem, s: int) -> PlacementPlan:
    """The plan that puts the only VM of a problem on one entry of its server axis."""
    gpus = {} if problem.hosts is None else {problem.vms[0]: free_part(problem, 0, s, set())}
    return PlacementPlan({problem.vms[0]: problem.servers[s]}, (), gpus)


def _ceilings_w(forecast: Forecast) -> IntArray:
    """``[server, gpu]``; beyond its comfort, what no GPU can draw is of no use to anybody."""
    topology = forecast.fleet.topology
    most = np.array([int(topology.site.hardware[name].gpu_max_power_w) for name in topology.hardware])
    useful = most[topology.server_hardware] + PlacementPrices().comfort_w
    return np.asarray(np.minimum(forecast.gpu_ceiling_w, useful[:, None]))
