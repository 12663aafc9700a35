"""Actuators that take their time: what was ordered, and when each step of it will be done."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, replace

from tapas_opt.control.actuation import Actuation, Option
from tapas_opt.domain.configuration import Configuration
from tapas_opt.domain.workload import Vm, VmKind

__all__ = ["Actuators", "Running"]

SAME_MOMENT_S = 1e-9


@dataclass(frozen=True, slots=True)
class Running:
    """What a VM runs: for SaaS an option (configuration at a level, or parked), for both a clock cap."""

    vm: Vm
    server: int
    option: Option
    frequency_frac: float = 1.0
    loading: bool = False

    @property
    def configuration(self) -> Configuration | None:
        """With the capped clock, if there is a cap."""
        base = self.option.configuration
        if base is None or self.frequency_frac == 1.0:
            return base
        return replace(base, frequency_mhz=base.frequency_mhz * self.frequency_frac)


@dataclass(frozen=True, slots=True)
class _Step:
    """A step of an order that will be done at a time: another option, or another clock."""

    at_s: float
    option: Option | None
    frequency_frac: float
    loading: bool
    last: bool


_OPTION, _CLOCK = "option", "clock"


class Actuators:
    """Orders under way, one at most for each VM and knob: a later one replaces an earlier one."""

    def __init__(self, actuation: Actuation) -> None:
        self._actuation = actuation
        self._under_way: dict[tuple[str, str], list[_Step]] = {}
        self._next_s = float("inf")

    def choose(self, running: Running, then: Option, now_s: float) -> None:
        """Begin to change what an instance runs."""
        loaded_s = self._loaded_s(running, now_s)
        self._begin(running.vm.name, _OPTION, self._steps(running, then, now_s, loaded_s))

    def cap(self, running: Running, frequency_frac: float, now_s: float) -> None:
        """Begin to cap a clock, in band where the operator runs the VM."""
        a = self._actuation
        knob_s = a.clock_s if running.vm.kind is VmKind.SAAS else a.out_of_band_s
        step = _Step(now_s + a.publish_s + knob_s, None, frequency_frac, loading=False, last=True)
        self._begin(running.vm.name, _CLOCK, [step])

    def forget(self, names: Collection[str]) -> None:
        """VMs have left."""
        for name in names:
            self._under_way.pop((name, _OPTION), None)
            self._under_way.pop((name, _CLOCK), None)

    def due(self, now_s: float) -> list[tuple[str, _Step]]:
        """Take out what is done by now, in order of time."""
        if now_s + SAME_MOMENT_S < self._next_s:
            return []
        done: list[tuple[str, _Step]] = []
        for key in list(self._under_way):
            steps = self._under_way[key]
            while steps and steps[0].at_s <= now_s + SAME_MOMENT_S:
                done.append((key[0], steps.pop(0)))
            if not steps:
                del self._under_way[key]
        self._next_s = min((steps[0].at_s for steps in self._under_way.values()), default=float("inf"))
        return sorted(done, key=lambda item: item[1].at_s)

    def _begin(self, name: str, knob: str, steps: list[_Step]) -> None:
        self._under_way[name, knob] = steps
        self._next_s = min(self._next_s, steps[0].at_s)

    def _loaded_s(self, running: Running, now_s: float) -> float:
        """When the weights that are being loaded will be there."""
        steps = self._under_way.get((running.vm.name, _OPTION), [])
        return max((step.at_s for step in steps), default=now_s) if running.loading else now_s

    def _steps(self, running: Running, then: Option, now_s: float, loaded_s: float) -> list[_Step]:
        """A change in flight is one step, which waits for weights being loaded; a reload drains, loads, then serves."""
        ready_s = now_s + self._actuation.delay_s(running.option, then)
        if then.profile is None:
            return [_Step(ready_s, then, 1.0, loading=False, last=True)]
        if not self._actuation.reloads(running.option, then):
            return [_Step(max(ready_s, loaded_s), then, 1.0, loading=False, last=True)]
        return [
            _Step(ready_s - then.profile.reload_s, then, 1.0, loading=True, last=False),
            _Step(ready_s, then, 1.0, loading=False, last=True),
        ]
