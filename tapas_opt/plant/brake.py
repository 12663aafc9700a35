"""The power brake: hardware that halves the clocks of a server's GPUs, some seconds after it is told to."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

__all__ = ["PowerBrake"]

BoolArray = NDArray[np.bool_]
IntArray = NDArray[np.int64]


class PowerBrake:
    """Brakes of all servers, ordered out of band.

    Attributes
    ----------
    on
        ``[S]`` brakes that are in force.
    """

    def __init__(self, servers: int, latency_s: float) -> None:
        self._latency_s = latency_s
        self._wanted: BoolArray = np.zeros(servers, dtype=bool)
        self._due_s = np.full(servers, np.inf)
        self.on: BoolArray = np.zeros(servers, dtype=bool)

    def order(self, servers: Sequence[int] | IntArray, on: bool, now_s: float) -> None:
        """Have brakes on or off after the latency; a later order replaces one that is under way."""
        chosen = np.asarray(servers, dtype=np.int64)
        self._wanted[chosen] = on
        self._due_s[chosen] = now_s + self._latency_s

    def step(self, now_s: float) -> None:
        """Put into force what has arrived by now."""
        arrived = self._due_s <= now_s
        self.on = np.where(arrived, self._wanted, self.on)
        self._due_s[arrived] = np.inf

    def next_s(self) -> float:
        """When the next order arrives; infinite if none is under way."""
        return float(self._due_s.min(initial=np.inf))
