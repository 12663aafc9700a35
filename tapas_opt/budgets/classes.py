"""Which servers are interchangeable: those that draw on the same domains and look alike in all that a problem names."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tapas_opt.budgets.numbers import BudgetNumbers

__all__ = ["Classes", "classes_of"]

IntArray = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Classes:
    """A partition of some items.

    Attributes
    ----------
    of
        ``[item]`` number of its class.
    first
        ``[class]`` its lowest item, which stands for the class.
    size
        ``[class]`` number of items.
    """

    of: IntArray
    first: IntArray
    size: IntArray

    @property
    def count(self) -> int:
        """Number of classes."""
        return len(self.first)

    def members(self, number: int) -> IntArray:
        """Items of one class, in order."""
        return np.flatnonzero(self.of == number)


def classes_of(numbers: BudgetNumbers, servers: IntArray, *more: IntArray) -> Classes:
    """Group items by the domains of the server each is on, and by ``more`` keys (each ``[item]`` or ``[item, n]``).

    Classes are numbered in the order in which their first member appears, so that names are stable.
    """
    keys = [np.zeros((len(servers), 1), dtype=np.int64)]  # without any other key, all are alike
    keys += [family.member[servers] for family in numbers.families]
    keys += [family.share_permille[servers] for family in numbers.families]
    keys += [key if key.ndim > 1 else key[:, None] for key in map(np.asarray, more)]
    _, first, of = np.unique(_as_bytes(np.hstack(keys)), return_index=True, return_inverse=True)
    order = np.argsort(first)
    rank = np.empty_like(order)
    rank[order] = np.arange(len(order))
    renumbered = rank[of.ravel()]
    return Classes(renumbered, first[order], np.bincount(renumbered, minlength=len(order)))


def _as_bytes(keys: IntArray) -> NDArray[np.void]:
    """Each row as one value to compare: ``np.unique(axis=0)`` compares number by number, ten times slower."""
    rows = np.ascontiguousarray(keys)
    return rows.view(np.dtype((np.void, rows.dtype.itemsize * rows.shape[1]))).ravel()
