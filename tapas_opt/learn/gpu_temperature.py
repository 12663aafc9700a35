"""Core and memory temperature of each GPU, and the power ceiling that follows from a limit."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar

import numpy as np
from numpy.typing import ArrayLike, NDArray
from pydantic import ConfigDict, Field

from tapas_opt.domain.fields import STRICT, NonNegative, Positive
from tapas_opt.domain.topology import Topology
from tapas_opt.learn.artefact import Artefact, Finite
from tapas_opt.learn.curve import EXTRAPOLATION
from tapas_opt.learn.servers import entry_numbers

__all__ = ["GpuEntry", "GpuTemperatureModel"]

FloatArray = NDArray[np.float64]

_PerGpu = Annotated[tuple[Positive, ...], Field(min_length=1)]


@dataclass(frozen=True, slots=True)
class GpuEntry:
    """The GPUs of one server: ``T_gpu = a·T_in + b·P_gpu + c`` with a, b > 0, one coefficient each.

    Attributes
    ----------
    c_c, margin_c
        Offset, and what a GPU-day's maximum may lie above, in °C.
    inlet_highest_c, gpu_power_highest_w
        Ends of what its hardware saw in the fitting days.
    """

    __pydantic_config__: ClassVar[ConfigDict] = STRICT
    hardware: str
    a: _PerGpu
    b_c_per_w: _PerGpu
    c_c: tuple[Finite, ...]
    margin_c: tuple[NonNegative, ...]
    inlet_highest_c: Finite
    gpu_power_highest_w: Positive

    def __post_init__(self) -> None:
        if len({len(self.a), len(self.b_c_per_w), len(self.c_c), len(self.margin_c)}) != 1:
            raise ValueError("a, b_c_per_w, c_c and margin_c need one number for each GPU")


class GpuTemperatureModel:
    """Upper temperatures of a site's GPUs; entries are kept as columns ``[entry, gpu]``, pooled ones last."""

    def __init__(self, artefact: Artefact[GpuEntry]) -> None:
        self.artefact = artefact
        entries = (*artefact.entries.values(), *artefact.pooled.values())
        self._a = _padded([entry.a for entry in entries])
        self._b = _padded([entry.b_c_per_w for entry in entries])
        self._c = _padded([entry.c_c for entry in entries])
        self._margin = _padded([entry.margin_c for entry in entries])
        self._inlet_highest = np.array([[entry.inlet_highest_c] for entry in entries])
        self._power_highest = np.array([[entry.gpu_power_highest_w] for entry in entries])

    def central_c(self, topology: Topology, inlet_c: ArrayLike, gpu_power_w: ArrayLike) -> FloatArray:
        """``[..., server, gpu]`` a·T_in + b·P + c; NaN where a server has fewer GPUs."""
        number = entry_numbers(topology, self.artefact.entries, self.artefact.pooled)
        inlet = np.asarray(inlet_c, dtype=np.float64)[..., None]
        power = np.asarray(gpu_power_w, dtype=np.float64)
        return np.asarray(self._a[number] * inlet + self._b[number] * power + self._c[number])

    def upper_c(self, topology: Topology, inlet_c: ArrayLike, gpu_power_w: ArrayLike) -> FloatArray:
        """``[..., server, gpu]`` a·T_in + b·P + c + margin; NaN where a server has fewer GPUs.

        Above the highest inlet temperature and the highest power of the fitting days both slopes count
        :data:`EXTRAPOLATION` times.
        """
        number = entry_numbers(topology, self.artefact.entries, self.artefact.pooled)
        power = np.asarray(gpu_power_w, dtype=np.float64)
        beyond = np.maximum(0.0, power - self._power_highest[number])
        steep = power + (EXTRAPOLATION - 1.0) * beyond
        return np.asarray(self._without_power(number, inlet_c) + self._b[number] * steep)

    def ceiling_w(self, topology: Topology, inlet_c: ArrayLike, limit_c: ArrayLike) -> FloatArray:
        """``[server]`` the GPU power at which the first GPU's upper temperature reaches its limit.

        Limits are ``[server]`` or ``[server, gpu]``.

        ``min over GPUs (T_limit − margin − a·T_in − c) / b``, the exact inverse of :meth:`upper_c`.
        """
        number = entry_numbers(topology, self.artefact.entries, self.artefact.pooled)
        limit = np.asarray(limit_c, dtype=np.float64).reshape(len(number), -1)
        room_c = limit - self._without_power(number, inlet_c)
        steep = room_c / self._b[number]
        highest = self._power_highest[number]
        power = np.where(steep > highest, highest + (steep - highest) / EXTRAPOLATION, steep)
        return np.asarray(np.nanmin(power, axis=1))

    def _without_power(self, number: NDArray[np.int64], inlet_c: ArrayLike) -> FloatArray:
        inlet = np.asarray(inlet_c, dtype=np.float64)[..., None]
        steep = inlet + (EXTRAPOLATION - 1.0) * np.maximum(0.0, inlet - self._inlet_highest[number])
        return np.asarray(self._a[number] * steep + self._c[number] + self._margin[number])


def _padded(rows: list[tuple[float, ...]]) -> FloatArray:
    """``[entry, gpu]``, NaN beyond a server's last GPU."""
    out = np.full((len(rows), max(len(row) for row in rows)), np.nan)
    for i, row in enumerate(rows):
        out[i, : len(row)] = row
    return out
