"""From counts to names: which server, and which of its GPUs, each VM gets."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator

import numpy as np
from numpy.typing import NDArray

from tapas_opt.placement.problem import PlacementClasses, PlacementPlan, PlacementProblem

__all__ = ["named"]

IntArray = NDArray[np.int64]

Chosen = list[tuple[int, int]]
"""Numbers of VM and server class."""


def named(problem: PlacementProblem, classes: PlacementClasses, chosen: Iterable[tuple[int, int]]) -> PlacementPlan:
    """Name the servers of VMs whose server class is chosen: of a class the coolest (highest ceiling) first.

    Parts of servers are handed out largest first, so that whatever the counts allow finds its block (docs/adr/0019).
    """
    of_class: defaultdict[int, list[int]] = defaultdict(list)
    for v, k in chosen:
        of_class[k].append(v)
    server_of: dict[int, int] = {}
    gpus_of: dict[int, tuple[int, ...]] = {}
    for k, hosts in _coolest_first(problem, classes, np.array(list(of_class), dtype=np.int64)):
        vms = of_class[k]
        if problem.hosts is None:
            server_of |= dict(zip(vms, hosts, strict=False))
            continue
        for v, host, gpus in _parts(problem, vms, hosts):
            server_of[v], gpus_of[v] = host, gpus
    return PlacementPlan(
        server_of={problem.vms[v]: problem.servers[server_of[v]] for v in sorted(server_of)},
        unplaced=tuple(name for v, name in enumerate(problem.vms) if v not in server_of),
        gpus_of={problem.vms[v]: gpus_of[v] for v in sorted(gpus_of)},
    )


def _coolest_first(
    problem: PlacementProblem, classes: PlacementClasses, chosen: IntArray
) -> Iterator[tuple[int, list[int]]]:
    """Each of some server classes, and its servers by falling ceiling, then in file order."""
    of = classes.servers.of
    is_chosen = np.zeros(classes.servers.count, dtype=bool)
    is_chosen[chosen] = True
    servers = np.flatnonzero(is_chosen[of])
    servers = servers[np.lexsort((-problem.server_ceiling_w[servers], of[servers]))]
    begin, end = (np.searchsorted(of[servers], chosen, side=side).tolist() for side in ("left", "right"))
    for k, first, last in zip(chosen.tolist(), begin, end, strict=True):
        yield k, servers[first:last].tolist()


def _parts(problem: PlacementProblem, vms: list[int], hosts: list[int]) -> Iterator[tuple[int, int, tuple[int, ...]]]:
    """VM, host and GPUs: first VMs that stay, so that they break as few hosts as can be, then those of spot."""
    assert problem.hosts is not None
    size = problem.hosts.type_gpus[problem.vm_type[vms], problem.server_hardware[hosts[0]]]
    waiting = iter(hosts)
    begun: dict[int, list[bool]] = {}
    for at in np.lexsort((-size, problem.is_spot[vms])).tolist():
        need = int(size[at])
        while (part := _part(begun, need)) is None:
            host = next(waiting)
            begun[host] = [True] * int(problem.hosts.gpus[host])
        host, first = part
        begun[host][first : first + need] = [False] * need
        if not any(begun[host]):
            del begun[host]
        lowest = int(problem.hosts.first_gpu[host]) + first
        yield vms[at], host, tuple(range(lowest, lowest + need))


def _part(begun: dict[int, list[bool]], need: int) -> tuple[int, int] | None:
    """The first aligned block that is free in a host that was begun; few are, as most are full before the next is."""
    for host, free in begun.items():
        for first in range(0, len(free), need):
            if all(free[first : first + need]):
                return host, first
    return None
