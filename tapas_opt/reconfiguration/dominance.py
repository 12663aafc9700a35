"""Which of several choices can be left out because another is at least as good in every respect."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["undominated"]

IntArray = NDArray[np.int64]
BoolArray = NDArray[np.bool_]


def undominated(drawbacks: IntArray) -> BoolArray:
    """``[choice]`` whether no other is at most as bad in every column of ``drawbacks[choice, respect]``.

    Of choices that are equal in all respects the first is kept.
    """
    at_most_as_bad = np.ones((len(drawbacks), len(drawbacks)), dtype=bool)
    for respect in drawbacks.T:
        at_most_as_bad &= respect[:, None] <= respect
    earlier = np.triu(np.ones_like(at_most_as_bad), 1)
    dominates = at_most_as_bad & (~at_most_as_bad.T | earlier)
    return np.asarray(~dominates.any(axis=0))
