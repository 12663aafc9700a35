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
    from tapas_opt.reconfiguration import kernels  # noqa: PLC0415  compiled loops take long to import

    return np.asarray(kernels.undominated(np.ascontiguousarray(drawbacks, dtype=np.int64)))
