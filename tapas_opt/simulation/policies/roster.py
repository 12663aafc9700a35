"""What every policy keeps of its VMs: who they are, where they run, and what has failed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from tapas_opt.domain.failure import Effect, Failure, effect_of
from tapas_opt.domain.topology import Topology
from tapas_opt.domain.workload import Vm

__all__ = ["Roster"]


class Roster:
    """VMs, their servers, and failures as they were reported.

    Attributes
    ----------
    changes
        Rises with every change of the VMs.
    """

    def __init__(self, topology: Topology) -> None:
        self.topology = topology
        self.vms: dict[str, Vm] = {}
        self.server_of: dict[str, int] = {}
        self.failures: dict[str, Failure] = {}
        self.effect: Effect = effect_of(topology)
        self.changes = 0
        self._number = {name: s for s, name in enumerate(topology.servers)}

    def put(self, vms: Iterable[Vm], server_of: Mapping[str, str]) -> None:
        """VMs run on servers from now on; those without a server are not there."""
        for vm in vms:
            if vm.name in server_of:
                self.vms[vm.name] = vm
                self.server_of[vm.name] = self._number[server_of[vm.name]]
        self.changes += 1

    def remove(self, names: Sequence[str]) -> None:
        """VMs have left."""
        for name in names:
            self.vms.pop(name, None)
            self.server_of.pop(name, None)
        self.changes += 1

    def failed(self, failure: Failure) -> None:
        """An element has failed."""
        self.failures[failure.label] = failure
        self.effect = effect_of(self.topology, tuple(self.failures.values()))

    def cleared(self, failure: Failure) -> None:
        """It works again."""
        self.failures.pop(failure.label, None)
        self.effect = effect_of(self.topology, tuple(self.failures.values()))

    def taken(self) -> NDArray[np.bool_]:
        """``[server]`` whether a VM runs there."""
        taken = np.zeros(len(self.topology.servers), dtype=bool)
        taken[list(self.server_of.values())] = True
        return taken
