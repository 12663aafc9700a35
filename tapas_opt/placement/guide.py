"""Where VMs should go, kept count of while they are being placed."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from tapas_opt.placement.aggregate import Shares
from tapas_opt.placement.problem import PlacementClasses

__all__ = ["Guide"]

IntArray = NDArray[np.int64]
BoolArray = NDArray[np.bool_]


class Guide:
    """How many VMs of each kind are still to go to each kind of server."""

    def __init__(self, shares: Shares, classes: PlacementClasses) -> None:
        self._vm_kind = shares.vm_kind
        self._kind_of_class = shares.server_kind[classes.servers.first]
        none = np.zeros((len(shares.most), 1), dtype=np.int64)
        self._left = np.hstack([shares.most, none])  # the last column is that of servers that are not available

    def allows(self, v: int) -> BoolArray:
        """``[server class]`` where some of the VM's kind are still to go."""
        return np.asarray((self._left[self._vm_kind[v]] > 0)[self._kind_of_class])

    def take(self, v: int, k: int, sign: int) -> None:
        """Count the VM as placed on class ``k``, or as taken back where ``sign`` is -1."""
        self._left[self._vm_kind[v], self._kind_of_class[k]] -= sign
