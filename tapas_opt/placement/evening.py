"""Lower the peaks of a placement: VMs change places, or move to free servers, where that saves more than it costs.

What is lowered is the cost of the VMs on their servers, and Σ weight · max(0, steps above the aim)² over all priced
rows: a square sees every row that is above, where the peak itself sees the highest only. At the start of each turn
all rows of a peak together weigh a part of what its rise above the aim costs. The aim is the least rise that the whole
site allows (:mod:`tapas_opt.placement.aggregate`).
"""

from __future__ import annotations

import math
import time
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tapas_opt.placement.taps import UNLIMITED, Taps

__all__ = ["Evening", "evened"]

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]
BoolArray = NDArray[np.bool_]

TURNS, PASSES, TRIES = 10, 2, 16
"""So often weights are set anew; passes over all VMs near a peak each time; partners tried for each in a pass."""

PEAKS_FRAC = 0.3
"""All rows of a peak together weigh this part of what its rise above the aim costs: with all of it VMs went to dearer
servers than the lower peak was worth."""


@dataclass(frozen=True, slots=True)
class Evening:
    """A placement to be evened out, all arrays as in the greedy path.

    Attributes
    ----------
    kind, class_of, bucket
        ``[vm]`` of those that may move: number of its type, its server class, and which VMs to try first: those of
        the same bucket.
    eligible, cost, gpus
        ``[kind, server class]``.
    free
        ``[server class]`` GPUs that are free; changed.
    drawn
        ``[row]``; changed.
    draw
        ``[kind, look, slot]``.
    aim, price
        ``[peak]`` steps above today's that are not to be lowered, and price of a step.
    """

    kind: IntArray
    class_of: IntArray
    bucket: IntArray
    eligible: BoolArray
    cost: IntArray
    gpus: IntArray
    free: IntArray
    drawn: IntArray
    draw: IntArray
    aim: IntArray
    price: IntArray


def evened(taps: Taps, state: Evening, *, seed: int = 0, until: float = math.inf) -> IntArray:
    """``[vm]`` server class of each VM afterwards. The same seed gives the same exchanges.

    ``until`` is a `time.perf_counter` that is looked at before each turn.
    """
    from tapas_opt.placement import kernels  # noqa: PLC0415  compiled loops take long to import

    class_of = state.class_of.copy()
    if not len(class_of):
        return class_of
    _, bucket = np.unique(state.bucket, return_inverse=True)
    begin = np.concatenate([[0], np.cumsum(np.bincount(bucket))])
    buckets = (bucket.astype(np.int64), begin.astype(np.int64), np.argsort(bucket, kind="stable"))
    for turn in range(TURNS):
        made = kernels.even_out(
            state.kind,
            class_of,
            buckets,
            (state.eligible, state.cost, state.gpus),
            state.free,
            taps.of_class,
            taps.tap,
            taps.row_begin,
            _aims(taps, state),
            state.drawn,
            state.draw,
            (PASSES, TRIES, seed + turn),
        )
        if not made or time.perf_counter() > until:
            break
    return class_of


def _aims(taps: Taps, state: Evening) -> tuple[IntArray, IntArray, FloatArray, FloatArray]:
    """Slot and room of each row, the thousandths at which its penalty begins, and the factor of their square."""
    target = np.full(len(taps.row_slot), float(UNLIMITED))
    weight = np.zeros(len(taps.row_slot))
    for f, price in enumerate(state.price.tolist()):
        rows = np.flatnonzero((taps.peak_of_row == f) & (taps.row_before < UNLIMITED))
        target[rows] = taps.row_before[rows] + state.aim[f] * taps.row_step[rows]
        steps = np.maximum(0.0, (state.drawn[rows] - target[rows]) / taps.row_step[rows])
        if steps.any():
            # Σ weight · steps² = PEAKS_FRAC · price · highest
            weight[rows] = PEAKS_FRAC * price * steps.max() / (steps**2).sum() / taps.row_step[rows] ** 2.0
    return taps.row_slot, taps.row_room, target, weight
