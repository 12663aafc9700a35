"""What the sensors said last, and how old it is. Missing is never zero."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from tapas_opt.domain.topology import Topology

__all__ = ["FRESH_S", "Latest", "Readings"]

FloatArray = NDArray[np.float64]

FRESH_S = 900.0
"""Telemetry older than this is not used; predictions with their margins take its place."""


QUANTITIES = ("outdoor_c", "server_power_w", "inlet_c", "hottest_gpu_c", "ups_power_w", "endpoint_tokens_per_s")


@dataclass(frozen=True, slots=True)
class Readings:
    """One batch of readings. What is absent was not measured.

    Attributes
    ----------
    outdoor_c
        By room.
    server_power_w, inlet_c, hottest_gpu_c
        By server.
    ups_power_w
        By UPS.
    endpoint_tokens_per_s
        Prompt and output tokens per second that an endpoint's users asked for.
    """

    observed_at_s: float
    outdoor_c: Mapping[str, float] = field(default_factory=dict)
    server_power_w: Mapping[str, float] = field(default_factory=dict)
    inlet_c: Mapping[str, float] = field(default_factory=dict)
    hottest_gpu_c: Mapping[str, float] = field(default_factory=dict)
    ups_power_w: Mapping[str, float] = field(default_factory=dict)
    endpoint_tokens_per_s: Mapping[str, float] = field(default_factory=dict)


class Latest:
    """The newest reading of everything, each with its time."""

    def __init__(self) -> None:
        self._seen: dict[tuple[str, str], tuple[float, float]] = {}
        self.newest_s: float | None = None

    def take(self, readings: Readings) -> None:
        """Remember a batch; a reading older than the one known is dropped."""
        at_s = readings.observed_at_s
        for quantity in QUANTITIES:
            for name, value in getattr(readings, quantity).items():
                known = self._seen.get((quantity, name))
                if np.isfinite(value) and (known is None or known[0] <= at_s):
                    self._seen[quantity, name] = (at_s, float(value))
        self.newest_s = at_s if self.newest_s is None else max(self.newest_s, at_s)

    def get(self, quantity: str, name: str, now_s: float) -> float | None:
        """A reading no older than :data:`FRESH_S`, or None."""
        at_s, value = self._seen.get((quantity, name), (float("-inf"), 0.0))
        return value if now_s - at_s <= FRESH_S else None

    def age_s(self, now_s: float) -> float | None:
        """Age of the newest batch, or None when there never was one."""
        return None if self.newest_s is None else max(0.0, now_s - self.newest_s)

    def server_power_w(self, topology: Topology, now_s: float) -> FloatArray:
        """``[server]`` measured power, NaN where there is no fresh reading."""
        values = (self.get("server_power_w", name, now_s) for name in topology.servers)
        return np.array([np.nan if value is None else value for value in values])

    def outdoor_c(self, topology: Topology, now_s: float) -> float | None:
        """The warmest fresh outdoor reading of any room, or None."""
        values = [self.get("outdoor_c", room, now_s) for room in topology.rooms]
        return max((value for value in values if value is not None), default=None)
