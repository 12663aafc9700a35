"""From servers to hosts: the free blocks of GPUs of a site, as the server axis of a placement (docs/adr/0019)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from tapas_opt.domain.topology import NONE
from tapas_opt.placement.hosts import Hosts
from tapas_opt.placement.problem import PlacementProblem, SpreadGroup
from tapas_opt.placement.promises.numbers import Promises

__all__ = ["free_blocks", "on_hosts"]

IntArray = NDArray[np.int64]
BoolArray = NDArray[np.bool_]


def on_hosts(
    problem: PlacementProblem, free: BoolArray, gpus: IntArray, type_gpus: IntArray, gpu_ceiling_w: IntArray
) -> PlacementProblem:
    """State a problem, made for whole servers, on the free blocks of GPUs of these servers.

    Parameters
    ----------
    problem
        Whose servers are available wherever they are in service; a server without any free GPU drops out.
    free
        ``[server, gpu]`` whether nobody has the GPU; false beyond a server's last one.
    gpus
        ``[server]`` how many it has.
    type_gpus
        ``[type, hardware]`` GPUs that a VM takes.
    gpu_ceiling_w
        ``[server, gpu]`` ceiling of each GPU, as high as any beyond a server's last one; a block has the least of its
        GPUs.
    """
    blocks = list(_blocks(free, gpus))
    of, first, size = (
        (np.array(part, dtype=np.int64) for part in zip(*blocks, strict=True)) if blocks else (_EMPTY,) * 3
    )
    whole = size == gpus[of]
    families = tuple(
        replace(family, member=family.member[of], share_permille=family.share_permille[of])
        for family in problem.budgets.families
    )
    ceiling = [gpu_ceiling_w[s, f : f + n].min() for s, f, n in blocks]
    return replace(
        problem,
        servers=tuple(
            _name(problem.servers[s], f, n, all_of_it) for (s, f, n), all_of_it in zip(blocks, whole, strict=True)
        ),
        server_hardware=problem.server_hardware[of],
        server_available=problem.server_available[of],
        server_ceiling_w=np.array(ceiling, dtype=np.int64),
        groups=tuple(_group_on(group, of) for group in problem.groups),
        budgets=replace(problem.budgets, families=families),
        promises=None if problem.promises is None else _promises_on(problem.promises, of, whole),
        survival=None if problem.survival is None else problem.survival.on(of),
        hosts=Hosts(tuple(problem.servers[s] for s in of), first, size, type_gpus),
    )


def _group_on(group: SpreadGroup, of: IntArray) -> SpreadGroup:
    together = group.together and replace(group.together, place_of=group.together.place_of[of])
    return replace(group, place_of=group.place_of[of], together=together)


def _promises_on(promises: Promises, of: IntArray, whole: BoolArray) -> Promises:
    """What is kept back are whole servers."""
    levels = tuple(replace(kept, place_of=np.where(whole, kept.place_of[of], NONE)) for kept in promises.levels)
    return replace(promises, levels=levels)


def free_blocks(free: BoolArray) -> Iterator[tuple[int, int]]:
    """First GPU and size of each host of a server where VMs run, given which of its GPUs are free; largest first.

    Every block is as large as it can be and begins at a multiple of its size, as the links between GPUs do.
    """
    left = free.copy()
    size = 1 << (len(free).bit_length() - 1)
    while size:
        for first in range(0, len(free) - size + 1, size):
            if left[first : first + size].all():
                left[first : first + size] = False
                yield first, size
        size //= 2


_EMPTY = np.zeros(0, dtype=np.int64)


def _blocks(free: BoolArray, gpus: IntArray) -> Iterator[tuple[int, int, int]]:
    """Server, first GPU and size; all of a free server is one block, however many GPUs it has."""
    whole = free.sum(axis=1) == gpus
    for s in np.flatnonzero(free.any(axis=1)).tolist():
        if whole[s]:
            yield s, 0, int(gpus[s])
        else:
            yield from ((s, first, size) for first, size in free_blocks(free[s, : gpus[s]]))


def _name(server: str, first_gpu: int, gpus: int, whole: bool) -> str:
    """The server's own name where the block is all of it, else ``S1:4-7``, or ``S1:4`` for one GPU."""
    if whole:
        return server
    return f"{server}:{first_gpu}" if gpus == 1 else f"{server}:{first_gpu}-{first_gpu + gpus - 1}"
