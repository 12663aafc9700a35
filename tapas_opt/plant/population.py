"""VMs that live on a site's servers: who is where, and what all of them ask of the GPUs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from tapas_opt.domain.configuration import Configuration
from tapas_opt.domain.topology import Topology
from tapas_opt.domain.workload import Vm, VmKind
from tapas_opt.plant.instances import Instance
from tapas_opt.plant.plant import Demand
from tapas_opt.plant.swings import NO_JOB
from tapas_opt.plant.workload import Workload, iaas_gpu_power_w

__all__ = ["Population", "demand_of"]

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]

LONGEST_GAP_S = 12 * 3600.0


class Population:
    """One VM a server at most; when one goes, the next comes after some hours.

    Parameters
    ----------
    occupied_frac
        Share of servers that are taken when time begins.
    """

    def __init__(
        self, topology: Topology, workload: Workload, *, seed: int, occupied_frac: float = 0.95, iaas_frac: float = 0.5
    ) -> None:
        servers = len(topology.servers)
        self._random = np.random.default_rng([seed, 61])
        self._workload = workload
        self._iaas_frac = iaas_frac
        self._count = 0
        self._vm: list[Vm | None] = [None] * servers
        self._changes_s = self._random.uniform(0.0, LONGEST_GAP_S, servers)
        for s in np.flatnonzero(self._random.random(servers) < occupied_frac):
            vm = self._next()
            self._vm[s] = vm
            # Met in the middle of its life.
            self._changes_s[s] = self._random.uniform(0.0, vm.lifetime_s)

    def at(self, t_s: float) -> tuple[list[Vm], IntArray]:
        """The VMs that live at ``t_s`` and their servers; times must not go back."""
        for s in np.flatnonzero(self._changes_s <= t_s):
            vm = self._next() if self._vm[s] is None else None
            self._vm[s] = vm
            self._changes_s[s] = t_s + (vm.lifetime_s if vm else self._random.uniform(3600.0, LONGEST_GAP_S))
        taken = [s for s, vm in enumerate(self._vm) if vm is not None]
        return [vm for vm in self._vm if vm is not None], np.array(taken, dtype=np.int64)

    def _next(self) -> Vm:
        self._count += 1
        return self._workload.vm(f"vm-{self._count:06d}", iaas_frac=self._iaas_frac)


def demand_of(
    topology: Topology,
    idle: Demand,
    vms: Sequence[Vm],
    servers: IntArray,
    load_frac: FloatArray,
    configurations: Mapping[str, Configuration],
    job: IntArray | None = None,
) -> Demand:
    """What VMs on their servers ask of the GPUs; servers without a VM stay idle.

    Parameters
    ----------
    servers, load_frac
        Server and load of each VM.
    configurations
        By name, those that SaaS VMs run.
    job
        Of each VM, as :meth:`Workload.jobs` says; all work alone if None.
    """
    wanted = idle.gpu_power_w.copy()
    groups: dict[tuple[int, str | None], list[int]] = {}
    for i, (vm, s) in enumerate(zip(vms, servers, strict=True)):
        runs = vm.configuration if vm.kind is VmKind.SAAS else None
        groups.setdefault((int(topology.server_hardware[s]), runs), []).append(i)
    for (number, runs), members in groups.items():
        hardware = topology.site.hardware[topology.hardware[number]]
        load = load_frac[members]
        if runs is None:
            powers = iaas_gpu_power_w(load, 1.0, hardware)
        else:
            powers = Instance(configurations[runs], hardware).gpu_powers_w(load)
        wanted[servers[members], : hardware.gpus] = powers
    return Demand(wanted, job=_by_server(job, servers, len(wanted)))


def _by_server(job: IntArray | None, servers: IntArray, count: int) -> IntArray | None:
    if job is None:
        return None
    of_server = np.full(count, NO_JOB)
    of_server[servers] = job
    return of_server
