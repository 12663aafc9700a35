"""What a server without a sensor of its own is taken for: its row's others, and those at its place elsewhere."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from tapas_opt.domain.topology import Topology

__all__ = ["from_neighbours"]

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]


def from_neighbours(coefficients: FloatArray, topology: Topology) -> FloatArray:
    """Estimate each server's coefficients from other servers of its hardware, never from its own.

    The mean of its row's others; its last coefficient, the intercept, also moves by what those at its place in the
    racks of other rows lie above the others of their rows: air is warmer at a rack's top, whatever the row.

    Parameters
    ----------
    coefficients
        ``[server, k]``, the intercept last; NaN for servers that have none.

    Returns
    -------
    numpy.ndarray
        ``[server, k]``; NaN where no other server of the row and hardware has any.
    """
    servers = np.arange(len(topology.servers))
    row = topology.server_row * len(topology.hardware) + topology.server_hardware
    place = _place_in_rack(topology) * len(topology.hardware) + topology.server_hardware
    of_row = _mean_of_others(coefficients, row, servers)
    above_row = coefficients[:, -1:] - of_row[:, -1:]
    by_place = _mean_of_others(above_row, place, row * (int(place.max()) + 1) + place)
    of_row[:, -1:] += np.nan_to_num(by_place)
    return of_row


def _mean_of_others(values: FloatArray, group: IntArray, left_out: IntArray) -> FloatArray:
    """``[s, k]`` mean over each one's group, without those that share its ``left_out``; NaN where there are none."""
    total, count = _sums(values, group)
    without, fewer = _sums(values, left_out)
    left = count - fewer
    return np.where(left[:, None] > 0, (total - without) / np.maximum(left, 1)[:, None], np.nan)


def _sums(values: FloatArray, group: IntArray) -> tuple[FloatArray, FloatArray]:
    """Sum of the known values of each one's group ``[s, k]``, and how many they are ``[s]``."""
    known = np.isfinite(values).all(axis=1, keepdims=True)
    total = np.zeros((int(group.max()) + 1, values.shape[1]))
    np.add.at(total, group, np.where(known, values, 0.0))
    return total[group], np.bincount(group, known.ravel())[group].astype(np.float64)


def _place_in_rack(topology: Topology) -> IntArray:
    """``[server]`` how manieth of its rack each is."""
    order = np.argsort(topology.server_rack, kind="stable")
    ordered = topology.server_rack[order]
    place = np.empty(len(order), dtype=np.int64)
    place[order] = np.arange(len(order)) - np.searchsorted(ordered, ordered)
    return place
