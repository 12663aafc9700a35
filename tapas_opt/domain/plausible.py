"""What readings can be believed: pure predicates on arrays, the same for history and for the running service."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from tapas_opt.domain.history import Column

__all__ = ["in_range"]

Floats = NDArray[np.floating[Any]]
BoolArray = NDArray[np.bool_]


def in_range(values: Floats, column: Column) -> BoolArray:
    """Which readings the sensor can physically have; NaN and infinite ones are not."""
    return np.asarray((values >= column.lowest) & (values <= column.highest) & np.isfinite(values))
