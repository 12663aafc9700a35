"""Monotone curves and surfaces, and the convex majorant that hands them to a linear model."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar

import numpy as np
from numpy.typing import ArrayLike, NDArray
from pydantic import AfterValidator, ConfigDict, Field

from tapas_opt.domain.fields import STRICT, NonNegative
from tapas_opt.learn.artefact import Finite

__all__ = ["EXTRAPOLATION", "Curve", "Majorant", "Surface", "convex_majorant"]

FloatArray = NDArray[np.float64]

EXTRAPOLATION = 1.5
"""Above the highest value seen of a feature, upper values rise this many times as steeply as learned there.

Below the lowest value seen, the value at the lowest stands: every model rises in every feature.
"""


def _strictly_rising(values: tuple[float, ...]) -> tuple[float, ...]:
    if np.any(np.diff(values) <= 0):
        raise ValueError(f"{list(values)} must rise strictly")
    return values


Knots = Annotated[tuple[Finite, ...], Field(min_length=2), AfterValidator(_strictly_rising)]


@dataclass(frozen=True, slots=True)
class Curve:
    """GPU power over load for one hardware: straight between knots, never falling.

    Attributes
    ----------
    idle_power_w
        Mean power of a GPU of a server that runs no VM.
    margin_w
        What a GPU-day's maximum may lie above the curve.
    """

    __pydantic_config__: ClassVar[ConfigDict] = STRICT
    load_frac: Knots
    power_w: tuple[NonNegative, ...]
    idle_power_w: NonNegative
    margin_w: NonNegative

    def __post_init__(self) -> None:
        if len(self.power_w) != len(self.load_frac) or np.any(np.diff(self.power_w) < 0):
            raise ValueError("power_w needs one value for each load_frac, none below the one before")

    def at(self, load_frac: ArrayLike) -> FloatArray:
        """Central power in W at each load."""
        x, y = np.array(self.load_frac), np.array(self.power_w)
        load = np.asarray(load_frac, dtype=np.float64)
        beyond = np.maximum(load - x[-1], 0.0)
        return np.asarray(np.interp(load, x, y) + EXTRAPOLATION * beyond * (y[-1] - y[-2]) / (x[-1] - x[-2]))


@dataclass(frozen=True, slots=True)
class Surface:
    """A quantity of a server over the mean power of its GPUs and its inlet temperature: bilinear, never falling.

    Attributes
    ----------
    values
        ``[gpu_power_w, inlet_c]`` at the knots, in the unit of the model.
    margin
        What a server-day's maximum may lie above the surface, in the same unit.
    """

    __pydantic_config__: ClassVar[ConfigDict] = STRICT
    gpu_power_w: Knots
    inlet_c: Knots
    values: tuple[tuple[NonNegative, ...], ...]
    margin: NonNegative

    def __post_init__(self) -> None:
        widths = {len(row) for row in self.values}
        if len(self.values) != len(self.gpu_power_w) or widths != {len(self.inlet_c)}:
            raise ValueError("values needs one row for each gpu_power_w and one column for each inlet_c")
        grid = np.array(self.values)
        if np.any(np.diff(grid, axis=0) < 0) or np.any(np.diff(grid, axis=1) < 0):
            raise ValueError("values must not fall along gpu_power_w or inlet_c")

    def at(self, gpu_power_w: ArrayLike, inlet_c: ArrayLike) -> FloatArray:
        """Central value at each pair of mean GPU power and inlet temperature."""
        power, inlet, grid = np.array(self.gpu_power_w), np.array(self.inlet_c), np.array(self.values)
        p, t = np.broadcast_arrays(np.asarray(gpu_power_w, np.float64), np.asarray(inlet_c, np.float64))
        i, u = _cell(power, p)
        j, v = _cell(inlet, t)
        low = grid[i, j] * (1 - u) + grid[i + 1, j] * u
        high = grid[i, j + 1] * (1 - u) + grid[i + 1, j + 1] * u
        return low * (1 - v) + high * v

    def at_inlets(self, gpu_power_w: FloatArray, kind: NDArray[np.int64], inlet_c: FloatArray) -> FloatArray:
        """``[server, slot]`` as :meth:`at`, for many servers of few kinds of load: much less work on large sites.

        Parameters
        ----------
        gpu_power_w, kind, inlet_c
            ``[kind, slot]`` mean GPU power; ``[server]`` which kind each is, and its inlet temperature.
        """
        grid = np.array(self.values)
        i, u = _cell(np.array(self.gpu_power_w), gpu_power_w)
        at_knots = [grid[i, j] * (1 - u) + grid[i + 1, j] * u for j in range(grid.shape[1])]
        j, v = _cell(np.array(self.inlet_c), inlet_c)
        which = np.stack(at_knots)
        return np.asarray(which[j, kind] * (1 - v)[:, None] + which[j + 1, kind] * v[:, None])


def _cell(knots: FloatArray, x: FloatArray) -> tuple[NDArray[np.intp], FloatArray]:
    """Cell of each x and its place in it: 0..1 inside, 0 below the range, stretched by EXTRAPOLATION above it."""
    i = np.clip(np.searchsorted(knots, x, side="right") - 1, 0, knots.size - 2)
    place = np.maximum((x - knots[i]) / (knots[i + 1] - knots[i]), 0.0)
    return i, np.where(place > 1.0, 1.0 + EXTRAPOLATION * (place - 1.0), place)


@dataclass(frozen=True, slots=True)
class Majorant:
    """A convex piecewise-linear function above a curve: its values at the points, and by how much it exceeds."""

    points: FloatArray
    values: FloatArray
    excess: float


def convex_majorant(points: ArrayLike, knots: FloatArray, curve: FloatArray) -> Majorant:
    """Convex piecewise-linear majorant, with its corners at ``points``, of least largest excess.

    The lower convex hull h of the curve at the points, lifted by max(f − h): chords where the curve is convex, one
    line where it is concave. No convex g ≥ f does better: g − max(g − f) is convex and below f, hence below h, so
    max(g − f) ≥ max(f − h).

    Parameters
    ----------
    points
        ``[n]`` abscissae, in any order.
    knots, curve
        ``[m]`` a piecewise-linear curve that contains every one of ``points`` among its knots, rising.
    """
    x = np.asarray(points, dtype=np.float64)
    corners = np.unique(x)
    hull = _lower_hull(corners, np.interp(corners, knots, curve))
    inside = (knots >= corners[0]) & (knots <= corners[-1])
    chord = np.interp(knots[inside], corners, hull)
    lift = max(0.0, float(np.max(curve[inside] - chord)))
    excess = float(np.max(chord + lift - curve[inside]))
    return Majorant(x, np.interp(x, corners, hull) + lift, excess)


def _lower_hull(x: FloatArray, y: FloatArray) -> FloatArray:
    """Greatest convex function below the points (Andrew's monotone chain), at each of them."""
    kept: list[int] = []
    for i in range(x.size):
        while len(kept) > 1 and _turns_down(x, y, kept[-2], kept[-1], i):
            kept.pop()
        kept.append(i)
    return np.interp(x, x[kept], y[kept])


def _turns_down(x: FloatArray, y: FloatArray, a: int, b: int, c: int) -> bool:
    return bool((y[b] - y[a]) * (x[c] - x[b]) >= (y[c] - y[b]) * (x[b] - x[a]))
