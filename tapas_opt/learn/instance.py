"""What instances were measured to draw by configuration, and where that differs from the table of profiles."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Annotated, ClassVar

import numpy as np
from numpy.typing import ArrayLike, NDArray
from pydantic import ConfigDict, Field

from tapas_opt.domain.configuration import LOAD_LEVELS, Profile
from tapas_opt.domain.fields import STRICT, NonNegative

__all__ = ["ENOUGH_READINGS", "InstanceEntry", "instance_key", "measured_profile", "off_profile"]

FloatArray = NDArray[np.float64]

ENOUGH_READINGS = 288
"""Readings near a load level from which on they replace the table there: those of one instance and day."""

_Watts = tuple[NonNegative, NonNegative, NonNegative]
_Readings = Annotated[int, Field(ge=0)]


@dataclass(frozen=True, slots=True)
class InstanceEntry:
    """One configuration on one hardware, at each of :data:`LOAD_LEVELS`; straight between them.

    Attributes
    ----------
    gpu_power_w, hottest_gpu_power_w
        Mean power of a server's GPUs, and power of its hottest GPU, as sensors read them.
    gpu_margin_w, hottest_margin_w
        What a server-day's maximum of either may lie above.
    readings
        How many there were near each level.
    """

    __pydantic_config__: ClassVar[ConfigDict] = STRICT
    configuration: str
    hardware: str
    gpu_power_w: _Watts
    hottest_gpu_power_w: _Watts
    gpu_margin_w: NonNegative
    hottest_margin_w: NonNegative
    readings: tuple[_Readings, _Readings, _Readings]

    def __post_init__(self) -> None:
        if any(np.any(np.diff(watts) < 0) for watts in (self.gpu_power_w, self.hottest_gpu_power_w)):
            raise ValueError("gpu_power_w and hottest_gpu_power_w must not fall with the load")

    def hottest_gpu_at(self, load_frac: ArrayLike) -> FloatArray:
        """Power of the hottest GPU at each load."""
        return np.asarray(np.interp(np.asarray(load_frac, np.float64), LOAD_LEVELS, self.hottest_gpu_power_w))


def instance_key(configuration: str, hardware: str) -> str:
    """``<configuration>@<hardware>``: how an entry is called in the file."""
    return f"{configuration}@{hardware}"


def measured_profile(profile: Profile, entries: Mapping[str, InstanceEntry]) -> Profile:
    """The profile with measured powers at the load levels where enough was read; elsewhere the table stands.

    Mean power becomes the measured one, since budgets add central powers up and keep margins of their own. Power of
    the hottest GPU is never lowered: a GPU that was capped or throttled in the past drew less than it can.
    """
    entry = entries.get(instance_key(profile.configuration.name, profile.hardware))
    if entry is None:
        return profile
    enough = np.array(entry.readings) >= ENOUGH_READINGS
    mean = np.where(enough, entry.gpu_power_w, profile.gpu_power_w)
    hottest = np.where(enough, np.maximum(entry.hottest_gpu_power_w, profile.hottest_gpu_power_w), 0.0)
    hottest = np.maximum(hottest, profile.hottest_gpu_power_w)
    return replace(profile, gpu_power_w=_rising(mean), hottest_gpu_power_w=_rising(np.maximum(mean, hottest)))


def _rising(watts: FloatArray) -> _Watts:
    low, middle, high = np.maximum.accumulate(watts).tolist()
    return low, middle, high


def off_profile(profiles: Iterable[Profile], entries: Mapping[str, InstanceEntry]) -> Iterator[str]:
    """Say of each profile whose powers lie further from the measured ones than their margin how far that is."""
    for profile in profiles:
        entry = entries.get(instance_key(profile.configuration.name, profile.hardware))
        if entry is not None:
            yield from _off(profile, entry)


def _off(profile: Profile, entry: InstanceEntry) -> Iterator[str]:
    name = f"{profile.configuration.name} on {profile.hardware}"
    compared = (
        ("mean GPU", profile.gpu_power_w, entry.gpu_power_w, entry.gpu_margin_w),
        ("hottest GPU", profile.hottest_gpu_power_w, entry.hottest_gpu_power_w, entry.hottest_margin_w),
    )
    for what, table, measured, margin in compared:
        for level, said, read, count in zip(LOAD_LEVELS, table, measured, entry.readings, strict=True):
            if count >= ENOUGH_READINGS and abs(said - read) > margin:
                yield (
                    f"{name}, {what} at load {level:g}: the table says {said:.0f} W, {count:,} readings {read:.0f} W "
                    f"(margin {margin:.0f} W)"
                )
