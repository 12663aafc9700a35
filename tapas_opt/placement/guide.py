"""Where VMs should go, kept count of while they are being placed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from tapas_opt.domain.result import Constraint
from tapas_opt.placement.problem import PlacementClasses
from tapas_opt.placement.zones import EVERYWHERE, Where

__all__ = ["DETOUR", "Advice", "Guide"]

IntArray = NDArray[np.int64]

DETOUR = 10**12
"""What is added to the cost of a VM where it should not go, and taken off again: more than anything costs."""


class Advice(Protocol):
    """Which kinds of servers kinds of VMs should go to; :class:`~tapas_opt.placement.aggregate.Shares` says more."""

    @property
    def vm_kind(self) -> IntArray:
        """``[vm]``."""

    @property
    def server_kind(self) -> IntArray:
        """``[server]``, negative where it is not available."""

    @property
    def most(self) -> IntArray:
        """``[vm kind, server kind]`` VMs that should go there."""

    @property
    def peak_increase(self) -> Mapping[Constraint, int]:
        """By priced family, steps by which its peak is to rise at least."""


class Guide:
    """How many VMs of each kind are still to go to each kind of server."""

    def __init__(self, shares: Advice, classes: PlacementClasses) -> None:
        self._vm_kind = shares.vm_kind
        self._kind_of_class = shares.server_kind[classes.servers.first]
        none = np.zeros((len(shares.most), 1), dtype=np.int64)
        self._left = np.hstack([shares.most, none])  # the last column is that of servers that are not available

    def judge(self, v: int, where: Where = EVERYWHERE) -> tuple[bool, IntArray]:
        """Everywhere, as this is advice; dearer than anything but where some of the VM's kind are still to go."""
        wanted = (self._left[self._vm_kind[v]] > 0)[self._kind_of_class[where]]
        return True, np.where(wanted, 0, DETOUR)

    def take(self, v: int, k: int, sign: int) -> bool:
        """Count the VM as placed on class ``k``, or as taken back where ``sign`` is -1."""
        kinds = self._vm_kind[v], self._kind_of_class[k]
        before = self._left[kinds] > 0
        self._left[kinds] -= sign
        return bool(before != (self._left[kinds] > 0))
