"""The baseline's parts: even over rows, even over instances, and one cap for all once a limit is broken.

And what else a blind allocator may do: fill one row after the other.

TAPAS (facts): "a uniform 35 % frequency cap" is the usual answer to a power or cooling emergency. All are blind to heat
and to UPSs.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from tapas_opt.domain.failure import Failure
from tapas_opt.domain.workload import Group, Vm
from tapas_opt.simulation.policies.roster import Roster
from tapas_opt.simulation.policy import Orders, Shares
from tapas_opt.simulation.sensed import Telemetry

__all__ = ["EvenPlacer", "EvenRouter", "PackingPlacer", "UniformCap"]

CAPPED_FREQUENCY_FRAC = 0.65
RELEASE_FRAC = 0.95
"""Caps are lifted once every row is this far below its budget."""


class EvenPlacer:
    """Puts each VM on the first free server of the row with the fewest."""

    def __init__(self, roster: Roster) -> None:
        self._roster = roster

    def find(self, vms: Sequence[Vm], groups: Sequence[Group], now_s: float) -> Mapping[str, str]:
        """Servers for as many as there are free ones."""
        topology, taken = self._roster.topology, self._roster.taken()
        used = np.bincount(topology.server_row[taken], minlength=len(topology.rows))
        free: dict[int, deque[int]] = {}
        for s in np.flatnonzero(~taken).tolist():
            free.setdefault(int(topology.server_row[s]), deque()).append(s)
        found: dict[str, str] = {}
        for vm in vms[: int((~taken).sum())]:
            row = min(free, key=lambda row: (self._rank(int(used[row])), free[row][0]))
            found[vm.name] = topology.servers[free[row].popleft()]
            used[row] += 1
            if not free[row]:
                del free[row]
        return found

    def _rank(self, used: int) -> int:
        """Of a row with so many VMs: the lowest gets the next."""
        return used


class PackingPlacer(EvenPlacer):
    """Puts each VM on the first free server of the row with the most: large hosts stay whole for those who come."""

    def _rank(self, used: int) -> int:
        return -used


class EvenRouter:
    """Gives every instance of an endpoint the same."""

    def __init__(self, roster: Roster) -> None:
        self._roster = roster
        self._made_at = -1
        self._shares: Shares = {}

    def shares(self, now_s: float) -> Shares:
        """Made anew when VMs have come or gone."""
        if self._made_at != self._roster.changes:
            members: dict[str, list[str]] = {}
            for name, vm in self._roster.vms.items():
                if vm.endpoint is not None:
                    members.setdefault(vm.endpoint, []).append(name)
            self._shares = {one: dict.fromkeys(names, 1.0 / len(names)) for one, names in members.items()}
            self._made_at = self._roster.changes
        return self._shares


class UniformCap:
    """Caps every clock while something is failed, or once a row's meter shows more than its budget."""

    def __init__(self, roster: Roster) -> None:
        self._roster = roster
        self._row_power_w: NDArray[np.float64] = np.zeros(len(roster.topology.rows))
        self._capping = False
        self._capped: set[str] = set()

    def observe(self, telemetry: Telemetry) -> Orders:
        """Cap as soon as a meter shows too much; a meter that shows nothing is not heard."""
        self._row_power_w = telemetry.sensed.row_meter_power_w
        worst = self._worst()
        if worst > 1.0 and not self._capping:
            return self._cap(f"a row is at {worst:.0%} of its budget: every clock capped")
        return Orders()

    def failed(self, failure: Failure, now_s: float) -> Orders:
        """Cap everybody at once."""
        return self._cap(f"{failure.label} failed: every clock capped at {CAPPED_FREQUENCY_FRAC:.0%}")

    def cleared(self, failure: Failure, now_s: float) -> Orders:
        """Lift the caps after the last failure."""
        return self._release() if not self._roster.failures else Orders()

    def review(self, now_s: float) -> Orders:
        """Those who came since share the caps in force; once all is calm, caps are lifted."""
        if not self._capping:
            return Orders()
        if self._roster.failures or self._worst() >= RELEASE_FRAC:
            return self._cap("VMs that came since are capped as well")
        return self._release()

    def released(self, names: Sequence[str]) -> None:
        """Forget VMs that have left."""
        self._capped.difference_update(names)

    def _worst(self) -> float:
        return float(np.nanmax(np.append(self._row_power_w / self._roster.topology.row_budget_w, 0.0)))

    def _cap(self, why: str) -> Orders:
        """Cap those who are not capped yet."""
        self._capping = True
        news = [name for name in self._roster.vms if name not in self._capped]
        self._capped.update(news)
        return Orders(frequency_frac_of=dict.fromkeys(news, CAPPED_FREQUENCY_FRAC), why=why)

    def _release(self) -> Orders:
        self._capping = False
        lifted = sorted(self._capped)
        self._capped.clear()
        return Orders(frequency_frac_of=dict.fromkeys(lifted, 1.0), why="caps lifted")
