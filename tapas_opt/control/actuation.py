"""How long a change of configuration takes to free its watts, knob by knob."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tapas_opt.domain.configuration import Configuration, Profile

__all__ = ["Actuation", "Option"]

FloatArray = NDArray[np.float64]
BoolArray = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Option:
    """A configuration at a load level; without a profile, parked."""

    name: str
    profile: Profile | None
    level: float

    @property
    def configuration(self) -> Configuration | None:
        """What it runs."""
        return None if self.profile is None else self.profile.configuration


@dataclass(frozen=True, slots=True)
class Actuation:
    """Delays of the knobs; configuration of a site, with defaults from public sources.

    Attributes
    ----------
    detect_s, decide_s
        From the failure to its report, and from the report to a published plan.
    clock_s
        In-band lock of the GPU clock: tens of milliseconds to a second (POLCA, in band).
    drain_s
        Until running decodes have ended and a lower load level or batch draws less.
    out_of_band_s
        Frequency cap through the baseboard controller, for VMs that are opaque (POLCA: up to 40 s).
    evict_s
        Until a spot VM that is stopped without notice draws no more.
    """

    detect_s: float = 0.5
    decide_s: float = 0.5
    clock_s: float = 1.0
    drain_s: float = 20.0
    out_of_band_s: float = 40.0
    evict_s: float = 1.0

    @property
    def publish_s(self) -> float:
        """From a failure to a published plan."""
        return self.detect_s + self.decide_s

    @property
    def reaction_s(self) -> float:
        """Detection, decision and the fast knobs: so long every overload has to be borne."""
        return self.publish_s + max(self.clock_s, self.evict_s)

    @property
    def slow_reaction_s(self) -> float:
        """Until draining has acted as well, if that is decided once the fast knobs have acted, for what is left."""
        return self.reaction_s + self.publish_s + self.drain_s

    def is_in_time(self, knob_s: float, within_s: float) -> bool:
        """Whether a knob acts within a time from the failure."""
        return self.publish_s + knob_s <= within_s

    def delay_s(self, now: Option, then: Option) -> float:
        """Detection, decision, and the slowest knob that the change needs; 0 for no change."""
        if now.name == then.name:
            return 0.0
        return self.publish_s + self._knob_s(now, then)

    def _knob_s(self, now: Option, then: Option) -> float:
        if then.profile is None or then.configuration is None:
            return self.drain_s
        if now.configuration is None:
            return then.profile.reload_s
        if self.reloads(now, then):
            return self.drain_s + then.profile.reload_s
        drains = then.level < now.level or then.configuration.batch < now.configuration.batch
        return self.drain_s if drains else self.clock_s

    @staticmethod
    def reloads(now: Option, then: Option) -> bool:
        """Whether the change loads weights anew."""
        if then.configuration is None:
            return False
        return now.configuration is None or now.configuration.reload_needed(then.configuration)

    def tables(self, options: Sequence[Option]) -> tuple[FloatArray, BoolArray]:
        """``[from, to]`` delays, and whether weights are loaded anew."""
        delay = np.array([[self.delay_s(now, then) for then in options] for now in options])
        reload = np.array([[self.reloads(now, then) for then in options] for now in options], dtype=bool)
        return delay.reshape(len(options), -1), reload.reshape(len(options), -1)
