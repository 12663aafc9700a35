"""Load of a VM by hour of the week, from what it and its template's VMs did before."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar

import numpy as np
from numpy.typing import ArrayLike, NDArray
from pydantic import ConfigDict, Field

from tapas_opt.domain.fields import STRICT, Fraction, NonNegative
from tapas_opt.errors import InvalidInput

__all__ = [
    "HOURS_PER_DAY",
    "HOURS_PER_WEEK",
    "LOAD_QUANTILES",
    "MOST_DAYS",
    "LoadEntry",
    "OwnLoadEntry",
    "hour_of_week",
]

FloatArray = NDArray[np.float64]

HOURS_PER_DAY = 24
HOURS_PER_WEEK = 168

LOAD_QUANTILES = (0.95, 0.99)
"""Shares of single readings for which an upper load is learned."""

MOST_DAYS = 28
"""Scenario days kept of each template: those of four weeks."""

_Week = Annotated[tuple[Fraction, ...], Field(min_length=HOURS_PER_WEEK, max_length=HOURS_PER_WEEK)]
_Day = Annotated[tuple[Fraction, ...], Field(min_length=HOURS_PER_DAY, max_length=HOURS_PER_DAY)]
_Days = Annotated[tuple[_Day, ...], Field(min_length=1, max_length=MOST_DAYS)]
_Offset = Annotated[float, Field(ge=-1, le=1, allow_inf_nan=False)]
_Offsets = Annotated[tuple[_Offset, ...], Field(min_length=HOURS_PER_DAY, max_length=HOURS_PER_DAY)]
_Reach = Annotated[tuple[NonNegative, ...], Field(min_length=HOURS_PER_DAY, max_length=HOURS_PER_DAY)]


@dataclass(frozen=True, slots=True)
class LoadEntry:
    """One template, by hour of the week (see :func:`hour_of_week`).

    Attributes
    ----------
    central_frac, upper_frac, upper_99_frac
        Mean load, and what 95 % and 99 % of single readings stay below.
    day_frac
        Scenario days: mean load of its VMs in each hour of recent days, oldest first; the same days for all templates.
    """

    __pydantic_config__: ClassVar[ConfigDict] = STRICT
    central_frac: _Week
    upper_frac: _Week
    upper_99_frac: _Week
    day_frac: _Days

    def __post_init__(self) -> None:
        if np.any(np.diff(np.array([self.central_frac, self.upper_frac, self.upper_99_frac]), axis=0) < 0):
            raise ValueError("upper_frac must not lie below central_frac, nor upper_99_frac below upper_frac")

    def central(self) -> FloatArray:
        """``[168]`` mean load."""
        return np.array(self.central_frac)

    def upper(self, level: float) -> FloatArray:
        """``[168]`` what a share ``level`` of single readings stays below, one of :data:`LOAD_QUANTILES`."""
        return np.array(_of_level(level, self.upper_frac, self.upper_99_frac))


@dataclass(frozen=True, slots=True)
class OwnLoadEntry:
    """One VM beside its template, by hour of day; under another template it says nothing.

    Attributes
    ----------
    offset_frac
        Its mean load above the template's.
    reach_frac, reach_99_frac
        How far above its own mean 95 % and 99 % of single readings stay.
    """

    __pydantic_config__: ClassVar[ConfigDict] = STRICT
    template: str
    offset_frac: _Offsets
    reach_frac: _Reach
    reach_99_frac: _Reach

    def __post_init__(self) -> None:
        if np.any(np.array(self.reach_99_frac) < np.array(self.reach_frac)):
            raise ValueError("reach_99_frac must not lie below reach_frac")

    def central(self, template: LoadEntry) -> FloatArray:
        """``[168]`` mean load."""
        return np.clip(template.central() + _weekly(self.offset_frac), 0.0, 1.0)

    def upper(self, template: LoadEntry, level: float) -> FloatArray:
        """``[168]`` upper load, as :meth:`LoadEntry.upper`."""
        reach = _weekly(_of_level(level, self.reach_frac, self.reach_99_frac))
        return np.clip(self.central(template) + reach, 0.0, 1.0)


def hour_of_week(t_s: ArrayLike) -> NDArray[np.int64]:
    """Hour of the week of each time: 0 is the hour that begins at ``t_s = 0``, whatever day that was."""
    return np.asarray(np.floor(np.asarray(t_s, dtype=np.float64) / 3600.0), dtype=np.int64) % HOURS_PER_WEEK


def _weekly(by_hour_of_day: tuple[float, ...]) -> FloatArray:
    return np.tile(by_hour_of_day, HOURS_PER_WEEK // HOURS_PER_DAY)


def _of_level(level: float, *by_level: tuple[float, ...]) -> tuple[float, ...]:
    if level not in LOAD_QUANTILES:
        raise InvalidInput.one("load", "level", f"{level:g}: learned are {' and '.join(map(str, LOAD_QUANTILES))}")
    return by_level[LOAD_QUANTILES.index(level)]
