"""The baseline: balances load, is blind to heat and power, and caps everybody's clocks once a limit is broken.

TAPAS (facts): "a uniform 35 % frequency cap" is the usual answer to a power or cooling emergency.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

from tapas_opt.control.telemetry import Readings
from tapas_opt.domain.failure import Failure
from tapas_opt.domain.topology import Topology
from tapas_opt.domain.workload import Group, Vm, VmKind
from tapas_opt.simulation.policy import Orders, Request, Shares

__all__ = ["Baseline"]

CAPPED_FREQUENCY_FRAC = 0.65
RELEASE_FRAC = 0.95
"""Caps are lifted once everything is this far below its budget."""


class Baseline:
    """Places on the emptiest row, spreads requests evenly, and answers trouble with one cap for all."""

    name = "baseline"

    def __init__(self, topology: Topology) -> None:
        self._topology = topology
        self._row_of = dict(zip(topology.servers, topology.server_row.tolist(), strict=True))
        self._server_of: dict[str, str] = {}
        self._vms: dict[str, Vm] = {}
        self._failures: set[str] = set()
        self._row_power_w: Counter[int] = Counter()
        self._capping = False
        self._capped: set[str] = set()

    def adopt(self, vms: Sequence[tuple[Vm, str]], groups: Sequence[Group], now_s: float) -> None:
        """Take VMs over where they are."""
        self._server_of |= {vm.name: server for vm, server in vms}
        self._vms |= {vm.name: vm for vm, _ in vms}

    def place(self, vms: Sequence[Vm], groups: Sequence[Group], now_s: float) -> Mapping[str, str]:
        """Each VM goes to the first free server of the row with the fewest VMs."""
        found: dict[str, str] = {}
        for vm in vms:
            server = self._emptiest()
            if server is not None:
                found[vm.name] = self._server_of[vm.name] = server
                self._vms[vm.name] = vm
        return found

    def _emptiest(self) -> str | None:
        taken = set(self._server_of.values())
        used = Counter(self._row_of[server] for server in taken)
        free = [name for name in self._topology.servers if name not in taken]
        return min(free, key=lambda name: used[self._row_of[name]], default=None)

    def release(self, names: Sequence[str], now_s: float) -> None:
        """Forget VMs."""
        for name in names:
            self._server_of.pop(name, None)
            self._vms.pop(name, None)
            self._capped.discard(name)

    def observe(self, readings: Readings) -> Orders:
        """Add up the rows' power."""
        self._row_power_w = Counter()
        for server, watts in readings.server_power_w.items():
            self._row_power_w[self._row_of[server]] += round(watts)
        return Orders()

    def shares(self, now_s: float) -> Shares:
        """Every instance of an endpoint gets the same."""
        members: dict[str, list[str]] = {}
        for name, vm in self._vms.items():
            if vm.kind is VmKind.SAAS:
                members.setdefault(vm.endpoint or "", []).append(name)
        return {endpoint: dict.fromkeys(names, 1.0 / len(names)) for endpoint, names in members.items()}

    def route(self, requests: Sequence[Request], now_s: float) -> int:
        """Round robin always finds somebody while there is anybody."""
        served = {vm.endpoint for vm in self._vms.values()}
        return sum(request.endpoint in served for request in requests)

    def failed(self, failure: Failure, now_s: float) -> Orders:
        """Cap everybody at once."""
        self._failures.add(failure.label)
        return self._cap(f"{failure.label} failed: every clock capped at {CAPPED_FREQUENCY_FRAC:.0%}")

    def cleared(self, failure: Failure, now_s: float) -> Orders:
        """Lift the caps after the last failure."""
        self._failures.discard(failure.label)
        return self._release() if not self._failures else Orders()

    def review(self, now_s: float) -> Orders:
        """Cap while a row is over its budget, as a meter would show; those who came since share the caps in force."""
        budgets = self._topology.row_budget_w
        worst = max((watts / budgets[row] for row, watts in self._row_power_w.items()), default=0.0)
        if worst > 1.0:
            return self._cap(f"a row is at {worst:.0%} of its budget: every clock capped")
        if not self._capping:
            return Orders()
        if self._failures or worst >= RELEASE_FRAC:
            return self._cap("VMs that came since are capped as well")
        return self._release()

    def applied(self, vm: str, now_s: float) -> None:
        """It does not ask what became of its orders."""

    def _cap(self, why: str) -> Orders:
        """Cap those who are not capped yet."""
        self._capping = True
        news = [name for name in self._vms if name not in self._capped]
        self._capped.update(news)
        return Orders(frequency_frac_of=dict.fromkeys(news, CAPPED_FREQUENCY_FRAC), why=why)

    def _release(self) -> Orders:
        self._capping = False
        lifted = sorted(self._capped)
        self._capped.clear()
        return Orders(frequency_frac_of=dict.fromkeys(lifted, 1.0), why="caps lifted")
