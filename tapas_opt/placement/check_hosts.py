"""Judge which GPUs VMs get, where they may take parts of servers: named servers, numbered GPUs, plain loops."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from tapas_opt.domain.result import Constraint, Violation
from tapas_opt.placement.problem import PlacementPlan, PlacementProblem

__all__ = ["free_part", "gpus_asked", "gpus_held", "more_left_over", "parts_violations", "spare_gpus_cost"]


def parts_violations(problem: PlacementProblem, plan: PlacementPlan) -> Iterator[Violation]:
    """GPUs too many or too few, out of their host, not in one aligned block, or given twice; the wrong hardware.

    A block is aligned where it begins at a multiple of its size.
    """
    hosts = {name: s for s, name in enumerate(problem.servers)}
    vms = {name: v for v, name in enumerate(problem.vms)}
    for vm, name in plan.server_of.items():
        if name not in hosts:
            yield _broken(name, 1, "VMs")
        elif vm in vms:
            yield from _of_vm(problem, vms[vm], hosts[name], plan.gpus_of.get(vm, ()))
    known = [(name, vm) for vm, name in plan.server_of.items() if name in hosts]
    given = Counter((_server(problem, hosts[name]), gpu) for name, vm in known for gpu in plan.gpus_of.get(vm, ()))
    for (server, gpu), times in given.items():
        if times > 1:
            yield _broken(f"{server} GPU {gpu}", times - 1, "VMs")


def _of_vm(problem: PlacementProblem, v: int, s: int, gpus: tuple[int, ...]) -> Iterator[Violation]:
    kind, hardware = problem.vm_type[v], problem.server_hardware[s]
    where = f"{problem.vms[v]} on {problem.servers[s]}"
    if not (problem.type_fits[kind, hardware] and problem.server_available[s]):
        yield _broken(problem.servers[s], 1, "VMs")
    asked = gpus_asked(problem, v, s)
    if len(gpus) != asked:
        yield _broken(where, abs(len(gpus) - asked), "GPUs")
        return
    here = _gpus(problem, s)
    outside = [gpu for gpu in gpus if gpu not in here]
    if outside:
        yield _broken(where, len(outside), "GPUs")
    first = min(gpus)
    if sorted(gpus) != list(range(first, first + asked)) or first % asked:
        yield _broken(f"{where}, GPUs {', '.join(map(str, gpus))} are no aligned block", asked, "GPUs")


def gpus_asked(problem: PlacementProblem, v: int, s: int) -> int:
    """How many GPUs a VM takes of a server."""
    assert problem.hosts is not None
    return int(problem.hosts.type_gpus[problem.vm_type[v], problem.server_hardware[s]])


def gpus_held(problem: PlacementProblem, plan: PlacementPlan) -> dict[str, set[int]]:
    """GPUs that a plan takes of each host."""
    held: dict[str, set[int]] = {name: set() for name in problem.servers}
    for vm, name in plan.server_of.items():
        held.setdefault(name, set()).update(plan.gpus_of.get(vm, ()))
    return held


def free_part(problem: PlacementProblem, v: int, s: int, held: set[int]) -> tuple[int, ...]:
    """An aligned block of GPUs that nobody holds and that is as large as the VM; empty where there is none."""
    asked = gpus_asked(problem, v, s)
    for first in _gpus(problem, s):
        part = tuple(range(first, first + asked))
        if first % asked == 0 and all(gpu in _gpus(problem, s) and gpu not in held for gpu in part):
            return part
    return ()


def spare_gpus_cost(problem: PlacementProblem, placed: list[tuple[int, int]]) -> int:
    """What GPUs cost that are left over of hosts on which VMs, given as pairs of VM and host, are put."""
    taken: Counter[int] = Counter()
    for v, s in placed:
        taken[s] += gpus_asked(problem, v, s)
    return sum(problem.prices.spare_gpu * max(0, len(_gpus(problem, s)) - gpus) for s, gpus in taken.items())


def more_left_over(problem: PlacementProblem, v: int, s: int, held: set[int]) -> int:
    """What one more VM costs on a host of which some GPUs are held: it begins one, or fills one that is begun."""
    left_over = 0 if held else len(_gpus(problem, s))
    return problem.prices.spare_gpu * (left_over - gpus_asked(problem, v, s))


def _gpus(problem: PlacementProblem, s: int) -> range:
    assert problem.hosts is not None
    first = int(problem.hosts.first_gpu[s])
    return range(first, first + int(problem.hosts.gpus[s]))


def _server(problem: PlacementProblem, s: int) -> str:
    assert problem.hosts is not None
    return problem.hosts.server[s]


def _broken(where: str, excess: int, unit: str) -> Violation:
    return Violation(Constraint.SERVER_GPU_CAPACITY, where, float(excess), unit)
