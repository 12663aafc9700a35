"""What opens when it is overloaded for too long: UPSs and breakers with inverse-time curves."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from tapas_opt.domain.site import ToleranceCurve

__all__ = ["InverseTime"]

FloatArray = NDArray[np.float64]
BoolArray = NDArray[np.bool_]


class InverseTime:
    """Accumulated overload of a set of elements.

    The used tolerance rises by ``dt / tolerance_s(load)`` above rating, and falls by ``dt / recovery_s`` at or below
    it; an element opens once all of it is used. A new overload therefore starts from what the last one left.

    Attributes
    ----------
    used
        Share of each element's tolerance that is used, 0 to 1.
    opened
        Elements that have opened; they stay open until :meth:`close`.
    """

    def __init__(self, curves: Sequence[ToleranceCurve]) -> None:
        self.used: FloatArray = np.zeros(len(curves))
        self.opened: BoolArray = np.zeros(len(curves), dtype=bool)
        self._curves = tuple(curves)
        self._recovery_s = np.array([curve.recovery_s for curve in curves], dtype=np.float64)

    def step(self, load_frac: FloatArray, dt_s: float, curves: Sequence[ToleranceCurve] | None = None) -> bool:
        """Accumulate ``dt_s`` at a constant load.

        Parameters
        ----------
        load_frac
            Load of each element over its rating; infinite where a dead element is loaded.
        curves
            The curves in force, where they are not those given at the start (on battery instead of mains).

        Returns
        -------
        bool
            Whether any element has opened in this step.
        """
        overloaded = (load_frac > 1.0) & ~self.opened
        if not overloaded.any() and not self.used.any():
            return False
        self.used = np.where(overloaded, self.used, np.maximum(self.used - dt_s / self._recovery_s, 0.0))
        in_force = self._curves if curves is None else curves
        for i in map(int, np.flatnonzero(overloaded)):
            self.used[i] = min(self.used[i] + self._used_up(in_force[i], float(load_frac[i]), dt_s), 1.0)
        opening = overloaded & (self.used >= 1.0)
        self.opened = self.opened | opening
        return bool(opening.any())

    def close(self, element: int) -> None:
        """Close an element that has opened, its tolerance fresh: it has been repaired. Others keep what they used."""
        if self.opened[element]:
            self.opened[element] = False
            self.used[element] = 0.0

    @staticmethod
    def _used_up(curve: ToleranceCurve, load_frac: float, dt_s: float) -> float:
        tolerance_s = float(curve.tolerance_s(load_frac))
        # The tiny excess keeps ten steps of a tenth from adding up to 0.9999999999999999.
        return dt_s / tolerance_s * (1.0 + 1e-12) if tolerance_s > 0 else 1.0
