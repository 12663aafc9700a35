"""GPUs that are left over where VMs take parts of servers: the capacity of hosts, and what it costs to begin one."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tapas_opt.domain.result import Constraint
from tapas_opt.mip.model import ABSENT, MipModel
from tapas_opt.placement.problem import PlacementClasses, PlacementPlan, PlacementProblem
from tapas_opt.placement.zones import EVERYWHERE, Where

__all__ = ["WHOLE_HOSTS", "SpareColumns", "SpareGpus", "server_gpu_capacity", "set_spare", "spare_columns"]

WHOLE_HOSTS = "hosts-of-"
"""Begins the name of a row that says that hosts are begun as a whole; their GPUs follow."""

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
    Σ_w gpus[w] · assign[w,k] + left_over[k] = gpus[k] · begun[k]. Parts that do not add up to whole hosts leave
    something over, which a linear program would not see: a row says it for each size of hosts (mixed-integer rounding;
    Nemhauser and Wolsey 1990).
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
    for size_gpus in np.unique(gpus[parted]).tolist():
        _whole_hosts(model, x, assign, problem, classes, size_gpus)


def _whole_hosts(
    model: MipModel,
    x: SpareColumns,
    assign: IntArray,
    problem: PlacementProblem,
    classes: PlacementClasses,
    size_gpus: int,
) -> None:
    """(G − r) · Σ_k left_over[k] + r · (parts − Σ_{w,k} part[w,k] · assign[w,k]) ≥ r · (G − r).

    Over hosts k of a multiple of G GPUs: part[w,k] is gpus[w,k] modulo G, parts what they are together if all are
    placed there, and r what that lacks to a multiple of G.
    """
    inside = (x.begun != ABSENT) & (problem.gpus[classes.servers.first] % size_gpus == 0)
    part = np.where((assign != ABSENT) & inside, _taken(problem, classes) % size_gpus, 0)
    parts = int(part.max(axis=1, initial=0) @ classes.vms.size)
    lacking = -parts % size_gpus
    row = model.rows(
        Constraint.SERVER_GPU_CAPACITY,
        [f"{WHOLE_HOSTS}{size_gpus}"],
        where=lacking > 0,
        lower=lacking * (size_gpus - lacking - parts),
    )
    model.add(row, x.left_over[inside], size_gpus - lacking)
    model.add(row, assign, -lacking * part)


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
