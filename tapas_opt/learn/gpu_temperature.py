"""Core and memory temperature of each GPU, and the power ceiling that follows from a limit."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, ClassVar

import numpy as np
from numpy.typing import ArrayLike, NDArray
from pydantic import ConfigDict, Field

from tapas_opt.domain.fields import STRICT, NonNegative, Positive
from tapas_opt.domain.topology import Topology
from tapas_opt.learn.artefact import Artefact, Finite
from tapas_opt.learn.curve import EXTRAPOLATION, Knots
from tapas_opt.learn.servers import EntryNumbers

__all__ = ["GpuEntry", "GpuTemperatureModel", "HeatCurve"]

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]

FAR_W = 10_000.0
"""Upper values are straight beyond the outermost knots; this far out a further knot shows how they go on."""

ROUNDING_W = 0.01

_PerGpu = Annotated[tuple[Positive, ...], Field(min_length=1)]


@dataclass(frozen=True, slots=True)
class HeatCurve:
    """What the power of one hardware's GPUs counts for their temperature: φ(P, T_in), in W.

    Fans speed up with heat, so that a watt counts less the more there are of them, and the warmer the inlet. φ is
    straight between knots of power and between a cold and a warm inlet; it rises in both.

    Attributes
    ----------
    power_w
        Knots; the last is the highest power of the fitting days.
    inlet_c
        The cold and the warm inlet, lowest and highest of the fitting days. Below φ stays as it is there; above it
        rises at every power as it does inside at the power where it rises most.
    effective_w
        φ at each knot, at the cold inlet and at the warm one.
    margin_share
        At each knot, how many times a GPU's ``margin_c`` its upper temperature lies above the central one.
    """

    __pydantic_config__: ClassVar[ConfigDict] = STRICT
    power_w: Knots
    inlet_c: tuple[Finite, Finite]
    effective_w: tuple[Knots, Knots]
    margin_share: tuple[NonNegative, ...]

    def __post_init__(self) -> None:
        if {len(row) for row in (*self.effective_w, self.margin_share)} != {len(self.power_w)}:
            raise ValueError("effective_w (twice) and margin_share need one number for each power_w")
        if not self.inlet_c[0] < self.inlet_c[1]:
            raise ValueError("inlet_c must rise from the cold to the warm inlet")
        if np.any(np.subtract(self.effective_w[1], self.effective_w[0]) < -ROUNDING_W):
            raise ValueError("effective_w must not be lower at the warm inlet than at the cold one")

    def effective_at(self, gpu_power_w: FloatArray, inlet_c: FloatArray) -> FloatArray:
        """φ at each pair of power and inlet temperature; below the first knot and above the last φ goes on straight."""
        lowest, highest = self.inlet_c
        cold, warm = (_straight_on(gpu_power_w, self.power_w, values) for values in self.effective_w)
        place = np.clip((inlet_c - lowest) / (highest - lowest), 0.0, 1.0)
        most = np.max(np.subtract(self.effective_w[1], self.effective_w[0])) / (highest - lowest)
        return np.asarray(cold + place * (warm - cold) + most * np.maximum(0.0, inlet_c - highest))

    def margin_share_at(self, gpu_power_w: FloatArray) -> FloatArray:
        """Share of ``margin_c`` at each power; beyond the knots that of the nearest."""
        return np.asarray(np.interp(gpu_power_w, self.power_w, self.margin_share))


@dataclass(frozen=True, slots=True)
class GpuEntry:
    """The GPUs of one server: ``T_gpu = a·T_in + b·φ(P_gpu, T_in) + c`` with a, b > 0, one coefficient each.

    Attributes
    ----------
    curve
        φ, the same for all servers of a hardware.
    c_c, margin_c
        Offset, and what a GPU-day's maximum may lie above at the highest power, in °C.
    """

    __pydantic_config__: ClassVar[ConfigDict] = STRICT
    hardware: str
    a: _PerGpu
    b_c_per_w: _PerGpu
    c_c: tuple[Finite, ...]
    margin_c: tuple[NonNegative, ...]
    curve: HeatCurve

    def __post_init__(self) -> None:
        if len({len(self.a), len(self.b_c_per_w), len(self.c_c), len(self.margin_c)}) != 1:
            raise ValueError("a, b_c_per_w, c_c and margin_c need one number for each GPU")
        steepest = np.max(np.divide(self.margin_c, self.b_c_per_w))
        if np.any(np.diff(self.curve.effective_w, axis=1) + steepest * np.diff(self.curve.margin_share) <= 0):
            raise ValueError("margin_share falls so steeply that an upper temperature would fall with rising power")


class GpuTemperatureModel:
    """Temperatures of a site's GPUs; entries are kept as columns ``[entry, gpu]``, pooled ones last.

    An entry of one coefficient, as that of a hardware is, holds for each GPU of its servers.
    """

    def __init__(self, artefact: Artefact[GpuEntry]) -> None:
        self.artefact = artefact
        entries = (*artefact.entries.values(), *artefact.pooled.values())
        self._a = _padded([entry.a for entry in entries])
        self._b = _padded([entry.b_c_per_w for entry in entries])
        self._c = _padded([entry.c_c for entry in entries])
        self._margin = _padded([entry.margin_c for entry in entries])
        self._curves = tuple(dict.fromkeys(entry.curve for entry in entries))
        place = {curve: i for i, curve in enumerate(self._curves)}
        self._knots = _lengthened(self._curves)
        self._curve = np.array([place[entry.curve] for entry in entries], dtype=np.int64)
        self._numbers = EntryNumbers(artefact.entries, artefact.pooled)

    def central_c(self, topology: Topology, inlet_c: ArrayLike, gpu_power_w: ArrayLike) -> FloatArray:
        """``[..., server, gpu]`` a·T_in + b·φ(P, T_in) + c; NaN where a server has fewer GPUs.

        Parameters
        ----------
        inlet_c, gpu_power_w
            ``[..., server]``, and ``[..., server, gpu]`` or what can be broadcast to that.
        """
        number = self._numbers.on(topology)
        return _of_gpus(topology, self._central(number, *self._inputs(number, inlet_c, gpu_power_w)))

    def upper_c(self, topology: Topology, inlet_c: ArrayLike, gpu_power_w: ArrayLike) -> FloatArray:
        """``[..., server, gpu]`` central + margin, as :meth:`central_c`.

        Above the highest inlet temperature and the highest power of the fitting days both slopes count
        :data:`EXTRAPOLATION` times.
        """
        number = self._numbers.on(topology)
        return _of_gpus(topology, self._upper(number, *self._inputs(number, inlet_c, gpu_power_w)))

    def ceiling_w(self, topology: Topology, inlet_c: ArrayLike, limit_c: ArrayLike) -> FloatArray:
        """``[server]`` the GPU power at which its first GPU's upper temperature reaches its limit."""
        return np.asarray(np.nanmin(self.ceilings_w(topology, inlet_c, limit_c), axis=1))

    def ceilings_w(self, topology: Topology, inlet_c: ArrayLike, limit_c: ArrayLike) -> FloatArray:
        """``[server, gpu]`` the power at which the GPU's upper temperature reaches its limit; NaN where there is none.

        Limits are ``[server]`` or ``[server, gpu]``. ``φ⁻¹((T_limit − margin − a·T_in − c) / b)``, the
        exact inverse of :meth:`upper_c`: that is straight between the knots of φ, and beyond them.
        """
        number = self._numbers.on(topology)
        knots = self._knots[self._curve[number]].T[..., None]
        upper = self._upper(number, *self._inputs(number, inlet_c, knots))
        limit = np.asarray(limit_c, dtype=np.float64).reshape(len(number), -1)
        return _of_gpus(topology, _crossing(np.broadcast_to(knots, upper.shape), upper, limit))

    def _by_curve(self, number: IntArray) -> Iterator[tuple[HeatCurve, IntArray]]:
        """Each curve and the servers that it belongs to."""
        return ((curve, np.flatnonzero(self._curve[number] == i)) for i, curve in enumerate(self._curves))

    def _inputs(self, number: IntArray, inlet_c: ArrayLike, gpu_power_w: ArrayLike) -> tuple[FloatArray, FloatArray]:
        """Inlets ``[..., server, 1]`` and powers ``[..., server, gpu]``, or one power for all of a server's GPUs."""
        inlet = np.asarray(inlet_c, dtype=np.float64)[..., None]
        power = np.atleast_1d(np.asarray(gpu_power_w, dtype=np.float64))
        shape = np.broadcast_shapes(power.shape, inlet.shape, self._b[number].shape)
        return np.broadcast_to(inlet, (*shape[:-1], 1)), np.broadcast_to(power, (*shape[:-1], power.shape[-1]))

    def _central(self, number: IntArray, inlet: FloatArray, power: FloatArray) -> FloatArray:
        effective = np.empty(power.shape)
        for curve, servers in self._by_curve(number):
            effective[..., servers, :] = curve.effective_at(power[..., servers, :], inlet[..., servers, :])
        return np.asarray(self._a[number] * inlet + self._b[number] * effective + self._c[number])

    def _upper(self, number: IntArray, inlet: FloatArray, power: FloatArray) -> FloatArray:
        share, steep = np.empty(power.shape), np.empty(power.shape)
        for curve, servers in self._by_curve(number):
            here = power[..., servers, :]
            share[..., servers, :] = curve.margin_share_at(here)
            steep[..., servers, :] = here + _beyond(here, curve.power_w[-1])
        highest = np.array([curve.inlet_c[1] for curve in self._curves])[self._curve[number], None]
        return self._central(number, inlet + _beyond(inlet, highest), steep) + self._margin[number] * share


def _beyond(values: FloatArray, highest: float | FloatArray) -> FloatArray:
    """What is to be added so that all above ``highest`` counts :data:`EXTRAPOLATION` times."""
    return np.asarray((EXTRAPOLATION - 1.0) * np.maximum(0.0, values - highest))


def _straight_on(x: FloatArray, knots: tuple[float, ...], values: tuple[float, ...]) -> FloatArray:
    """Straight between knots, and on beyond the first and last with the slope there."""
    first = (values[1] - values[0]) / (knots[1] - knots[0])
    last = (values[-1] - values[-2]) / (knots[-1] - knots[-2])
    inside = np.interp(x, knots, values)
    return np.asarray(inside + first * np.minimum(0.0, x - knots[0]) + last * np.maximum(0.0, x - knots[-1]))


def _crossing(x: FloatArray, y: FloatArray, level: FloatArray) -> FloatArray:
    """``[...]`` where y is at the level; it rises, straight between the points ``[point, ...]`` and on beyond them."""
    cell = np.clip((y[1:-1] <= level).sum(axis=0), 0, len(x) - 2)[None]
    x0, x1, y0, y1 = (np.take_along_axis(of, cell + i, axis=0)[0] for of in (x, y) for i in (0, 1))
    return np.asarray(x0 + (level - y0) / (y1 - y0) * (x1 - x0))


def _lengthened(curves: tuple[HeatCurve, ...]) -> FloatArray:
    """``[curve, knot]`` knots of power, one far below and as many far above as make all curves equally long."""
    longest = max(len(curve.power_w) for curve in curves)
    rows = []
    for curve in curves:
        above = FAR_W * np.arange(1, longest - len(curve.power_w) + 2)
        rows.append(np.concatenate([[curve.power_w[0] - FAR_W], curve.power_w, curve.power_w[-1] + above]))
    return np.array(rows)


def _padded(rows: list[tuple[float, ...]]) -> FloatArray:
    """``[entry, gpu]``, NaN beyond a server's last GPU; one number stands for all."""
    out = np.full((len(rows), max(len(row) for row in rows)), np.nan)
    for i, row in enumerate(rows):
        out[i, : len(row) if len(row) > 1 else None] = row
    return out


def _of_gpus(topology: Topology, values: FloatArray) -> FloatArray:
    """``[..., server, gpu]`` the values of GPUs that there are, NaN beyond a server's last."""
    return np.where(np.arange(values.shape[-1]) < topology.server_gpus[:, None], values, np.nan)
