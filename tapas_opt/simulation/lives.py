"""Stories of many days: VMs live for days to weeks, and as many come as go."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from tapas_opt.domain.workload import Vm
from tapas_opt.plant.workload import Workload
from tapas_opt.simulation.story import DAY_S, Arrival

__all__ = ["Population", "population"]

HOUR_S = 3600.0


@dataclass(frozen=True, slots=True)
class Population:
    """VMs that run when a story begins, and what comes and goes, hour by hour."""

    running: tuple[Vm, ...]
    arrivals: tuple[Arrival, ...]


@dataclass
class _Hours:
    """What comes and goes at the end of each hour."""

    coming: dict[int, list[Vm]] = field(default_factory=lambda: defaultdict(list))
    going: dict[int, list[str]] = field(default_factory=lambda: defaultdict(list))

    def arrivals(self) -> tuple[Arrival, ...]:
        """In order of time."""
        hours = sorted({*self.coming, *self.going})
        return tuple(
            Arrival((hour + 1) * HOUR_S, tuple(self.coming.get(hour, ())), tuple(self.going.get(hour, ())))
            for hour in hours
        )


def population(
    workload: Workload, *, vms: int, saas_share: float, start_s: float, end_s: float, seed: int
) -> Population:
    """Draw who lives when.

    Those who run at the start are met somewhere in the middle of their lives. For each VM that goes, another comes on
    the same day, at the hours at which people ask for VMs.

    Parameters
    ----------
    saas_share
        Share of VMs that are instances of the endpoints.
    start_s, end_s
        Midnight of the first day, and the end of the story.
    """
    iaas_frac = 1.0 - saas_share
    running = workload.initial_vms(vms, iaas_frac=iaas_frac)
    passed = np.random.default_rng([seed, 71]).random(vms)
    ends_s = {vm.name: start_s + (1.0 - frac) * vm.lifetime_s for vm, frac in zip(running, passed, strict=True)}
    hours = _Hours()
    for day in range(int(start_s // DAY_S), int(np.ceil(end_s / DAY_S))):
        going = sorted(name for name, end in ends_s.items() if end < (day + 1) * DAY_S)
        coming = workload.arrivals(day, len(going), iaas_frac=iaas_frac)
        for name in going:
            hours.going[int(ends_s.pop(name) // HOUR_S)].append(name)
        for item in coming:
            hours.coming[int(item.at_s // HOUR_S)].append(item.vm)
            ends_s[item.vm.name] = item.at_s + item.vm.lifetime_s
    return Population(running, _within(hours.arrivals(), start_s, end_s))


def _within(arrivals: Sequence[Arrival], start_s: float, end_s: float) -> tuple[Arrival, ...]:
    return tuple(item for item in arrivals if start_s < item.at_s < end_s)
