"""Inlet temperature of each server from outdoor temperature and room load."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import ArrayLike, NDArray
from pydantic import ConfigDict

from tapas_opt.domain.fields import STRICT, NonNegative
from tapas_opt.domain.topology import Topology
from tapas_opt.learn.artefact import Artefact, Finite
from tapas_opt.learn.curve import EXTRAPOLATION
from tapas_opt.learn.servers import EntryNumbers

__all__ = ["OUTDOOR_KNOTS_C", "InletEntry", "InletModel", "outdoor_segments"]

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]

OUTDOOR_KNOTS_C = (15.0, 25.0)
"""Flat when it is cold outside, rising, then flatter (facts.md): where the slope may change."""

OUTDOOR_WIDENING = 1.0
"""Above the hottest hour seen the margin grows by 1 °C for each °C: supply air warms no faster than the weather."""


@dataclass(frozen=True, slots=True)
class InletEntry:
    """One server: ``T_in = base + Σ slope·segment(T_out) + load·L_room``.

    Attributes
    ----------
    outdoor_slopes
        °C per °C below, between and above :data:`OUTDOOR_KNOTS_C`; none is negative.
    load_c
        °C from an idle room (0) to one at nameplate (1).
    margin_c
        What a server-day's maximum may lie above.
    """

    __pydantic_config__: ClassVar[ConfigDict] = STRICT
    hardware: str
    base_c: Finite
    outdoor_slopes: tuple[NonNegative, NonNegative, NonNegative]
    load_c: NonNegative
    margin_c: NonNegative


def outdoor_segments(outdoor_c: ArrayLike) -> FloatArray:
    """``[..., 3]`` the part of each outdoor temperature below, between and above the knots."""
    outdoor = np.asarray(outdoor_c, dtype=np.float64)
    low, high = OUTDOOR_KNOTS_C
    parts = (np.minimum(outdoor, low) - low, np.clip(outdoor, low, high) - low, np.maximum(outdoor, high) - high)
    return np.stack(parts, axis=-1)


class InletModel:
    """Upper inlet temperatures of a site's servers; entries are kept as columns, pooled ones last.

    Attributes
    ----------
    numbers
        Which entry is whose.
    """

    def __init__(self, artefact: Artefact[InletEntry]) -> None:
        self.artefact = artefact
        entries = (*artefact.entries.values(), *artefact.pooled.values())
        self._slopes = np.array([entry.outdoor_slopes for entry in entries])
        self._load_c = np.array([entry.load_c for entry in entries])
        self._base_c = np.array([entry.base_c for entry in entries])
        self._margin_c = np.array([entry.margin_c for entry in entries])
        self.numbers = EntryNumbers(artefact.entries, artefact.pooled)

    def central_c(self, number: IntArray, outdoor_c: ArrayLike, load_frac: ArrayLike) -> FloatArray:
        """Central prediction of the entries ``number``; outside the ranges of the fitting days the nearest end holds.

        ``number`` ``[s]`` against ``outdoor_c`` and ``load_frac`` ``[..., s]``.
        """
        outdoor, load = self.artefact.feature("outdoor_c"), self.artefact.feature("room_load_frac")
        segments = outdoor_segments(np.clip(outdoor_c, outdoor.lowest, outdoor.highest))
        held_load = np.clip(load_frac, load.lowest, load.highest)
        by_outdoor = (segments * self._slopes[number]).sum(axis=-1)
        return np.asarray(self._base_c[number] + by_outdoor + self._load_c[number] * held_load)

    def upper_c(
        self, topology: Topology, outdoor_c: ArrayLike, room_load_frac: ArrayLike, supply_rise_c: ArrayLike
    ) -> FloatArray:
        """``[..., server]`` central + margin + rise of its room's supply air, for inputs ``[..., room]`` or numbers.

        Above the ranges of the fitting days the margin widens by :data:`OUTDOOR_WIDENING` and by
        ``EXTRAPOLATION × load_c`` per unit beyond.
        """
        number = self.numbers.on(topology)
        inputs = (np.asarray(value, dtype=np.float64) for value in (outdoor_c, room_load_frac, supply_rise_c))
        outdoor, load, rise = (value[..., topology.server_room] for value in np.broadcast_arrays(*inputs))
        hotter = self.hotter_c(outdoor)
        fuller = np.maximum(0.0, load - self.artefact.feature("room_load_frac").highest)
        widening = hotter + EXTRAPOLATION * self._load_c[number] * fuller
        central = self.central_c(number, outdoor, load)
        return np.asarray(central + self._margin_c[number] + widening + rise)

    def hotter_c(self, outdoor_c: ArrayLike) -> FloatArray:
        """How much of the margin is there because it is hotter outside than it ever was in the fitting days."""
        hotter = np.asarray(outdoor_c, dtype=np.float64) - self.artefact.feature("outdoor_c").highest
        return np.asarray(OUTDOOR_WIDENING * np.maximum(0.0, hotter))

    def margin_c(self, topology: Topology) -> FloatArray:
        """``[server]`` its margin, as calibrated."""
        return np.asarray(self._margin_c[self.numbers.on(topology)])
