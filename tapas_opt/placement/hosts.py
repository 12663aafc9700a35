"""Parts of servers: which GPUs are free in blocks, and what VMs take of them (docs/adr/0019).

A *host* is a free, aligned block of the GPUs of one server: all of a free server, or, of one where VMs run, the largest
blocks of 1, 2, 4, … GPUs that are left. Where VMs may take parts, a problem's server axis is one of hosts.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["PART_SIZES", "Hosts", "free_blocks", "host_name"]

IntArray = NDArray[np.int64]
BoolArray = NDArray[np.bool_]

PART_SIZES = (1, 2, 4, 8)
"""GPUs that a VM may ask for, where it does not take a whole server."""


@dataclass(frozen=True, slots=True)
class Hosts:
    """Which GPUs of which server each host is, and how many a VM takes.

    Attributes
    ----------
    server
        ``[host]`` name of its server; a problem's ``servers`` are the names of the hosts.
    first_gpu, gpus
        ``[host]`` its lowest GPU, and how many it has.
    type_gpus
        ``[type, hardware]`` GPUs that a VM of the type takes there: one of :data:`PART_SIZES`, or all of a server's.
    """

    server: tuple[str, ...]
    first_gpu: IntArray
    gpus: IntArray
    type_gpus: IntArray


def host_name(server: str, first_gpu: int, gpus: int, *, whole: bool) -> str:
    """The server's own name where the host is all of it, else ``S1:4-7``, or ``S1:4`` for one GPU."""
    if whole:
        return server
    return f"{server}:{first_gpu}" if gpus == 1 else f"{server}:{first_gpu}-{first_gpu + gpus - 1}"


def free_blocks(free: BoolArray) -> Iterator[tuple[int, int]]:
    """First GPU and size of each host of one server, largest first, given which of its GPUs are free.

    All of a free server is one host, however many GPUs it has; else every block is as large as it can be, and begins
    at a multiple of its size, as the links between GPUs do.
    """
    if free.all():
        yield 0, len(free)
        return
    left = free.copy()
    size = 1 << (len(free).bit_length() - 1)
    while size:
        for first in range(0, len(free) - size + 1, size):
            if left[first : first + size].all():
                left[first : first + size] = False
                yield first, size
        size //= 2
