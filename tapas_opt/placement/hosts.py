"""Parts of servers: which GPUs each free block has, and what VMs take of them (docs/adr/0019).

A *host* is a free, aligned block of the GPUs of one server: all of a free server, or, of one where VMs run, the largest
blocks of 1, 2, 4, … GPUs that are left. Where VMs may take parts, a problem's server axis is one of hosts.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["PART_SIZES", "Hosts"]

IntArray = NDArray[np.int64]

PART_SIZES = (1, 2, 4, 8)
"""GPUs that a VM may ask for, where it does not take a whole server."""


@dataclass(frozen=True, slots=True)
class Hosts:
    """Which GPUs of which server each host is, and how many a VM takes.

    Attributes
    ----------
    server
        ``[host]`` name of its server; the names in a problem's ``servers`` are those of the hosts.
    first_gpu, gpus
        ``[host]`` its lowest GPU, and how many it has.
    type_gpus
        ``[type, hardware]`` GPUs that a VM of the type takes there: one of :data:`PART_SIZES`, or all of a server's.
    """

    server: tuple[str, ...]
    first_gpu: IntArray
    gpus: IntArray
    type_gpus: IntArray
