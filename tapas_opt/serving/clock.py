"""What a GPU's clock does to power and time, relative to its highest: the same for every model."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

__all__ = ["clock_power_frac", "decode_power_frac", "prefill_speed_frac", "step_time_frac"]

FloatArray = NDArray[np.float64]


def clock_power_frac(frequency_frac: ArrayLike) -> FloatArray:
    """Dynamic power by clock, both relative to the highest: ``x·v(x)²`` with voltage ``v = 0.44 + 0.56·x``.

    Perseus/Zeus on A100: 0.65, 0.46 and 0.38 of dynamic power at 0.85, 0.70 and 0.61 of the clock.
    """
    x = np.asarray(frequency_frac, dtype=np.float64)
    return x * (0.44 + 0.56 * x) ** 2


def decode_power_frac(power_frac: float) -> float:
    """What is left of power above waiting while decoding, where the clock leaves this part of dynamic power.

    Two thirds of it follow the clock; the rest is memory's, whose clock stays.
    """
    return 1.0 / 3.0 + 2.0 / 3.0 * power_frac


def prefill_speed_frac(frequency_frac: float) -> float:
    """Prompt tokens per second by clock: ``x^0.8`` (Perseus/Zeus, forward passes on A100)."""
    return float(frequency_frac**0.8)


def step_time_frac(frequency_frac: float) -> float:
    """Time of a decoding step by clock, ``x^-0.25``: mostly memory, which hardly cares, partly launches, which do."""
    return float(frequency_frac**-0.25)
