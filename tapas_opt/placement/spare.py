"""GPUs that are left over where VMs take parts of servers: the capacity of hosts, and what it costs to begin one."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tapas_opt.domain.result import Constraint
from tapas_opt.mip.model import ABSENT, MipModel
from tapas_opt.placement.problem import PlacementClasses, PlacementPlan, PlacementProblem
from tapas_opt.placement.zones import EVERYWHERE, Where

__all__ = ["SpareColumns", "SpareGpus", "server_gpu_capacity", "set_spare", "spare_columns"]

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]
BoolArray = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class SpareColumns:
    """``begun[k]`` and ``left_over[k]`` of classes of hosts of which a VM may take a part."""

    begun: IntArray
    left_over: IntArray


def spare_columns(
    model: MipModel, problem: PlacementProblem, classes: PlacementClasses, eligible: BoolArray
) -> SpareColumns:
    """The columns; ``eligible`` is ``[VM class, server class]``."""
    gpus = problem.gpus[classes.servers.first]
    parted = (eligible & (_taken(problem, classes) < gpus)).any(axis=0)
    names, size = classes.server_names, classes.servers.size
    return SpareColumns(
        begun=model.columns("begun", names, where=parted, upper=size, integer=True),
        left_over=model.columns(
            "left_over", names, where=parted, upper=gpus * size, cost=problem.prices.spare_gpu, integer=True
        ),
    )


def server_gpu_capacity(
    model: MipModel, x: SpareColumns, assign: IntArray, problem: PlacementProblem, classes: PlacementClasses
) -> None:
    """Σ_w gpus[w] · assign[w,k] ≤ gpus[k] · size[k]   ∀ k.

    Where a VM may take a part of k, what is left over of the hosts that are begun is counted:
    Σ_w gpus[w] · assign[w,k] + left_over[k] = gpus[k] · begun[k].
    """
    gpus, size = problem.gpus[classes.servers.first], classes.servers.size
    parted = x.begun != ABSENT
    rows = model.rows(
        Constraint.SERVER_GPU_CAPACITY,
        classes.server_names,
        where=(assign != ABSENT).any(axis=0),
        lower=np.where(parted, 0.0, -np.inf),
        upper=np.where(parted, 0, gpus * size),
    )
    model.add(rows, assign, _taken(problem, classes))
    model.add(rows, x.left_over, 1.0)
    model.add(rows, x.begun, -gpus)


def set_spare(
    x: SpareColumns, problem: PlacementProblem, classes: PlacementClasses, plan: PlacementPlan, values: FloatArray
) -> None:
    """Write into column values what a plan begins and leaves over."""
    number = {name: s for s, name in enumerate(problem.servers)} if (x.begun != ABSENT).any() else {}
    used: dict[int, int] = {}
    for v, vm in enumerate(problem.vms):
        if number and vm in plan.server_of:
            s = number[plan.server_of[vm]]
            used[s] = used.get(s, 0) + int(problem.type_gpus[problem.vm_type[v], problem.server_hardware[s]])
    for s, gpus in used.items():
        k = classes.servers.of[s]
        if x.begun[k] != ABSENT:
            values[x.begun[k]] += 1.0
            values[x.left_over[k]] += problem.gpus[s] - gpus


class SpareGpus:
    """``spare_gpus`` as the greedy path sees it: a VM pays for a host that it begins, and is paid for filling one."""

    def __init__(self, problem: PlacementProblem, classes: PlacementClasses) -> None:
        first = classes.servers.first
        self._type, self._price = problem.vm_type, problem.prices.spare_gpu
        self._taken = problem.type_gpus[:, problem.server_hardware[first]]
        self._gpus = problem.gpus[first]
        self._used = np.zeros(len(first), dtype=np.int64)

    def judge(self, v: int, where: Where = EVERYWHERE) -> tuple[bool, IntArray]:
        """Everywhere: the greedy path counts GPUs itself; what more is left over with the VM than without it.

        The price is negative where it fills what others began.
        """
        used, gpus = self._used[where], self._gpus[where]
        now, then = -used % gpus, -(used + self._taken[self._type[v], where]) % gpus
        return True, np.asarray(self._price * (then - now))

    def take(self, v: int, k: int, sign: int) -> bool:
        """Count its GPUs."""
        self._used[k] += sign * self._taken[self._type[v], k]
        return False


def _taken(problem: PlacementProblem, classes: PlacementClasses) -> IntArray:
    """``[VM class, server class]`` GPUs that a VM takes."""
    kind, first = problem.vm_type[classes.vms.first], classes.servers.first
    return problem.type_gpus[np.ix_(kind, problem.server_hardware[first])]
