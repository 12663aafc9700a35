"""Days to fit on, days to calibrate margins on, days to judge on: split by time, never at random."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tapas_opt.errors import InvalidInput

__all__ = ["LEAST_DAYS", "Split", "split_days"]

IntArray = NDArray[np.int64]
BoolArray = NDArray[np.bool_]

LEAST_DAYS = 4
FIT_DAYS, CALIBRATE_DAYS = 14, 7
LEAST_OF_A_DAY = 0.5


@dataclass(frozen=True)
class Split:
    """Which slots ``[t]`` serve what."""

    fit: BoolArray
    calibrate: BoolArray
    judge: BoolArray


def split_days(day: IntArray) -> Split:
    """Days 1–14 fit, 15–21 calibrate, later ones judge; of fewer than 28 days ½, ¼ and ¼.

    Parameters
    ----------
    day
        ``[t]`` the day of each slot, counted from 0. A last day that had hardly begun counts as none.

    Raises
    ------
    InvalidInput
        If there are fewer than :data:`LEAST_DAYS` days.
    """
    slots = np.bincount(day)
    days = slots.size - int(slots.size > 1 and slots[-1] < LEAST_OF_A_DAY * slots.max())
    if days < LEAST_DAYS:
        what = f"covers {days} days; at least {LEAST_DAYS} are needed: to fit, to calibrate margins, and to judge"
        raise InvalidInput.one("history", "servers.t_s", what)
    fit = min(FIT_DAYS, days // 2)
    calibrate = min(CALIBRATE_DAYS, (days - fit) // 2)
    return Split(fit=day < fit, calibrate=(day >= fit) & (day < fit + calibrate), judge=day >= fit + calibrate)
