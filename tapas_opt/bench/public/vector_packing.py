"""Vector bin packing: all items into as few alike bins as possible, within every dimension.

The shape of placing VMs that share servers: whatever is packed, servers are alike.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tapas_opt.bench.public.instance import FloatArray, Judged, json_lines
from tapas_opt.errors import InvalidInput
from tapas_opt.mip.model import MipArrays, MipModel

__all__ = ["VectorPacking", "first_fit_decreasing", "read"]

IntArray = NDArray[np.int64]


@dataclass(frozen=True)
class VectorPacking:
    """An instance; its cost is the number of bins.

    Attributes
    ----------
    capacity
        ``[dimension]``.
    size
        ``[item, dimension]``, of items that differ; a few published ones are negative.
    copies
        ``[item]`` how many of each there are.
    """

    name: str
    capacity: IntArray
    size: IntArray
    copies: IntArray
    best_known: float | None

    def arrays(self) -> MipArrays:
        """Minimise Σ used: every copy in a bin, Σ size·packed ≤ capacity·used; as many bins as first fit needs."""
        bins = [str(b) for b in range(first_fit_decreasing(self).shape[1])]
        items, dimensions = ([str(n) for n in range(count)] for count in self.size.shape)
        model = MipModel()
        packed = model.columns("packed", items, bins, upper=self.copies[:, None], integer=True)
        used = model.columns("used", bins, upper=1.0, cost=1.0, integer=True)
        every = model.rows("every_copy_packed", items, lower=self.copies, upper=self.copies)
        model.add(every[:, None], packed, 1.0)
        room = model.rows("capacity", bins, dimensions, upper=0.0)
        model.add(room[None, :, :], packed[:, :, None], self.size[:, None, :])
        model.add(room, used[:, None], -self.capacity)
        return model.arrays()

    def start(self) -> FloatArray:
        """First fit decreasing."""
        packed = first_fit_decreasing(self)
        return np.concatenate([packed.ravel(), np.ones(packed.shape[1])]).astype(np.float64)

    def judged(self, values: FloatArray) -> Judged:
        """Count each item's copies and fill each bin, item by item; columns stand item by item, then bins in use."""
        items, dimensions = self.size.shape
        bins = len(values) // (items + 1)
        counts = [[round(float(values[i * bins + b])) for b in range(bins)] for i in range(items)]
        violations = [
            f"item {i}: {sum(row)} of {self.copies[i]} copies packed"
            for i, row in enumerate(counts)
            if sum(row) != self.copies[i] or min(row) < 0
        ]
        filled = 0
        for b in range(bins):
            filled += any(row[b] for row in counts)
            for d in range(dimensions):
                load = sum(row[b] * int(self.size[i, d]) for i, row in enumerate(counts) if row[b])
                if load > self.capacity[d]:
                    violations.append(f"bin {b}, dimension {d}: {load} of {self.capacity[d]}")
        return Judged(float(filled), tuple(violations))


def first_fit_decreasing(instance: VectorPacking) -> IntArray:
    """``[item, bin]`` copies of each item in each bin: largest Σ size / capacity first, each to its first bin."""
    weight = (instance.size / np.maximum(1, instance.capacity)).sum(axis=1)
    copies = np.repeat(np.argsort(-weight, kind="stable"), instance.copies[np.argsort(-weight, kind="stable")])
    free = np.empty((0, len(instance.capacity)), dtype=np.int64)
    placed = np.empty(len(copies), dtype=np.int64)
    for n, item in enumerate(copies):
        fitting = np.flatnonzero((free >= instance.size[item]).all(axis=1))
        if len(fitting) == 0:
            free = np.vstack([free, instance.capacity])
        placed[n] = fitting[0] if len(fitting) else len(free) - 1
        free[placed[n]] -= instance.size[item]
    packed = np.zeros((len(instance.size), len(free)), dtype=np.int64)
    np.add.at(packed, (copies, placed), 1)
    return packed


def read(path: Path) -> Iterator[VectorPacking]:
    """Instances of a folder (or file), one in each line of ``*.jsonl[.gz]``; named ``file/name``.

    A line has ``name``, ``capacity`` (whole, one a dimension), ``items`` (size in each dimension, then the number of
    copies) and, if known, ``optimum`` and ``best_heuristic`` (bins).

    Raises
    ------
    InvalidInput
        A line is not of this form.
    """
    for where, found in json_lines(path):
        yield _from_json(where, found)


def _from_json(where: str, found: dict[str, Any]) -> VectorPacking:
    try:
        capacity = np.array(found["capacity"], dtype=np.int64)
        items = np.array(found["items"], dtype=np.int64)
        name = f"{where.partition(',')[0]}/{found['name']}"
        known = [found[key] for key in ("optimum", "best_heuristic") if found.get(key) is not None]
        best_known = float(min(known)) if known else None
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        raise InvalidInput.one(where, "fields", f"name, capacity and items are needed, whole: {error!r}") from None
    if items.ndim != 2 or len(items) == 0 or capacity.ndim != 1 or items.shape[1] != len(capacity) + 1:
        raise InvalidInput.one(where, "items", "every item needs one size a dimension and its number of copies")
    size, copies = items[:, :-1], items[:, -1]
    if (copies < 1).any() or (size > capacity).any():
        raise InvalidInput.one(where, "items", "every item needs at least one copy, and must fit an empty bin")
    return VectorPacking(name, capacity, size, copies, best_known)
