"""Who ran where from when until when, noticed from minute to minute, as an operator's allocator would have noted it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from tapas_opt.domain.vm_list import Lived
from tapas_opt.domain.workload import Vm

__all__ = ["Lives"]


class Lives:
    """The list of VMs of a history while it is being made.

    VMs that are met when time begins count as created then.
    """

    def __init__(self, servers: Sequence[str]) -> None:
        self._servers = servers
        self._there: dict[str, Lived] = {}
        self._gone: list[Lived] = []
        self._seen: list[Vm] | None = None

    def look(self, t_s: float, vms: Sequence[Vm], on: NDArray[np.int64]) -> None:
        """See who is there; who came or went has done so since the last look."""
        if self._seen == list(vms):
            return
        first = self._seen is None
        names = {vm.name for vm in vms}
        for name in [name for name in self._there if name not in names]:
            past = self._there.pop(name)
            self._gone.append(Lived(past.vm, past.server, past.created_s, t_s))
        for vm, s in zip(vms, on.tolist(), strict=True):
            if vm.name not in self._there:
                self._there[vm.name] = Lived(vm, self._servers[s], 0.0 if first else t_s)
        self._seen = list(vms)

    def all(self) -> list[Lived]:
        """In the order in which they came; those still there without an end."""
        return sorted((*self._gone, *self._there.values()), key=lambda lived: (lived.created_s, lived.vm.name))
