"""Load of a VM by hour of the week, from what its template's VMs did before."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar

import numpy as np
from numpy.typing import ArrayLike, NDArray
from pydantic import ConfigDict, Field

from tapas_opt.domain.fields import STRICT, Fraction

__all__ = ["HOURS_PER_WEEK", "LoadEntry", "hour_of_week"]

HOURS_PER_WEEK = 168

_Week = Annotated[tuple[Fraction, ...], Field(min_length=HOURS_PER_WEEK, max_length=HOURS_PER_WEEK)]


@dataclass(frozen=True, slots=True)
class LoadEntry:
    """One template: central and upper load for each hour of the week (see :func:`hour_of_week`)."""

    __pydantic_config__: ClassVar[ConfigDict] = STRICT
    central_frac: _Week
    upper_frac: _Week

    def __post_init__(self) -> None:
        if np.any(np.array(self.upper_frac) < np.array(self.central_frac)):
            raise ValueError("upper_frac must not lie below central_frac")


def hour_of_week(t_s: ArrayLike) -> NDArray[np.int64]:
    """Hour of the week of each time: 0 is the hour that begins at ``t_s = 0``, whatever day that was."""
    return np.asarray(np.floor(np.asarray(t_s, dtype=np.float64) / 3600.0), dtype=np.int64) % HOURS_PER_WEEK
