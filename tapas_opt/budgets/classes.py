"""Which servers are interchangeable: those that draw on the same domains and look alike in all that a problem names."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tapas_opt.budgets.numbers import BudgetNumbers

__all__ = ["Classes", "alike", "classes_of"]

IntArray = NDArray[np.int64]


MOST = 2**62
"""What is put together of several keys stays below this."""


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
    members = [family.member[servers] for family in numbers.families]
    shares = [family.share_permille[servers] for family in numbers.families]
    return alike(np.zeros(len(servers), dtype=np.int64), *members, *shares, *more)  # without other keys, all are alike


def alike(*keys: NDArray[Any]) -> Classes:
    """Group items by keys alone, each ``[item]`` or ``[item, n]``; numbered as :func:`classes_of` does."""
    columns = np.hstack([key if key.ndim > 1 else key[:, None] for key in map(np.asarray, keys)])
    _, first, of = np.unique(_as_numbers(columns), return_index=True, return_inverse=True)
    order = np.argsort(first)
    rank = np.empty_like(order)
    rank[order] = np.arange(len(order))
    renumbered = rank[of.ravel()]
    return Classes(renumbered, first[order], np.bincount(renumbered, minlength=len(order)))


def _as_numbers(keys: IntArray) -> IntArray:
    """``[item]`` one number for each row, equal where rows are: sorting rows as such is ten times slower."""
    number, width = np.zeros(len(keys), dtype=np.int64), 1
    if not len(keys):
        return number
    if keys.dtype.kind == "f":  # delays may have no end: what is no whole number goes by its rank
        keys = np.stack([_ranks(column)[0] for column in keys.T], axis=1)
    lowest, highest = keys.min(axis=0).tolist(), keys.max(axis=0).tolist()
    for column, low, high in zip(keys.T, lowest, highest, strict=True):
        span = high - low + 1
        if span == 1:
            continue
        if width * span > MOST:
            (number, width), (column, span) = _ranks(number), _ranks(column)  # noqa: PLW2901  the same, in other words
            low = 0  # noqa: PLW2901
        number = number * span + (column - low)
        width *= span
    return number


def _ranks(values: IntArray) -> tuple[IntArray, int]:
    """Each value's place among the different ones, and how many there are."""
    different, rank = np.unique(values, return_inverse=True)
    return rank, len(different)
